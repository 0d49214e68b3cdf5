//! Pictures as their files hold them: for masks, whose values mean something else than colours.

use std::path::Path;

use super::Picture;
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
    /// Reads a file as [`Picture::open`] does, and leaves its samples as they are.
    ///
    /// # Errors
    /// Those of [`Picture::open`].
    pub(crate) fn open_raw(path: &Path) -> Result<RawPicture> {
        Self::decode_raw(&path.display().to_string(), &super::read(path)?)
    }
}
