//! `vitrum classify`.

use serde::Serialize;
use vitrum::pipelines::clip::prompts;

use super::{embed_pictures, embed_texts, logits, top};
use crate::args::{ClassifyArgs, Machine};
use crate::failure::{Exit, OrExit, Result};
use crate::output::Output;
use crate::{labels, model};

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

/// Lines `image <tab> probability <tab> label`, or objects `{image, labels: [{label, probability}]}`.
pub(crate) fn run(args: &ClassifyArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    #[derive(Serialize)]
    struct Classified<'a> {
        image: &'a str,
        labels: Vec<Scored<'a>>,
    }

    let labels = labels::read(&args.labels)?;
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let prompts = prompts(&labels, args.template.as_deref()).or_exit(Exit::Usage)?;
    let clip = model::load(&args.model.model, &machine.cx()?)?;
    let texts = embed_texts(&clip, &prompts, false)?;
    let images = embed_pictures(&clip, &args.images, &args.pictures.options(), false)?;
    let mut scores = logits(&clip, &images, &texts)?;
    clip.probabilities(&mut scores, labels.len());

    let k = args.top.map_or(labels.len(), |k| k as usize);
    for (path, scores) in args.images.iter().zip(scores.chunks_exact(labels.len())) {
        let image = path.to_string_lossy();
        let best = best(&labels, scores, k);
        if output.json() {
            output.object(&Classified { image: &image, labels: best })?;
        } else {
            for Scored { label, probability } in best {
                output.line(format_args!("{image}\t{probability:.4}\t{label}"))?;
            }
        }
    }
    Ok(())
}
