//! `vitrum classify`.

use serde::Serialize;
use vitrum::pipelines::clip::prompts;

use super::batch::Pictures;
use super::{embed_texts, logits, top};
use crate::args::{ClassifyArgs, Machine};
use crate::failure::{Exit, OrExit, Result};
use crate::name::ImageName;
use crate::output::Output;
use crate::text_file::is_stdin;
use crate::{inputs, labels, model, name};

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
    let clip = model::load(&args.model.model, machine.load, &machine.cx()?)?;
    let texts = embed_texts(&clip, &prompts, false)?;

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
