//! Pictures: PNG, JPEG and binary PPM to 8-bit RGB or grey, and RGB or grey to PNG.

mod png;
mod raw;

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use vitrum::image::{ImageView, MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE, PixelFormat};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::draw::Rect;
use crate::failure::{Exit, Failure, OrExit, Result};
pub(crate) use png::{Pixels, write_canvas, write_png};
pub(crate) use raw::{RawPicture, RawPixels};

/// Bytes of a picture file at most.
pub(crate) const MAX_FILE: u64 = 1 << 29;

/// A decoded picture.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    format: PixelFormat,
    data: Vec<u8>,
}

impl Picture {
    /// A black picture of a size that was checked.
    pub(crate) fn blank(width: usize, height: usize, format: PixelFormat) -> Self {
        Self { width, height, format, data: vec![0; width * height * format.bytes()] }
    }

    /// The pixels, row by row without gaps.
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// Reads a file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::decode(&path.display().to_string(), &read(path)?)
    }

    /// Decodes a file's contents; messages call it `name`.
    pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<Self> {
        Ok(Self::decode_raw(name, bytes)?.into())
    }

    /// Decodes a file's contents and leaves its samples as they are; messages call it `name`.
    pub(crate) fn decode_raw(name: &str, bytes: &[u8]) -> Result<RawPicture> {
        let decoded = if bytes.len() as u64 > MAX_FILE {
            Err(format!("the file is larger than {} MB", MAX_FILE >> 20))
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            png::decode(bytes)
        } else if bytes.starts_with(b"\xff\xd8\xff") {
            decode_jpeg(bytes)
        } else if bytes.starts_with(b"P6") {
            decode_ppm(bytes)
        } else {
            return Err(Failure::new(Exit::Input, format!("{name}: {}", what_is(bytes)))
                .hint("PNG, JPEG and binary PPM are read; convert other formats first"));
        };
        decoded.map_err(|error| Failure::new(Exit::Input, format!("{name}: {error}")))
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

/// The bytes of a file, or more than a picture may have.
fn read(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |error| Failure::unreadable(path, &error);
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(Failure::new(Exit::Input, format!("{}: a directory, not a picture", path.display())));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

impl From<RawPicture> for Picture {
    /// Palettes become colours, of 16 bits the upper 8 are taken, alpha is dropped.
    fn from(RawPicture { width, height, pixels }: RawPicture) -> Self {
        let (format, data) = match pixels {
            RawPixels::Gray8(data) => (PixelFormat::Gray8, data),
            RawPixels::Gray16(data) => {
                (PixelFormat::Gray8, data.into_iter().map(|value| (value >> 8) as u8).collect())
            }
            RawPixels::Indexed { indices, palette } => {
                let color = |&index: &u8| palette.get(usize::from(index)).copied().unwrap_or_default();
                (PixelFormat::Rgb8, indices.iter().flat_map(color).collect())
            }
            RawPixels::Rgb8(data) => (PixelFormat::Rgb8, data),
            RawPixels::GrayAlpha8(data) => {
                (PixelFormat::Gray8, data.chunks_exact(2).map(|pixel| pixel[0]).collect())
            }
            RawPixels::Rgba8(data) => (PixelFormat::Rgba8, data),
        };
        Self { width, height, format, data }
    }
}

/// What a file of another kind is, from its first bytes.
fn what_is(bytes: &[u8]) -> String {
    let brand = bytes.get(4..12).and_then(|brand| brand.strip_prefix(b"ftyp"));
    let kind = match bytes {
        [] => return "the file is empty".into(),
        [b'G', b'I', b'F', b'8', ..] => "GIF",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "WebP",
        [b'B', b'M', ..] => "BMP",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "TIFF",
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => "JPEG XL",
        _ if brand == Some(b"avif") => "AVIF",
        _ if matches!(brand, Some(b"heic" | b"heix" | b"mif1")) => "HEIC",
        _ => return "not a picture in a known format".into(),
    };
    format!("{kind} pictures are not supported")
}

/// Refuses what is larger than the library takes.
pub(crate) fn check_size(width: usize, height: usize) -> Result<(), String> {
    if width.max(height) > MAX_IMAGE_SIDE || width.saturating_mul(height) > MAX_IMAGE_PIXELS {
        return Err(format!("a picture of {width} x {height} pixels is too large"));
    }
    Ok(())
}

fn decode_jpeg(bytes: &[u8]) -> Result<RawPicture, String> {
    let damaged = |error: zune_jpeg::errors::DecodeErrors| format!("damaged or unsupported JPEG: {error}");
    let options = DecoderOptions::default()
        .set_max_width(MAX_IMAGE_SIDE)
        .set_max_height(MAX_IMAGE_SIDE)
        .set_strict_mode(true)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().map_err(damaged)?;
    if matches!(decoder.input_colorspace(), Some(ColorSpace::CMYK | ColorSpace::YCCK)) {
        return Err("CMYK JPEGs are not supported; convert it to RGB first".into());
    }
    let info = decoder.info().ok_or("damaged JPEG: no size")?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    check_size(width, height)?;
    let data = decoder.decode().map_err(damaged)?;
    Ok(RawPicture { width, height, pixels: RawPixels::Rgb8(data) })
}

/// `P6`, then width, height and 255 in ASCII with white space and `#` comments between them, one more white
/// space, and rows of RGB. What follows the first picture is ignored.
fn decode_ppm(bytes: &[u8]) -> Result<RawPicture, String> {
    let mut rest = &bytes[2..];
    let mut numbers = [0; 3];
    for number in &mut numbers {
        loop {
            rest = rest.trim_ascii_start();
            let Some(comment) = rest.strip_prefix(b"#") else { break };
            rest = &comment[comment.iter().position(|&c| c == b'\n').unwrap_or(comment.len())..];
        }
        let (digits, after) = rest.split_at(rest.iter().take_while(|c| c.is_ascii_digit()).count());
        let value = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        *number = value.ok_or("damaged PPM: no size")?;
        rest = after;
    }
    let [width, height, maximum] = numbers;
    if maximum != 255 {
        return Err(format!("a PPM with samples up to {maximum}, not 255, is not supported"));
    }
    check_size(width, height)?;
    let data = rest.get(1..).and_then(|pixels| pixels.get(..width * height * 3));
    let data = data.ok_or("damaged PPM: too short")?.to_vec();
    Ok(RawPicture { width, height, pixels: RawPixels::Rgb8(data) })
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
    fn png_round_trip() {
        let pixels: Vec<u8> = (0..5 * 4 * 3).map(|i| (i * 37 % 251) as u8).collect();
        let mut file = Vec::new();
        write_png(&mut file, 5, 4, Pixels::Rgb(&pixels)).unwrap();
        assert_eq!(rgb(&file), pixels);
        file.clear();
        write_png(&mut file, 2, 1, Pixels::Gray(&[7, 200])).unwrap();
        assert_eq!(rgb(&file), [7, 7, 7, 200, 200, 200]);
        file.clear();
        write_png(&mut file, 1, 1, Pixels::Gray16(&[0x1234])).unwrap();
        assert_eq!(rgb(&file), [0x12; 3]);
    }

    #[test]
    fn ppm() {
        assert_eq!(rgb(b"P6\n# a comment\n2 1\n255\n\x0a23456"), b"\x0a23456");
        for (file, expected) in [
            (&b"P6 2 1 255\n12345"[..], "damaged PPM: too short"),
            (b"P6 2 1 255", "damaged PPM: too short"),
            (b"P6 2 # 1 255", "damaged PPM: no size"),
            (b"P6 -2 1 255\n", "damaged PPM: no size"),
            (b"P6 99999999999999999999 1 255\n", "damaged PPM: no size"),
            (b"P6 2 1 65535\n123456", "a PPM with samples up to 65535, not 255, is not supported"),
            (b"P6 65536 65536 255\n", "a picture of 65536 x 65536 pixels is too large"),
        ] {
            assert_eq!(decode_ppm(file).unwrap_err(), expected);
        }
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
        assert_eq!(message(b"GIF89a"), "p: GIF pictures are not supported");
        assert_eq!(message(b"RIFF\0\0\0\0WEBPVP8 "), "p: WebP pictures are not supported");
        assert_eq!(message(b"\0\0\0\x20ftypavif"), "p: AVIF pictures are not supported");
        for cut in [9, 30, 100, png.len() / 2, png.len() - 16] {
            assert!(message(&png[..cut]).starts_with("p: damaged PNG: "), "{cut}");
        }
        for cut in [4, 30, 300, jpeg.len() / 2] {
            assert!(message(&jpeg[..cut]).starts_with("p: damaged or unsupported JPEG: "), "{cut}");
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
