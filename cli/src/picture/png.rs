//! PNG: read with what its samples are, and written.

use std::borrow::Cow;
use std::io::{self, Cursor, Write};

use ::png::{BitDepth, ColorType, Decoder, DecodingError, Encoder, Transformations};

use super::limits::Limits;
use super::raw::{RawPicture, RawPixels};
use super::{Decoded, orientation};
use crate::draw::Canvas;

/// Reads the picture, of an animation the one for viewers that show no animations. Grey of less than 8 bits is scaled to
/// 8, of colours of 16 bits the upper 8 are taken. A file may lack what stands behind the pixels.
pub(super) fn decode(bytes: &[u8], limits: Limits) -> Result<Decoded, String> {
    let damaged = |error: DecodingError| format!("damaged PNG: {error}");
    let chunks = Chunks::read(bytes);
    let orientation = chunks.exif.and_then(orientation::of_exif).unwrap_or(1);
    let whole_file = match chunks.ended {
        true => Cow::Borrowed(bytes),
        false => Cow::Owned([&bytes[..chunks.len], &IEND].concat()),
    };
    let mut decoder = Decoder::new(Cursor::new(whole_file));
    let info = decoder.read_header_info().map_err(damaged)?;
    let (width, height) = (info.width as usize, info.height as usize);
    let (color, depth) = (info.color_type, info.bit_depth);
    let whole = color == ColorType::Indexed || (color == ColorType::Grayscale && depth == BitDepth::Sixteen);
    // The decoder's samples, the picture's if they are others, and a turned copy.
    let cost = match color {
        ColorType::Grayscale if whole => 6,
        ColorType::Indexed => 5,
        _ => color.samples() + if orientation::swaps(orientation) { color.samples() } else { 1 },
    };
    limits.check(width, height, cost)?;
    decoder.set_transformations(match whole {
        true => Transformations::IDENTITY,
        false => Transformations::EXPAND | Transformations::STRIP_16,
    });
    let mut reader = decoder.read_info().map_err(damaged)?;
    let size = reader.output_buffer_size().ok_or("the PNG is too large for this machine's memory")?;
    let mut data = vec![0; size];
    reader.next_frame(&mut data).map_err(damaged)?;
    let mut notes = Vec::new();
    if depth == BitDepth::Sixteen && !whole {
        notes.push("of samples of 16 bits, the upper 8 are taken".to_owned());
    }
    if chunks.animated {
        notes.push("an animation: its still picture is taken".to_owned());
    }
    let pixels = match reader.output_color_type() {
        (ColorType::Grayscale, BitDepth::Sixteen) => {
            let value = |&pair: &[u8; 2]| u16::from_be_bytes(pair);
            RawPixels::Gray16(data.as_chunks().0.iter().map(value).collect())
        }
        (ColorType::Grayscale, _) => RawPixels::Gray8(data),
        (ColorType::GrayscaleAlpha, _) => RawPixels::GrayAlpha8(data),
        (ColorType::Rgb, _) => RawPixels::Rgb8(data),
        (ColorType::Rgba, _) => RawPixels::Rgba8(data),
        (ColorType::Indexed, _) => {
            let palette = reader.info().palette.as_deref().ok_or("damaged PNG: a palette is missing")?;
            let palette = palette.as_chunks().0.to_vec();
            RawPixels::Indexed { indices: unpack(data, width, depth as usize), palette }
        }
    };
    Ok(Decoded { raw: RawPicture { width, height, pixels }, orientation, notes })
}

/// The last chunk of every file.
const IEND: [u8; 12] = *b"\0\0\0\0IEND\xae\x42\x60\x82";

/// What the chunks of a file are.
struct Chunks<'a> {
    /// Whether the last chunk is there.
    ended: bool,
    /// Bytes up to the end of the last whole chunk.
    len: usize,
    exif: Option<&'a [u8]>,
    /// Whether the picture is one of several.
    animated: bool,
}

impl<'a> Chunks<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let mut chunks = Self { ended: false, len: 8, exif: None, animated: false };
        while let Some(&[a, b, c, d, ref kind @ ..]) = bytes[chunks.len..].first_chunk::<8>() {
            let len = u32::from_be_bytes([a, b, c, d]) as usize;
            let Some(content) = bytes[chunks.len + 8..].get(..len) else { break };
            let end = chunks.len + 12 + len;
            if end > bytes.len() {
                break;
            }
            match kind {
                b"IEND" => {
                    chunks.ended = true;
                    break;
                }
                b"eXIf" => chunks.exif = Some(content),
                // It says how many pictures there are.
                b"acTL" => {
                    chunks.animated = content.first_chunk().is_some_and(|&n| u32::from_be_bytes(n) > 1)
                }
                _ => (),
            }
            chunks.len = end;
        }
        chunks
    }
}

/// Numbers of `depth` bits, the first in the upper bits of a byte, each row in bytes of its own.
pub(super) fn unpack(data: Vec<u8>, width: usize, depth: usize) -> Vec<u8> {
    if depth == 8 {
        return data;
    }
    let (in_byte, mask) = (8 / depth, (1 << depth) - 1);
    let rows = data.chunks_exact(width.div_ceil(in_byte));
    rows.flat_map(|row| (0..width).map(move |x| row[x / in_byte] >> (8 - depth * (x % in_byte + 1)) & mask))
        .collect()
}

/// Writes what was drawn as a PNG.
pub(crate) fn write_canvas(out: impl Write, canvas: &Canvas) -> io::Result<()> {
    let side = |n: usize| u32::try_from(n).map_err(|_| ::png::EncodingError::LimitsExceeded);
    let mut encoder = Encoder::new(out, side(canvas.width())?, side(canvas.height())?);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(::png::Compression::Balanced);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(canvas.rgb())?;
    Ok(writer.finish()?)
}
