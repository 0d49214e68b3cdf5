//! `vitrum similarity`.

use serde::Serialize;

use super::{embed_pictures, embed_texts, logits};
use crate::args::{Machine, SimilarityArgs};
use crate::failure::Result;
use crate::model;
use crate::output::Output;

/// Lines `image <tab> cosine <tab> logit <tab> text`, or objects `{image, texts: [{text, cosine, logit}]}`.
pub(crate) fn run(args: &SimilarityArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    #[derive(Serialize)]
    struct Compared<'a> {
        image: &'a str,
        texts: Vec<Pair<'a>>,
    }
    #[derive(Serialize)]
    struct Pair<'a> {
        text: &'a str,
        cosine: f32,
        logit: f32,
    }

    let clip = model::load(&args.model.model, &machine.cx()?)?;
    let texts = embed_texts(&clip, &args.texts, true)?;
    let images = embed_pictures(&clip, &args.images, &args.pictures.options(), true)?;
    let logits = logits(&clip, &images, &texts)?;
    let dim = clip.embed_dim();
    let rows = images.chunks_exact(dim).zip(logits.chunks_exact(args.texts.len()));
    for (path, (image_embedding, logits)) in args.images.iter().zip(rows) {
        let image = path.to_string_lossy();
        let embeddings = texts.chunks_exact(dim);
        let texts = args.texts.iter().zip(embeddings).zip(logits).map(|((text, embedding), &logit)| {
            let cosine = image_embedding.iter().zip(embedding).map(|(a, b)| a * b).sum();
            Pair { text, cosine, logit }
        });
        if output.json() {
            output.object(&Compared { image: &image, texts: texts.collect() })?;
        } else {
            for Pair { text, cosine, logit } in texts {
                output.line(format_args!("{image}\t{cosine:.4}\t{logit:.4}\t{text}"))?;
            }
        }
    }
    Ok(())
}
