//! How pictures are read.

use clap::Args;
use vitrum::image::MAX_IMAGE_PIXELS;

use crate::picture::{MASKS, PictureOptions};

/// Options of all commands that take pictures.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct PictureArgs {
    /// Leave pictures as their pixels lie in the file: do not turn and mirror them as EXIF data ask.
    #[arg(long)]
    pub(crate) no_exif: bool,
    /// Pixels of a picture at most; by default 268435456, or fewer if the file is far too small for so many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_IMAGE_PIXELS as i64))]
    pub(crate) max_pixels: Option<u32>,
}

impl PictureArgs {
    /// What was asked for.
    pub(crate) fn options(&self) -> PictureOptions {
        let max_pixels = self.max_pixels.map(|pixels| pixels as usize);
        PictureOptions { exif: !self.no_exif, max_pixels, ..PictureOptions::default() }
    }

    /// The same of pictures whose masks are found and drawn.
    pub(crate) fn options_for_masks(&self) -> PictureOptions {
        PictureOptions { shown: MASKS, ..self.options() }
    }
}
