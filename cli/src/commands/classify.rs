//! `vitrum classify`.

use std::path::Path;

use serde::Serialize;
use vitrum::pipelines::clip::prompts;

use super::batch::Pictures;
use super::{embed_texts, logits, top};
use crate::args::{ClassifyArgs, Machine};
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::name::ImageName;
use crate::npy::{self, Array};
use crate::output::Output;
use crate::text_file::is_stdin;
use crate::{bounded, inputs, labels, model, name};

/// A label and its probability.
#[derive(Debug, Serialize)]
pub(super) struct Scored<'a> {
    pub(super) label: &'a str,
    pub(super) probability: f32,
}

/// The `k` best labels of a picture.
pub(super) fn best<'a>(labels: &[&'a str], probabilities: &[f32], k: usize) -> Vec<Scored<'a>> {
    let scored = |i: usize| Scored { label: labels[i], probability: probabilities[i] };
    top(probabilities, k).into_iter().map(scored).collect()
}

/// Lines `image <tab> probability <tab> label`, or objects `{image, labels: [{label, probability}]}`, as the pictures
/// are done.
pub(crate) fn run(args: &ClassifyArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    #[derive(Serialize)]
    struct Classified<'a> {
        #[serde(flatten)]
        image: ImageName<'a>,
        labels: Vec<Scored<'a>>,
    }

    let stdin_taken = args.labels.labels_file.as_deref().is_some_and(is_stdin);
    let inputs = inputs::expand(&args.images, args.batch.recursive, stdin_taken)?;
    let labels = labels::read(&args.labels)?;
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let prompts = prompts(&labels, args.template.as_deref()).or_exit(Exit::Usage)?;
    let embeddings =
        args.label_embeddings.as_deref().map(|path| read_embeddings(path, labels.len())).transpose()?;
    let clip = model::load(&args.model.model, machine.load, &machine.cx()?)?;
    let texts = match embeddings {
        Some((path, array)) => of_model(path, array, clip.embed_dim())?,
        None => embed_texts(&clip, &prompts, false)?,
    };

    let k = args.top.map_or(labels.len(), |k| k as usize);
    let mut pictures = Pictures::new(&clip, &inputs, false, (&args.batch, &args.pictures));
    while let Some(batch) = pictures.next()? {
        let mut scores = logits(&clip, &batch.embeddings, &texts)?;
        clip.probabilities(&mut scores, labels.len());
        pictures.show(&batch, output, |seen, index, output| {
            let Ok(index) = index else { return Ok(()) };
            let best = best(&labels, &scores[index * labels.len()..][..labels.len()], k);
            if output.json() {
                return output.object(&Classified { image: seen.name(), labels: best });
            }
            let image = name::shown(seen.path);
            for Scored { label, probability } in best {
                output.line(format_args!("{image}\t{probability:.4}\t{}", name::field(label)))?;
            }
            Ok(())
        })?;
    }
    pictures.verdict()
}

/// Bytes of a file of embeddings at most: a million rows of 1024 values.
const MAX_EMBEDDINGS: u64 = 4 << 30;

/// The embeddings in the file `path`, a row for each of `labels` labels.
fn read_embeddings(path: &Path, labels: usize) -> Result<(&Path, Array)> {
    let bad = |message: String| Failure::new(Exit::Input, format!("{}: {message}", path.display()));
    let bytes = bounded::open(path, MAX_EMBEDDINGS, npy::is_npy)?;
    let array = npy::read(&bytes).map_err(bad)?;
    match array.shape[..] {
        [rows, _] if rows == labels => {}
        [rows, _] => return Err(bad(format!("{rows} embeddings for {labels} labels"))),
        _ => return Err(bad(format!("an array of shape {:?}, not [labels, features]", array.shape))),
    }
    let width = array.shape[1].max(1);
    if let Some(row) = array.values.chunks(width).position(|row| row.iter().any(|value| !value.is_finite())) {
        return Err(bad(format!("row {row} holds values that are not finite")));
    }
    Ok((path, array))
}

/// The values, if they are as long as the embeddings of the model.
fn of_model(path: &Path, array: Array, dim: usize) -> Result<Vec<f32>> {
    if array.shape[1] == dim {
        return Ok(array.values);
    }
    let message = format!("{}: embeddings of {} values for a model of {dim}", path.display(), array.shape[1]);
    Err(Failure::new(Exit::Input, message).hint("embed the labels with the same model"))
}
