//! The commands, one file each.

pub(crate) mod classify;
pub(crate) mod demo;
pub(crate) mod embed;
pub(crate) mod everything;
pub(crate) mod info;
mod mask_prompt;
mod masks;
pub(crate) mod segment;
pub(crate) mod similarity;
pub(crate) mod track;

use std::path::PathBuf;

use vitrum::image::ImageView;
use vitrum::pipelines::clip::Clip;
use vitrum::{Error, ErrorCode};

use crate::failure::{Exit, Failure, OrExit, Result};
use crate::picture::{Picture, PictureOptions};
use crate::progress;

/// Pictures that are in memory at the same time.
const BATCH: usize = 8;

/// Embeddings of the pictures in `paths`: `[paths, embed_dim]`.
fn embed_pictures(
    clip: &Clip,
    paths: &[PathBuf],
    options: &PictureOptions,
    normalize: bool,
) -> Result<Vec<f32>> {
    let progress = progress::bar("pictures", paths.len());
    let mut embeddings = Vec::with_capacity(paths.len() * clip.embed_dim());
    for paths in paths.chunks(BATCH) {
        let pictures = paths.iter().map(|path| Picture::open(path, options)).collect::<Result<Vec<_>>>()?;
        let views = pictures.iter().map(Picture::view).collect::<Result<Vec<_>>>()?;
        let batch =
            clip.encode_images(&views, normalize).map_err(|error| culprit(clip, paths, &views, error))?;
        embeddings.extend(batch);
        progress.inc(paths.len() as u64);
    }
    Ok(embeddings)
}

/// The failure of a batch, with the name of the file that caused `error`.
fn culprit(clip: &Clip, paths: &[PathBuf], views: &[ImageView<'_>], error: Error) -> Failure {
    for (path, view) in paths.iter().zip(views) {
        if let Err(error) = clip.encode_images(&[*view], false) {
            return Failure::new(Exit::Input, format!("{}: {error}", path.display()));
        }
    }
    Failure::new(Exit::Other, error.message())
}

/// Embeddings of `texts`: `[texts, embed_dim]`.
fn embed_texts<T: AsRef<str>>(clip: &Clip, texts: &[T], normalize: bool) -> Result<Vec<f32>> {
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    clip.encode_texts(&texts, normalize).map_err(|error| {
        let exit = match error.code() {
            ErrorCode::InvalidArgument | ErrorCode::Limit => Exit::Usage,
            _ => Exit::Model,
        };
        Failure::new(exit, error.message())
    })
}

/// Logits `[images, texts]`.
fn logits(clip: &Clip, images: &[f32], texts: &[f32]) -> Result<Vec<f32>> {
    clip.similarity(images, texts).or_exit(Exit::Other)
}

/// The indices of the `k` largest `values`, the largest first.
fn top(values: &[f32], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order.truncate(k);
    order
}
