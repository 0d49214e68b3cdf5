//! How large a picture may be. Sizes are checked before memory is taken for them.

use vitrum::image::{MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE};

/// Bytes that a picture may take while it is decoded, whatever the size of its file.
const BASE: usize = 144 << 20;
/// What it may take more for each byte of its file. The pictures of cameras have a byte for 2 to 60 bytes of pixels; a
/// decompression bomb has one for thousands.
const PER_BYTE: usize = 512;

/// Bytes for a pixel of a picture whose masks are found and drawn: the picture, its copy in colours, the canvas, its file.
pub(crate) const MASKS: usize = 15;

/// How pictures are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PictureOptions {
    /// Whether a picture is turned and mirrored as its EXIF data ask.
    pub(crate) exif: bool,
    /// Pixels at most. Without it, as many as the library takes ([`MAX_IMAGE_PIXELS`]), unless the file is far too small
    /// for them.
    pub(crate) max_pixels: Option<usize>,
    /// Bytes that a command takes for a pixel of the decoded picture: to show it to a model, to draw masks on it.
    pub(crate) shown: usize,
}

impl Default for PictureOptions {
    fn default() -> Self {
        Self { exif: true, max_pixels: None, shown: 1 }
    }
}

/// The limits of a picture in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    max_pixels: Option<usize>,
    shown: usize,
    /// Bytes of the file; `None` for a stream, which ends nobody knows where.
    file: Option<usize>,
}

impl Limits {
    /// Of a picture in a file of `file` bytes.
    pub(crate) fn of_file(options: &PictureOptions, file: usize) -> Self {
        Self { max_pixels: options.max_pixels, shown: options.shown, file: Some(file) }
    }

    /// Of frames in a stream. Memory must be taken as bytes come.
    pub(crate) fn of_stream(options: &PictureOptions) -> Self {
        Self { max_pixels: options.max_pixels, shown: options.shown, file: None }
    }

    /// Bytes that a picture may take while it is decoded.
    pub(crate) fn memory(&self) -> usize {
        match (self.max_pixels, self.file) {
            (None, Some(file)) => BASE.saturating_add(file.saturating_mul(PER_BYTE)),
            _ => usize::MAX,
        }
    }

    /// Refuses a picture that is larger than the library takes, than the user wants, or than its file can be meant to
    /// hold, if it takes `bytes` for a pixel while it is decoded.
    pub(crate) fn check(&self, width: usize, height: usize, bytes: usize) -> Result<(), String> {
        let pixels = width.saturating_mul(height);
        if pixels == 0 {
            return Err(format!("a picture of {width} x {height} pixels has none"));
        }
        if width.max(height) > MAX_IMAGE_SIDE || pixels > MAX_IMAGE_PIXELS {
            return Err(format!("a picture of {width} x {height} pixels is too large"));
        }
        if let Some(most) = self.max_pixels.filter(|&most| pixels > most) {
            return Err(format!("a picture of {width} x {height} pixels is larger than --max-pixels {most}"));
        }
        match self.file {
            Some(file) if pixels.saturating_mul(bytes.max(self.shown)) > self.memory() => Err(format!(
                "a picture of {width} x {height} pixels in {file} bytes, taken for a decompression bomb \
                 (--max-pixels {pixels} reads it)"
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_hold_no_gigantic_pictures() {
        let limits = |max_pixels, file| {
            let options = PictureOptions { max_pixels, ..PictureOptions::default() };
            move |width, height, bytes| Limits::of_file(&options, file).check(width, height, bytes)
        };
        let default = limits(None, 100_000);
        assert_eq!(default(8000, 6000, 3), Ok(()));
        assert_eq!(default(16384, 8192, 1), Ok(()));
        let drawn = PictureOptions { shown: MASKS, ..PictureOptions::default() };
        assert!(Limits::of_file(&drawn, 100_000).check(8000, 6000, 3).is_err());
        assert_eq!(Limits::of_file(&drawn, 100_000).check(4000, 3000, 3), Ok(()));
        assert_eq!(Limits::of_file(&drawn, 3_000_000).check(12000, 8000, 3), Ok(()));
        assert!(default(16384, 8192, 3).unwrap_err().contains("--max-pixels 134217728 reads it"));
        assert_eq!(limits(Some(1 << 28), 1000)(16384, 8192, 3), Ok(()));
        // 200 million pixels, as telephones take them.
        assert_eq!(limits(None, 20_000_000)(16320, 12240, 9), Ok(()));
        assert_eq!(
            limits(Some(99), 1000)(10, 10, 3).unwrap_err(),
            "a picture of 10 x 10 pixels is larger than --max-pixels 99"
        );
        for (width, height) in [(65535, 65535), (32769, 1), (32768, 8193)] {
            let message = format!("a picture of {width} x {height} pixels is too large");
            assert_eq!(limits(Some(usize::MAX), usize::MAX)(width, height, 1).unwrap_err(), message);
        }
        assert!(default(0, 7, 1).is_err());
        let stream = Limits::of_stream(&PictureOptions::default());
        assert_eq!(stream.check(32768, 8192, 3), Ok(()));
    }
}
