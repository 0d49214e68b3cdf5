//! What pictures are classified with: labels and an embedding of each, of one prompt or the mean of many; kept in a file.

use std::path::Path;

use vitrum::pipelines::clip::{Clip, prompts};
use vitrum::weights::Dtype;

use crate::args::ClassifyArgs;
use crate::commands::embed_texts;
use crate::container::{self, Container, Tensor, Values};
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::{label_sets, labels, output, progress, text_file};

const KIND: &str = "classifier";
const VERSION: u32 = 1;
const MODEL: &str = "vitrum.model";
const FINGERPRINT: &str = "vitrum.model_fingerprint";
const WHAT: &str = "a classifier of `vitrum classify --save-classifier`";

/// The names of the tensors.
const LABEL_ENDS: &str = "label_ends";
const EMBEDDINGS: &str = "embeddings";
const LABELS: &str = "labels";

/// Texts that are encoded between two steps of the progress.
const TEXTS: usize = 64;

/// Classes, before they are embedded.
#[derive(Debug)]
pub(crate) struct Classes {
    /// Of each class, its names; the first is its label.
    names: Vec<Vec<String>>,
    templates: Vec<String>,
}

impl Classes {
    /// Those that the arguments name.
    pub(crate) fn of(args: &ClassifyArgs) -> Result<Self> {
        let set = args.labels.label_set;
        let names = match set {
            Some(set) => set.classes.clone(),
            None => labels::read(&args.labels)?.into_iter().map(|label| vec![label]).collect(),
        };
        let templates = match (&args.template, &args.templates) {
            (Some(template), _) => vec![template.clone()],
            (None, Some(name)) => templates(name)?,
            (None, None) => set.map_or_else(
                || vec![vitrum::pipelines::clip::DEFAULT_TEMPLATE.into()],
                |set| set.templates.clone(),
            ),
        };
        for template in &templates {
            prompts(&["a label"], Some(template)).or_exit(Exit::Usage)?;
        }
        Ok(Self { names, templates })
    }

    /// The label of each class.
    pub(crate) fn labels(&self) -> Vec<String> {
        self.names.iter().map(|names| names[0].clone()).collect()
    }

    /// Embeddings of the classes, `[classes, embed_dim]`: of one prompt its embedding; of several the mean of theirs, each
    /// scaled to length 1, as OpenAI's notebook does.
    pub(crate) fn embed(&self, clip: &Clip) -> Result<Vec<f32>> {
        let prompts_of = |names: &Vec<String>| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let of = |template: &String| prompts(&names, Some(template)).or_exit(Exit::Usage);
            Ok(self.templates.iter().map(of).collect::<Result<Vec<_>>>()?.concat())
        };
        let texts = self.names.iter().map(prompts_of).collect::<Result<Vec<_>>>()?;
        if texts.iter().all(|it| it.len() == 1) {
            return embed_texts(clip, &texts.concat(), false);
        }
        let dim = clip.embed_dim();
        let owners: Vec<usize> = texts.iter().enumerate().flat_map(|(i, it)| vec![i; it.len()]).collect();
        let texts = texts.concat();
        let bar = progress::bar("prompts", texts.len());
        let mut sums = vec![0.0_f64; self.names.len() * dim];
        for (texts, owners) in texts.chunks(TEXTS).zip(owners.chunks(TEXTS)) {
            let embeddings = embed_texts(clip, texts, true)?;
            for (embedding, &owner) in embeddings.chunks_exact(dim).zip(owners) {
                let sum = &mut sums[owner * dim..][..dim];
                sum.iter_mut().zip(embedding).for_each(|(sum, &x)| *sum += f64::from(x));
            }
            bar.inc(texts.len() as u64);
        }
        for sum in sums.chunks_exact_mut(dim) {
            let length = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
            sum.iter_mut().for_each(|x| *x /= length);
        }
        Ok(sums.into_iter().map(|x| x as f32).collect())
    }
}

/// The templates of the set called `name`, or in the file of that name, one a line.
fn templates(name: &str) -> Result<Vec<String>> {
    if let Ok(set) = label_sets::parse(name) {
        return Ok(set.templates.clone());
    }
    let path = Path::new(name);
    let sets =
        format!("--templates takes a file with one template a line, or one of {}", label_sets::names());
    let bytes = text_file::read(path).map_err(|failure| failure.hint(&sets))?;
    let bad = |what: String| Failure::new(Exit::Input, format!("{name}: {what}"));
    let text = text_file::decode(&bytes).map_err(bad)?;
    let lines = text_file::lines(&text).map(str::trim).filter(|line| !line.is_empty());
    let templates: Vec<String> = lines.map(str::to_owned).collect();
    if templates.is_empty() { Err(bad("no templates".into())) } else { Ok(templates) }
}

/// A classifier.
#[derive(Debug, PartialEq)]
pub(crate) struct Classifier {
    /// The model that embedded the classes, as it was called.
    pub(crate) model: String,
    pub(crate) fingerprint: u64,
    pub(crate) labels: Vec<String>,
    /// `[labels, features]`.
    pub(crate) embeddings: Vec<f32>,
}

impl Classifier {
    /// Writes the file `path`: whole, or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let count = self.labels.len();
        let (mut text, mut ends) = (String::new(), Vec::with_capacity(count));
        for label in &self.labels {
            text.push_str(label);
            ends.push(text.len() as u64);
        }
        let tensors = [
            Tensor { name: LABEL_ENDS, shape: vec![count], values: Values::U64(&ends) },
            Tensor {
                name: EMBEDDINGS,
                shape: vec![count, self.embeddings.len() / count],
                values: Values::F32(&self.embeddings),
            },
            Tensor { name: LABELS, shape: vec![text.len()], values: Values::U8(text.as_bytes()) },
        ];
        let metadata = [(MODEL, self.model.clone()), (FINGERPRINT, format!("{:016x}", self.fingerprint))];
        container::write(path, KIND, VERSION, &metadata, &tensors)?;
        output::notice(format_args!("wrote {}: a classifier of {count} labels", path.display()));
        Ok(())
    }

    /// Reads the file `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::of(Container::open(path, KIND, VERSION, WHAT)?)
    }

    fn of(mut file: Container<'_>) -> Result<Self> {
        let (model, fingerprint) = (file.text(MODEL)?.to_owned(), file.hex(FINGERPRINT)?);
        let [count] = file.shape(LABEL_ENDS, Dtype::U64)?;
        let [rows, dim] = file.shape(EMBEDDINGS, Dtype::F32)?;
        let [_bytes] = file.shape(LABELS, Dtype::U8)?;
        if count == 0 || rows != count || dim == 0 {
            return Err(file.bad("damaged: its tables have different lengths"));
        }
        let ends = file.words(LABEL_ENDS)?;
        let embeddings = file.floats(EMBEDDINGS)?;
        let text = file.bytes(LABELS)?;
        let text = str::from_utf8(&text).map_err(|_| file.bad("damaged: its labels"))?;
        let (mut begin, mut labels) = (0, Vec::new());
        for end in ends {
            let label = usize::try_from(end).ok().and_then(|end| text.get(begin..end));
            let label = label.filter(|it| !it.is_empty()).ok_or_else(|| file.bad("damaged: its labels"))?;
            labels.push(label.to_owned());
            begin += label.len();
        }
        if begin != text.len() {
            return Err(file.bad("damaged: its labels"));
        }
        file.end()?;
        Ok(Self { model, fingerprint, labels, embeddings })
    }

    /// Fails unless the model called `name` made it, which is in the file `path`.
    pub(crate) fn check(&self, path: &Path, name: &str, fingerprint: u64, dim: usize) -> Result<()> {
        if self.fingerprint == fingerprint && self.embeddings.len() == self.labels.len() * dim {
            return Ok(());
        }
        let (path, maker) = (path.display(), &self.model);
        let message = format!("{path}: made with another model than {name}: with {maker}");
        Err(Failure::new(Exit::Input, message).hint("--model names the model"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_is_told() {
        let classifier = Classifier {
            model: "m".into(),
            fingerprint: u64::MAX,
            labels: vec!["cat".into(), "ä dog".into()],
            embeddings: vec![1.0, 2.0, -3.0, 4.5],
        };
        let path = std::env::temp_dir().join(format!("vitrum-classifier-{}", std::process::id()));
        classifier.write(&path).unwrap();
        assert_eq!(Classifier::read(&path).unwrap(), classifier);
        classifier.check(&path, "m", u64::MAX, 2).unwrap();
        assert!(
            classifier.check(&path, "m", 1, 2).is_err() && classifier.check(&path, "m", u64::MAX, 3).is_err()
        );
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            if let Ok(other) = Classifier::read(&path) {
                assert!(other.model != "m" || other.fingerprint != u64::MAX, "byte {at}");
            }
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(Classifier::read(&path).is_err(), "cut at {at}");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn templates_are_files_or_sets() {
        assert_eq!(templates("imagenet").unwrap().len(), 80);
        assert!(matches!(templates("/no/such/file"), Err(Failure::Message { hint: Some(_), .. })));
    }
}
