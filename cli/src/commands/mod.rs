//! The commands, one file each.

mod annotations;
mod batch;
pub(crate) mod classify;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod embed;
pub(crate) mod everything;
mod files;
pub(crate) mod index;
pub(crate) mod info;
mod kinds;
pub(crate) mod man;
pub(crate) mod mask_picture;
mod mask_prompt;
mod masks;
pub(crate) mod quantize;
pub(crate) mod search;
pub(crate) mod segment;
pub(crate) mod similarity;
pub(crate) mod track;

use vitrum::ErrorCode;
use vitrum::pipelines::clip::{Clip, EncodeOptions};

use crate::failure::{Exit, OrExit, Result};

/// Embeddings of `texts`: `[texts, embed_dim]`.
pub(crate) fn embed_texts<T: AsRef<str>>(clip: &Clip, texts: &[T], normalize: bool) -> Result<Vec<f32>> {
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let embeddings = clip.encode_texts(&texts, &EncodeOptions::default().with_normalize(normalize));
    let is_of_texts = |error: &vitrum::Error| {
        clip.tokenizer().is_some() && matches!(error.code(), ErrorCode::InvalidArgument | ErrorCode::Limit)
    };
    let exit = if embeddings.as_ref().is_err_and(is_of_texts) { Exit::Usage } else { Exit::Model };
    embeddings.or_exit(exit)
}

/// Logits `[images, texts]`; none of no images.
fn logits(clip: &Clip, images: &[f32], texts: &[f32]) -> Result<Vec<f32>> {
    if images.is_empty() {
        return Ok(Vec::new());
    }
    clip.similarity(images, texts).or_exit(Exit::Other)
}

/// The indices of the `k` largest `values`, the largest first.
fn top(values: &[f32], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order.truncate(k);
    order
}
