//! Small pictures for a page.

use std::path::Path;

use jpeg_encoder::{ColorType, Encoder};
use vitrum::exec::Cx;
use vitrum::kernels::resize::pillow::{Filter, Resample};

use crate::failure::{Exit, Failure, OrExit, Result};
use crate::picture::{Picture, PictureOptions};

/// Longest side in pixels: sharp at half of that on a screen with small pixels.
const SIDE: usize = 320;
const QUALITY: u8 = 80;

/// A JPEG.
pub(super) struct Thumbnail {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) jpeg: Vec<u8>,
}

impl Thumbnail {
    /// Of the picture in the file `path`.
    pub(super) fn of(cx: &Cx, path: &Path, options: &PictureOptions) -> Result<Self> {
        let picture = Picture::open(path, options)?;
        let view = picture.view()?;
        let (width, height) = (view.width(), view.height());
        let mut rgb = vec![0; 3 * width * height];
        rgb.chunks_exact_mut(3 * width).enumerate().for_each(|(y, row)| view.row_rgb(y, row));
        let most = width.max(height).max(SIDE);
        let side = |side: usize| (side * SIDE).div_ceil(most).max(1);
        let (small_width, small_height) = (side(width), side(height));
        let resample = Resample::new(3, (width, height), (small_width, small_height), Filter::Bicubic);
        let resample = resample.or_exit(Exit::Input)?;
        let mut small = vec![0; 3 * small_width * small_height];
        let mut workspace = cx.workspace(resample.scratch_req(cx)).or_exit(Exit::Other)?;
        resample.run(cx, &rgb, 3 * width, &mut small, workspace.scratch());
        let mut jpeg = Vec::new();
        Encoder::new(&mut jpeg, QUALITY)
            .encode(&small, small_width as u16, small_height as u16, ColorType::Rgb)
            .map_err(|error| Failure::new(Exit::Other, format!("{}: {error}", path.display())))?;
        Ok(Self { width: small_width, height: small_height, jpeg })
    }
}
