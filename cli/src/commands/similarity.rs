//! `vitrum similarity`.

use serde::Serialize;

use super::batch::Pictures;
use super::{embed_texts, logits};
use crate::args::{Machine, SimilarityArgs};
use crate::failure::Result;
use crate::name::ImageName;
use crate::output::Output;
use crate::{inputs, model, name};

/// Lines `image <tab> cosine <tab> logit <tab> text`, or objects `{image, texts: [{text, cosine, logit}]}`, as the
/// pictures are done.
pub(crate) fn run(args: &SimilarityArgs, machine: &Machine, output: &mut Output) -> Result<()> {
    #[derive(Serialize)]
    struct Compared<'a> {
        #[serde(flatten)]
        image: ImageName<'a>,
        texts: Vec<Pair<'a>>,
    }
    #[derive(Serialize)]
    struct Pair<'a> {
        text: &'a str,
        cosine: f32,
        logit: f32,
    }

    let inputs = inputs::expand(&args.images, args.batch.recursive, false)?;
    let clip = model::load(&args.model.model, machine.load, &machine.cx()?)?;
    let texts = embed_texts(&clip, &args.texts, true)?;
    let (dim, count) = (clip.embed_dim(), args.texts.len());
    let mut pictures = Pictures::new(&clip, &inputs, true, (&args.batch, &args.pictures));
    while let Some(batch) = pictures.next()? {
        let logits = logits(&clip, &batch.embeddings, &texts)?;
        pictures.show(&batch, output, |seen, index, output| {
            let Ok(index) = index else { return Ok(()) };
            let image = &batch.embeddings[index * dim..][..dim];
            let pairs = args.texts.iter().zip(texts.chunks_exact(dim)).zip(&logits[index * count..]);
            let pairs = pairs.map(|((text, embedding), &logit)| {
                let cosine = image.iter().zip(embedding).map(|(a, b)| a * b).sum();
                Pair { text, cosine, logit }
            });
            if output.json() {
                return output.object(&Compared { image: seen.name(), texts: pairs.collect() });
            }
            let image = name::shown(seen.path);
            for Pair { text, cosine, logit } in pairs {
                output.line(format_args!("{image}\t{cosine:.4}\t{logit:.4}\t{}", name::field(text)))?;
            }
            Ok(())
        })?;
    }
    pictures.verdict()
}
