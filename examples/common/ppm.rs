//! The simplest of picture files: a header of text, then RGB.

use std::error::Error;
use std::fs;
use std::path::Path;

use vitrum::{ImageView, PixelFormat};

/// A picture in memory.
pub(crate) struct Picture {
    rgb: Vec<u8>,
    width: usize,
    height: usize,
}

impl Picture {
    /// Reads a PPM of 8 bits without comments (`P6`).
    pub(crate) fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let bytes = fs::read(path)?;
        let mut rest = &bytes[..];
        let mut field = || -> Option<&str> {
            let end = rest.iter().position(u8::is_ascii_whitespace)?;
            let (word, behind) = rest.split_at(end);
            rest = &behind[1..];
            std::str::from_utf8(word).ok()
        };
        let fields = [field(), field(), field(), field()];
        let [Some("P6"), Some(width), Some(height), Some("255")] = fields else {
            return Err(format!("{}: not a PPM of 8 bits", path.display()).into());
        };
        Ok(Self { rgb: rest.to_vec(), width: width.parse()?, height: height.parse()? })
    }

    /// As the library takes it: nothing is copied, the size is checked.
    pub(crate) fn view(&self) -> vitrum::Result<ImageView<'_>> {
        ImageView::packed(&self.rgb, self.width, self.height, PixelFormat::Rgb8)
    }
}
