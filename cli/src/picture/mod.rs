//! Pictures: the formats that people have to 8-bit RGB or grey, and RGB or grey to PNG.

mod bmp;
mod gif;
#[cfg(test)]
mod goldens;
mod jpeg;
mod limits;
mod orientation;
mod png;
mod pnm;
mod raw;
mod sniff;
mod tiff;
mod webp;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use vitrum::image::{ImageView, PixelFormat};

use crate::draw::Rect;
use crate::failure::{Exit, Failure, OrExit, Result};
use crate::{bounded, output};
pub(crate) use gif::mended as mended_gif;
pub(crate) use limits::{Limits, MASKS, PictureOptions};
pub(crate) use png::write_canvas;
pub(crate) use raw::{RawPicture, RawPixels};
use sniff::Kind;

/// Bytes of a picture file at most.
pub(crate) const MAX_FILE: u64 = 1 << 29;

/// A decoded picture.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    format: PixelFormat,
    data: Vec<u8>,
    orientation: u8,
}

/// What a decoder found.
#[derive(Debug)]
struct Decoded {
    raw: RawPicture,
    /// As EXIF numbers it, 1 to 8.
    orientation: u8,
    /// What the user should know: what was left out or changed.
    notes: Vec<String>,
}

impl From<RawPicture> for Decoded {
    fn from(raw: RawPicture) -> Self {
        Self { raw, orientation: 1, notes: Vec::new() }
    }
}

impl Picture {
    /// A black picture of a size that was checked.
    pub(crate) fn blank(width: usize, height: usize, format: PixelFormat) -> Self {
        Self { width, height, format, data: vec![0; width * height * format.bytes()], orientation: 1 }
    }

    /// A picture of rows without gaps, of a size that was checked.
    pub(crate) fn of_rgb(width: usize, height: usize, data: Vec<u8>) -> Self {
        Self { width, height, format: PixelFormat::Rgb8, data, orientation: 1 }
    }

    /// The pixels, row by row without gaps.
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// Reads a file, or standard input for `-`, and tells the user what was changed or left out.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, is no picture in a known format, or is too large.
    pub(crate) fn open(path: &Path, options: &PictureOptions) -> Result<Self> {
        let (picture, notes) = Self::load(path, options)?;
        tell(path, &notes);
        Ok(picture)
    }

    /// Reads a file; with what [`Picture::open`] tells the user.
    pub(crate) fn load(path: &Path, options: &PictureOptions) -> Result<(Self, Vec<String>)> {
        let (name, bytes) = read(path)?;
        Self::decode_with(&name, &bytes, options)
    }

    /// Decodes a file's contents; messages call it `name`.
    pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<Self> {
        Ok(Self::decode_with(name, bytes, &PictureOptions::default())?.0)
    }

    /// The same with `options`, and with notes.
    pub(crate) fn decode_with(
        name: &str,
        bytes: &[u8],
        options: &PictureOptions,
    ) -> Result<(Self, Vec<String>)> {
        let Decoded { raw, orientation, mut notes } = decode(name, bytes, options)?;
        let (width, height) = (raw.width, raw.height);
        let (format, data) = raw.into_colors(&mut notes);
        Ok((Self { width, height, format, data, orientation }, notes))
    }

    /// How the picture was turned and mirrored, as EXIF numbers it; `None` if it was not.
    pub(crate) fn orientation(&self) -> Option<u8> {
        Some(self.orientation).filter(|&orientation| orientation != 1)
    }

    /// The pixels, as the library takes them.
    pub(crate) fn view(&self) -> Result<ImageView<'_>> {
        ImageView::packed(&self.data, self.width, self.height, self.format).or_exit(Exit::Input)
    }

    /// The pixels in `rect`, where they are.
    pub(crate) fn region(&self, rect: Rect) -> Result<ImageView<'_>> {
        let Rect { x, y, width, height } = rect;
        self.view()?.crop(x, y, width, height).or_exit(Exit::Input)
    }
}

/// Tells the user what was changed or left out of a picture.
pub(crate) fn tell(path: &Path, notes: &[String]) {
    let name = name_of(path);
    notes.iter().for_each(|note| output::complain(&format!("{name}: {note}"), None));
}

/// Whether standard input was read: it can be only once.
static STDIN_READ: AtomicBool = AtomicBool::new(false);

/// What messages call a file.
fn name_of(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".into() } else { path.display().to_string() }
}

/// What messages call a file, and its bytes, or more than a picture may have.
fn read(path: &Path) -> Result<(String, Vec<u8>)> {
    let name = name_of(path);
    if path.as_os_str() == "-" {
        if STDIN_READ.swap(true, Ordering::Relaxed) {
            return Err(Failure::usage("standard input can be read only once: give - for one picture"));
        }
        let read = bounded::read(io::stdin().lock(), MAX_FILE, is_picture);
        let bytes = read.map_err(|error| Failure::new(Exit::Input, format!("{name}: {error}")))?;
        return Ok((name, bytes));
    }
    let unreadable = |error| Failure::unreadable(path, &error);
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(Failure::new(Exit::Input, format!("{name}: a directory, not a picture")));
    }
    let bytes = bounded::read(file, MAX_FILE, is_picture).map_err(unreadable)?;
    Ok((name, bytes))
}

/// Whether a file begins as a picture that is read.
pub(crate) fn is_picture(head: &[u8]) -> bool {
    Kind::of(head).is_some()
}

/// Decodes a file's contents and turns the picture as it is to be seen; messages call it `name`.
fn decode(name: &str, bytes: &[u8], options: &PictureOptions) -> Result<Decoded> {
    let failure = |error: String| Failure::new(Exit::Input, format!("{name}: {error}"));
    if bytes.len() as u64 > MAX_FILE {
        return Err(failure(format!("the file is larger than {} MB", MAX_FILE >> 20)));
    }
    let limits = Limits::of_file(options, bytes.len());
    let decoded = match Kind::of(bytes) {
        Some(Kind::Png) => png::decode(bytes, limits),
        Some(Kind::Jpeg) => jpeg::decode(bytes, limits),
        Some(Kind::Pnm) => pnm::decode(bytes, limits).map(Decoded::from),
        Some(Kind::Webp) => webp::decode(bytes, limits),
        Some(Kind::Bmp) => bmp::decode(bytes, limits).map(Decoded::from),
        Some(Kind::Tiff) => tiff::decode(bytes, limits),
        Some(Kind::Gif) => gif::decode(bytes, limits),
        None => return Err(failure(sniff::what_is(bytes)).hint(sniff::HINT)),
    };
    let mut decoded = decoded.map_err(failure)?;
    if !options.exif {
        decoded.orientation = 1;
    }
    decoded.raw = orientation::apply(decoded.raw, decoded.orientation);
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::png::ColorType;

    /// A PNG of `data` in a given form.
    fn encoded(
        color: ColorType,
        depth: ::png::BitDepth,
        (width, height): (u32, u32),
        palette: Option<(&[u8], &[u8])>,
        data: &[u8],
    ) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = ::png::Encoder::new(&mut file, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if let Some((palette, alpha)) = palette {
            encoder.set_palette(palette);
            encoder.set_trns(alpha);
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        file
    }

    fn rgb(file: &[u8]) -> Vec<u8> {
        let picture = Picture::decode("test", file).unwrap();
        let view = picture.view().unwrap();
        let mut out = vec![0; picture.width * picture.height * 3];
        out.chunks_exact_mut(picture.width * 3).enumerate().for_each(|(y, row)| view.row_rgb(y, row));
        out
    }

    #[test]
    fn png_forms_become_rgb() {
        use ::png::BitDepth::{Eight, Four, One, Sixteen};
        let palette: (&[u8], &[u8]) = (&[1, 2, 3, 40, 50, 60], &[0, 128]);
        let cases = [
            (encoded(ColorType::Indexed, Four, (2, 1), Some(palette), &[0x10]), vec![40, 50, 60, 1, 2, 3]),
            (
                encoded(ColorType::Grayscale, One, (3, 1), None, &[0b1010_0000]),
                [[255; 3], [0; 3], [255; 3]].concat(),
            ),
            (encoded(ColorType::Rgb, Sixteen, (1, 1), None, &[9, 255, 8, 128, 7, 0]), vec![9, 8, 7]),
            (encoded(ColorType::Rgba, Eight, (1, 1), None, &[9, 8, 7, 0]), vec![9, 8, 7]),
            (encoded(ColorType::GrayscaleAlpha, Eight, (1, 2), None, &[5, 0, 6, 9]), vec![5, 5, 5, 6, 6, 6]),
            (encoded(ColorType::Grayscale, Sixteen, (1, 1), None, &[77, 200]), vec![77, 77, 77]),
        ];
        for (file, expected) in cases {
            assert_eq!(rgb(&file), expected);
        }
    }

    #[test]
    fn raw_samples_are_left_as_they_are() {
        use ::png::BitDepth::{Eight, Four, One, Sixteen, Two};
        use RawPixels::{Gray8, Gray16, GrayAlpha8, Indexed, Rgb8, Rgba8};
        let raw = |file: &[u8]| {
            let RawPicture { width, height, pixels } = Picture::decode_raw("test", file).unwrap();
            (width, height, pixels)
        };
        let (colors, alpha): (&[u8], &[u8]) = (&[1, 2, 3, 40, 50, 60], &[0]);
        let palette = || vec![[1, 2, 3], [40, 50, 60]];
        let indexed = |depth, size, data: &[u8]| {
            raw(&encoded(ColorType::Indexed, depth, size, Some((colors, alpha)), data))
        };
        let indices = |indices: &[u8]| Indexed { indices: indices.to_vec(), palette: palette() };
        assert_eq!(indexed(Eight, (2, 1), &[1, 0]), (2, 1, indices(&[1, 0])));
        assert_eq!(indexed(Four, (3, 2), &[0x10, 0x1f, 0x01, 0]), (3, 2, indices(&[1, 0, 1, 0, 1, 0])));
        assert_eq!(indexed(Two, (5, 1), &[0b0100_0001, 0b0100_0000]), (5, 1, indices(&[1, 0, 0, 1, 1])));
        assert_eq!(indexed(One, (3, 2), &[0b0100_0000, 0b1010_0000]), (3, 2, indices(&[0, 1, 0, 1, 0, 1])));
        let plain = |color, depth, size, data: &[u8]| raw(&encoded(color, depth, size, None, data));
        assert_eq!(
            plain(ColorType::Grayscale, Sixteen, (2, 1), &[0, 7, 255, 254]),
            (2, 1, Gray16(vec![7, 65534]))
        );
        assert_eq!(plain(ColorType::Grayscale, Two, (2, 1), &[0b1001_0000]), (2, 1, Gray8(vec![170, 85])));
        assert_eq!(plain(ColorType::GrayscaleAlpha, Eight, (1, 1), &[3, 4]), (1, 1, GrayAlpha8(vec![3, 4])));
        assert_eq!(plain(ColorType::Rgba, Eight, (1, 1), &[1, 2, 3, 4]), (1, 1, Rgba8(vec![1, 2, 3, 4])));
        assert_eq!(raw(b"P6 1 1 255\nabc"), (1, 1, Rgb8(b"abc".to_vec())));
    }

    #[test]
    fn damaged_and_foreign_files_are_named() {
        let message = |bytes: &[u8]| match Picture::decode("p", bytes) {
            Err(Failure::Message { exit: Exit::Input, message, .. }) => message,
            other => panic!("{other:?}"),
        };
        let jpeg = include_bytes!("../../../demo/images/chelsea.jpg");
        let png = include_bytes!("../../../demo/images/octopus-3d.png");
        assert_eq!(message(b""), "p: the file is empty");
        assert_eq!(message(b"hello"), "p: not a picture in a known format");
        assert_eq!(message(b"\0\0\0\x10ftypavif\0\0\0\0"), "p: AVIF pictures are not supported");
        for cut in [9, 30, 100, png.len() / 2, png.len() - 16] {
            assert!(message(&png[..cut]).starts_with("p: damaged PNG: "), "{cut}");
        }
        for cut in [4, 30, 300, jpeg.len() / 2] {
            assert!(message(&jpeg[..cut]).starts_with("p: damaged "), "{cut}: {}", message(&jpeg[..cut]));
        }
        let mut flipped = png.to_vec();
        flipped[100] ^= 1;
        assert!(message(&flipped).starts_with("p: damaged PNG: "));
    }

    #[test]
    fn gigantic_pictures_are_refused_before_decoding() {
        let mut file = Vec::new();
        let encoder = ::png::Encoder::new(&mut file, 1 << 16, 1);
        drop(encoder.write_header().unwrap());
        let Err(Failure::Message { message, .. }) = Picture::decode("p", &file) else { panic!() };
        assert_eq!(message, "p: a picture of 65536 x 1 pixels is too large");
    }
}
