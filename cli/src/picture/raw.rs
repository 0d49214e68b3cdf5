//! Pictures as their files hold them: for masks, whose values mean something else than colours.

use vitrum::image::PixelFormat;

use super::{Picture, PictureOptions};
use crate::failure::Result;

/// The samples of a picture, row by row without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RawPixels {
    /// Grey; 1, 2 and 4 bits are scaled to 8.
    Gray8(Vec<u8>),
    /// Grey of 16 bits.
    Gray16(Vec<u16>),
    /// Numbers of colours. The palette may have fewer colours than there are numbers.
    Indexed { indices: Vec<u8>, palette: Vec<[u8; 3]> },
    /// Red, green, blue.
    Rgb8(Vec<u8>),
    /// Grey, alpha.
    GrayAlpha8(Vec<u8>),
    /// Red, green, blue, alpha.
    Rgba8(Vec<u8>),
}

/// A picture with the kind of samples that its file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawPicture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: RawPixels,
}

impl Picture {
    /// Decodes a file's contents and leaves its samples as they are; messages call it `name`. The picture is turned as
    /// [`Picture::open`] turns it.
    ///
    /// # Errors
    /// The file is damaged, no picture in a known format, or too large.
    pub(crate) fn decode_raw_with(name: &str, bytes: &[u8], options: &PictureOptions) -> Result<RawPicture> {
        Ok(super::decode(name, bytes, options)?.raw)
    }
}

#[cfg(test)]
impl Picture {
    /// The same with the usual options.
    pub(crate) fn decode_raw(name: &str, bytes: &[u8]) -> Result<RawPicture> {
        Self::decode_raw_with(name, bytes, &PictureOptions::default())
    }
}

impl RawPicture {
    /// The samples as colours of 8 bits: palettes are looked up, of 16 bits the upper 8 are taken, and the alpha of
    /// grey is dropped. Tells in `notes` what is lost.
    pub(super) fn into_colors(self, notes: &mut Vec<String>) -> (PixelFormat, Vec<u8>) {
        match self.pixels {
            RawPixels::Gray8(data) => (PixelFormat::Gray8, data),
            RawPixels::Gray16(data) => {
                let most = data.iter().copied().max().unwrap_or_default();
                let dark = if most < 4096 {
                    ": nearly black; scale them first if they are not meant so"
                } else {
                    ""
                };
                notes.push(format!("of samples of 16 bits, the largest {most}, the upper 8 are taken{dark}"));
                (PixelFormat::Gray8, data.into_iter().map(|value| (value >> 8) as u8).collect())
            }
            RawPixels::Indexed { indices, palette } => {
                let mut table = [[0; 3]; 256];
                table.iter_mut().zip(&palette).for_each(|(entry, color)| *entry = *color);
                let mut data = Vec::with_capacity(3 * indices.len());
                indices.iter().for_each(|&index| data.extend_from_slice(&table[usize::from(index)]));
                (PixelFormat::Rgb8, data)
            }
            RawPixels::Rgb8(data) => (PixelFormat::Rgb8, data),
            RawPixels::GrayAlpha8(data) => {
                (PixelFormat::Gray8, data.chunks_exact(2).map(|pixel| pixel[0]).collect())
            }
            RawPixels::Rgba8(data) => (PixelFormat::Rgba8, data),
        }
    }
}
