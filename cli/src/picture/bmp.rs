//! BMP, as Windows and OS/2 write it: palettes of 1 to 8 bits, 16, 24 and 32 bits, run lengths.
//!
//! Own code: the only small library (`zune-bmp` 0.5) makes noise of pictures of 1 bit.

use super::limits::Limits;
use super::raw::{RawPicture, RawPixels};

/// How pixels are stored, with the numbers of the header.
const PLAIN: u32 = 0;
const RUNS_OF_8: u32 = 1;
const RUNS_OF_4: u32 = 2;
const MASKS: u32 = 3;
const MASKS_WITH_ALPHA: u32 = 6;

/// Numbers in a file, the lower byte first.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn short(self, at: usize) -> Result<u32, String> {
        let bytes =
            self.0.get(at..).and_then(<[u8]>::first_chunk).ok_or("damaged BMP: the header is cut off")?;
        Ok(u16::from_le_bytes(*bytes).into())
    }

    fn long(self, at: usize) -> Result<u32, String> {
        let bytes =
            self.0.get(at..).and_then(<[u8]>::first_chunk).ok_or("damaged BMP: the header is cut off")?;
        Ok(u32::from_le_bytes(*bytes))
    }
}

/// Reads a file.
pub(super) fn decode(bytes: &[u8], limits: Limits) -> Result<RawPicture, String> {
    let fields = Fields(bytes);
    let (start, header) = (fields.long(10)? as usize, fields.long(14)? as usize);
    // The oldest form has sizes of 16 bits and colours of three bytes.
    let old = header == 12;
    let (width, lines, depth, form) = if old {
        (fields.short(18)? as i32, fields.short(20)? as i32, fields.short(24)?, PLAIN)
    } else {
        let form = if header >= 40 { fields.long(30)? } else { PLAIN };
        (fields.long(18)? as i32, fields.long(22)? as i32, fields.short(28)?, form)
    };
    // A negative height says that the first row is the upper one.
    let height = lines.unsigned_abs() as usize;
    let width = usize::try_from(width).map_err(|_| format!("damaged BMP: a width of {width}"))?;
    limits.check(width, height, 4)?;
    let data = bytes.get(start..).unwrap_or_default();
    let cut = || "damaged BMP: the file is cut off".to_owned();
    let upright = lines < 0;
    match (depth, form) {
        (1 | 2 | 4 | 8, PLAIN) | (8, RUNS_OF_8) | (4, RUNS_OF_4) => {
            let palette = palette(fields, header, start, depth)?;
            let indices = if form == PLAIN {
                let stride = (width * depth as usize).div_ceil(32) * 4;
                let rows = rows(data, stride, height, upright).ok_or_else(cut)?;
                let used = (width * depth as usize).div_ceil(8);
                let packed: Vec<u8> = rows.flat_map(|row| &row[..used]).copied().collect();
                super::png::unpack(packed, width, depth as usize)
            } else {
                runs(data, width, height, form == RUNS_OF_4, upright).ok_or_else(cut)?
            };
            Ok(RawPicture { width, height, pixels: RawPixels::Indexed { indices, palette } })
        }
        (24, PLAIN) => {
            let rows = rows(data, (3 * width).div_ceil(4) * 4, height, upright).ok_or_else(cut)?;
            let pixels = rows.flat_map(|row| row[..3 * width].as_chunks().0);
            let pixels = pixels.flat_map(|&[blue, green, red]| [red, green, blue]).collect();
            Ok(RawPicture { width, height, pixels: RawPixels::Rgb8(pixels) })
        }
        (16 | 32, PLAIN | MASKS | MASKS_WITH_ALPHA) => {
            let masks = match (form, depth) {
                (PLAIN, 16) => [0x7c00, 0x3e0, 0x1f, 0],
                (PLAIN, _) => [0xff_0000, 0xff00, 0xff, 0],
                _ => {
                    let alpha = if header >= 56 || form == MASKS_WITH_ALPHA { fields.long(66)? } else { 0 };
                    [fields.long(54)?, fields.long(58)?, fields.long(62)?, alpha]
                }
            };
            let size = depth as usize / 8;
            let rows = rows(data, (size * width).div_ceil(4) * 4, height, upright).ok_or_else(cut)?;
            let pixels = rows.flat_map(|row| row[..size * width].chunks_exact(size)).flat_map(|pixel| {
                let value = pixel.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
                masks.map(|mask| channel(value, mask))
            });
            let pixels = match masks[3] {
                0 => RawPixels::Rgb8(pixels.enumerate().filter(|(i, _)| i % 4 < 3).map(|(_, x)| x).collect()),
                _ => RawPixels::Rgba8(pixels.collect()),
            };
            Ok(RawPicture { width, height, pixels })
        }
        (_, 4) => Err("a BMP with a JPEG in it is not supported".into()),
        (_, 5) => Err("a BMP with a PNG in it is not supported".into()),
        _ => Err(format!("a BMP of {depth} bits in form {form} is not supported")),
    }
}

/// The colours, which stand between the header and the pixels.
fn palette(fields: Fields<'_>, header: usize, start: usize, depth: u32) -> Result<Vec<[u8; 3]>, String> {
    let size = if header == 12 { 3 } else { 4 };
    let stated = if header >= 36 { fields.long(46)? as usize } else { 0 };
    let most = 1 << depth;
    let count = if stated == 0 { most } else { stated.min(most) };
    let colors = fields.0.get(14 + header..start.max(14 + header)).unwrap_or_default().chunks_exact(size);
    let palette: Vec<_> = colors.take(count).map(|color| [color[2], color[1], color[0]]).collect();
    if palette.is_empty() { Err("damaged BMP: a palette is missing".into()) } else { Ok(palette) }
}

/// The rows of `stride` bytes from the upper one to the lower one.
fn rows(data: &[u8], stride: usize, height: usize, upright: bool) -> Option<impl Iterator<Item = &[u8]>> {
    let data = data.get(..stride.checked_mul(height)?)?;
    let row = move |y: usize| &data[if upright { y } else { height - 1 - y } * stride..][..stride];
    Some((0..height).map(row))
}

/// The bits of `value` under `mask`, scaled to 8.
fn channel(value: u32, mask: u32) -> u8 {
    match mask >> mask.trailing_zeros().min(31) {
        0 => 0,
        most => (u64::from((value & mask) >> mask.trailing_zeros()) * 255 / u64::from(most)).min(255) as u8,
    }
}

/// Run lengths: a count and a number; or 0 and 0 for the end of a row, 1 for the end of the picture, 2 for a step to the
/// right and up, and larger numbers for so many numbers as they are. What is stepped over has number 0.
fn runs(mut data: &[u8], width: usize, height: usize, nibbles: bool, upright: bool) -> Option<Vec<u8>> {
    let mut out = vec![0; width * height];
    let (mut x, mut y) = (0, 0);
    let half = |byte: u8, i: usize| {
        if !nibbles {
            byte
        } else if i.is_multiple_of(2) {
            byte >> 4
        } else {
            byte & 15
        }
    };
    let mut put = |x: usize, y: usize, value: u8| {
        let row = if upright { y } else { height.wrapping_sub(1 + y) };
        if x < width && y < height {
            out[row * width + x] = value;
        }
    };
    loop {
        let (&[count, value], rest) = data.split_first_chunk()?;
        data = rest;
        match (count, value) {
            (0, 0) => (x, y) = (0, y + 1),
            (0, 1) => return Some(out),
            (0, 2) => {
                let (&[right, up], rest) = data.split_first_chunk()?;
                data = rest;
                (x, y) = (x + usize::from(right), y + usize::from(up));
            }
            (0, count) => {
                let count = usize::from(count);
                let len = if nibbles { count.div_ceil(2) } else { count };
                let (numbers, _) = data.split_at_checked(len)?;
                for i in 0..count {
                    put(x + i, y, half(numbers[if nibbles { i / 2 } else { i }], i));
                }
                x += count;
                // They are filled up to an even number of bytes.
                data = data.get(len.next_multiple_of(2)..)?;
            }
            (count, value) => {
                let count = usize::from(count);
                (0..count).for_each(|i| put(x + i, y, half(value, i)));
                x += count;
            }
        }
        // All rows are there; the end need not be said.
        if y >= height {
            return Some(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::PictureOptions;

    /// A file with a header of 40 bytes.
    fn file([width, height]: [i32; 2], depth: u16, form: u32, palette: &[u8], data: &[u8]) -> Vec<u8> {
        let start = 54 + palette.len() as u32;
        let head =
            [&b"BM"[..], &[0; 8], &start.to_le_bytes(), &40u32.to_le_bytes(), &width.to_le_bytes()].concat();
        let rest = [&height.to_le_bytes()[..], &[1, 0], &depth.to_le_bytes(), &form.to_le_bytes(), &[0; 20]]
            .concat();
        [&head, &rest, palette, data].concat()
    }

    fn read(bytes: &[u8]) -> Result<RawPixels, String> {
        decode(bytes, Limits::of_file(&PictureOptions::default(), bytes.len())).map(|picture| picture.pixels)
    }

    const TWO: [u8; 8] = [3, 2, 1, 0, 60, 50, 40, 0];

    fn indices(indices: &[u8]) -> Result<RawPixels, String> {
        Ok(RawPixels::Indexed { indices: indices.to_vec(), palette: vec![[1, 2, 3], [40, 50, 60]] })
    }

    #[test]
    fn rows_lie_upside_down_unless_the_height_is_negative() {
        let data = [0b1000_0000, 0, 0, 0, 0b0110_0000, 0, 0, 0];
        assert_eq!(read(&file([3, 2], 1, 0, &TWO, &data)), indices(&[0, 1, 1, 1, 0, 0]));
        assert_eq!(read(&file([3, -2], 1, 0, &TWO, &data)), indices(&[1, 0, 0, 0, 1, 1]));
        let data = [3, 2, 1, 6, 5, 4, 0, 0, 9, 8, 7, 12, 11, 10, 0, 0];
        assert_eq!(read(&file([2, -2], 24, 0, &[], &data)), Ok(RawPixels::Rgb8((1..=12).collect())));
    }

    #[test]
    fn run_lengths() {
        let data = [2, 1, 0, 0, 0, 3, 1, 0, 1, 0, 0, 1];
        assert_eq!(read(&file([3, -2], 8, 1, &TWO, &data)), indices(&[1, 1, 0, 1, 0, 1]));
        let data = [3, 0x10, 0, 0, 0, 2, 1, 0, 0, 3, 0x01, 0x10, 0, 1];
        assert_eq!(read(&file([3, -2], 4, 2, &TWO, &data)), indices(&[1, 0, 1, 0, 0, 1]));
        // Beyond the picture, and without an end.
        assert_eq!(read(&file([1, 1], 8, 1, &TWO, &[255, 1, 0, 0])), indices(&[1]));
        assert!(read(&file([1, 2], 8, 1, &TWO, &[1, 1, 0, 0])).unwrap_err().contains("cut off"));
    }

    #[test]
    fn masks_say_where_the_colours_are() {
        let masks = [0xf800u32, 0x7e0, 0x1f].map(u32::to_le_bytes).concat();
        let data = [0xff, 0xff, 0xe0, 0x07];
        let expected = Ok(RawPixels::Rgb8(vec![255, 255, 255, 0, 255, 0]));
        assert_eq!(read(&file([2, 1], 16, 3, &masks, &data)), expected);
        let masks = [0xffu32, 0xff00, 0xff_0000, 0xff00_0000].map(u32::to_le_bytes).concat();
        assert_eq!(read(&file([1, 1], 32, 6, &masks, &[1, 2, 3, 4])), Ok(RawPixels::Rgba8(vec![1, 2, 3, 4])));
        let plain = file([1, 1], 16, 0, &[], &[0xff, 0x7f, 0, 0]);
        assert_eq!(read(&plain), Ok(RawPixels::Rgb8(vec![255; 3])));
        assert_eq!(read(&file([1, 1], 32, 0, &[], &[3, 2, 1, 0])), Ok(RawPixels::Rgb8(vec![1, 2, 3])));
    }

    #[test]
    fn damaged_files_are_refused() {
        let whole = file([2, 2], 24, 0, &[], &[0; 16]);
        for end in 2..whole.len() {
            assert!(read(&whole[..end]).unwrap_err().starts_with("damaged BMP: "), "{end}");
        }
        assert_eq!(read(&file([-2, 2], 24, 0, &[], &[])).unwrap_err(), "damaged BMP: a width of -2");
        assert!(read(&file([2, i32::MIN], 24, 0, &[], &[])).unwrap_err().contains("too large"));
        assert!(read(&file([2, 2], 24, 4, &[], &[])).unwrap_err().contains("JPEG in it"));
        assert!(read(&file([2, 2], 7, 0, &[], &[])).unwrap_err().contains("7 bits"));
        assert!(read(&file([2, 2], 8, 0, &[], &[0; 8])).unwrap_err().contains("palette is missing"));
    }
}
