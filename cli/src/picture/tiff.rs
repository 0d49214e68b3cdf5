//! TIFF: the first page.

use std::borrow::Cow;
use std::io::Cursor;

use ::tiff::decoder::{Decoder, DecodingResult, Limits as TiffLimits};
use ::tiff::tags::Tag;
use ::tiff::{ColorType, TiffError};

use super::Decoded;
use super::jpeg::ink_to_light;
use super::limits::Limits;
use super::raw::{RawPicture, RawPixels};

/// The tag that says what samples mean: 3 for numbers of colours, 1 for grey.
const PHOTOMETRIC: usize = 262;

/// Reads the first page.
pub(super) fn decode(bytes: &[u8], limits: Limits) -> Result<Decoded, String> {
    let damaged = |error: TiffError| format!("damaged or unsupported TIFF: {error}");
    let (bytes, is_palette) = without_palette(bytes);
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(damaged)?;
    let (width, height) = decoder.dimensions().map_err(damaged)?;
    let (width, height) = (width as usize, height as usize);
    let color = decoder.colortype().map_err(damaged)?;
    let (depth, channels) = (usize::from(color.bit_depth()), usize::from(color.num_samples()));
    // The file's samples, and the picture's.
    let shown = if is_palette { 4 } else { channels };
    limits.check(width, height, (depth * channels).div_ceil(8) + shown)?;
    let mut tiff_limits = TiffLimits::default();
    tiff_limits.decoding_buffer_size = limits.memory();
    tiff_limits.intermediate_buffer_size = limits.memory();
    decoder = decoder.with_limits(tiff_limits);
    // Raw photographs are TIFFs too, whose first page is a small picture for lists.
    let kind = decoder.find_tag_unsigned::<u32>(Tag::NewSubfileType).map_err(damaged)?;
    if kind.is_some_and(|kind| kind & 1 == 1) {
        return Err(
            "the first page of the TIFF is a preview (a raw photograph?), which is not supported".into()
        );
    }
    let orientation = decoder.find_tag_unsigned::<u16>(Tag::Orientation).map_err(damaged)?;
    let orientation =
        orientation.and_then(|value| u8::try_from(value).ok()).filter(|value| (1..=8).contains(value));

    let mut result = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut result).map_err(damaged)?;
    let mut notes = Vec::new();
    if decoder.more_images() {
        notes.push("a TIFF of several pages: the first is taken".to_owned());
    }
    let palette = match is_palette {
        true => Some(decoder.get_tag_u16_vec(Tag::ColorMap).map_err(damaged)?),
        false => None,
    };
    let unsupported = || format!("a TIFF of {color:?} is not supported");
    let planes = if layout.planes > 1 { channels } else { 1 };
    let pixels = match result {
        DecodingResult::U8(data) if depth < 8 => {
            if channels != 1 || !matches!(depth, 1 | 2 | 4) {
                return Err(unsupported());
            }
            let values = super::png::unpack(data, width, depth);
            match palette {
                Some(palette) => indexed(values, &palette, depth),
                None => {
                    let scale = 255 / ((1 << depth) - 1);
                    RawPixels::Gray8(values.into_iter().map(|value| value * scale).collect())
                }
            }
        }
        DecodingResult::U8(data) => match palette {
            Some(palette) => indexed(data, &palette, depth),
            None => colors(color, interleaved(data, planes)).ok_or_else(unsupported)?,
        },
        DecodingResult::U16(data) if matches!(color, ColorType::Gray(16)) && palette.is_none() => {
            RawPixels::Gray16(data)
        }
        DecodingResult::U16(data) if depth == 16 && palette.is_none() => {
            notes.push("of samples of 16 bits, the upper 8 are taken".to_owned());
            let data = data.into_iter().map(|value| (value >> 8) as u8).collect();
            colors(color, interleaved(data, planes)).ok_or_else(unsupported)?
        }
        DecodingResult::F32(data) => {
            let data = of_floats(&data, &mut notes)?;
            colors(color, interleaved(data, planes)).ok_or_else(unsupported)?
        }
        DecodingResult::F64(data) => {
            let data: Vec<f32> = data.into_iter().map(|value| value as f32).collect();
            colors(color, interleaved(of_floats(&data, &mut notes)?, planes)).ok_or_else(unsupported)?
        }
        DecodingResult::F16(data) => {
            let data: Vec<f32> = data.into_iter().map(f32::from).collect();
            colors(color, interleaved(of_floats(&data, &mut notes)?, planes)).ok_or_else(unsupported)?
        }
        _ => {
            return Err(format!(
                "a TIFF of {depth}-bit integers is not supported; 1 to 16 bits without sign are"
            ));
        }
    };
    let raw = RawPicture { width, height, pixels };
    Ok(Decoded { raw, orientation: orientation.unwrap_or(1), notes })
}

/// The file of a picture with a palette as one of grey, which the decoder reads; whether it had a palette.
fn without_palette(bytes: &[u8]) -> (Cow<'_, [u8]>, bool) {
    let found = || {
        let little = bytes.starts_with(b"II");
        let number = |at: usize, len: usize| {
            let bytes = bytes.get(at..at.checked_add(len)?)?;
            let digit = |value: usize, &byte: &u8| value.checked_mul(256)?.checked_add(byte.into());
            if little { bytes.iter().rev().try_fold(0, digit) } else { bytes.iter().try_fold(0, digit) }
        };
        // Files of more than 4 GB have numbers twice as long.
        let big = number(2, 2)? == 43;
        let (directory, count, first, entry) = match big {
            true => (number(8, 8)?, 8, 8, 20),
            false => (number(4, 4)?, 2, 2, 12),
        };
        let entries = number(directory, count)?.min(4096);
        let at = (0..entries)
            .map(|i| directory.checked_add(first + entry * i))
            .find(|&at| at.and_then(|at| number(at, 2)) == Some(PHOTOMETRIC))??;
        let value = at + if big { 12 } else { 8 };
        (number(at + 2, 2)? == 3 && number(value, 2)? == 3).then_some((value, little))
    };
    let Some((value, little)) = found() else { return (Cow::Borrowed(bytes), false) };
    let mut bytes = bytes.to_vec();
    bytes[value..value + 2].copy_from_slice(if little { &[1, 0] } else { &[0, 1] });
    (Cow::Owned(bytes), true)
}

/// Numbers of colours. The file has all red values, then all green and all blue ones, of 16 bits.
fn indexed(indices: Vec<u8>, map: &[u16], depth: usize) -> RawPixels {
    let count = 1 << depth;
    let value = |at: usize| map.get(at).map_or(0, |value| (value >> 8) as u8);
    let palette = (0..count).map(|i| [value(i), value(count + i), value(2 * count + i)]).collect();
    RawPixels::Indexed { indices, palette }
}

/// Planes, one after the other, to pixels.
fn interleaved(data: Vec<u8>, planes: usize) -> Vec<u8> {
    if planes == 1 {
        return data;
    }
    let len = data.len() / planes;
    (0..len)
        .flat_map(|pixel| (0..planes).map(move |plane| (plane, pixel)))
        .map(|(plane, pixel)| data[plane * len + pixel])
        .collect()
}

/// Floating-point samples, of which 1 is white.
fn of_floats(data: &[f32], notes: &mut Vec<String>) -> Result<Vec<u8>, String> {
    let (least, most) =
        data.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), &x| (a.min(x), b.max(x)));
    if !(least >= 0.0 && most <= 1.0) || data.iter().any(|x| x.is_nan()) {
        return Err(format!(
            "a TIFF of floating-point samples from {least} to {most}: scale them to 0 … 1 first"
        ));
    }
    notes.push("floating-point samples: 1 is taken for white".to_owned());
    Ok(data.iter().map(|x| (x * 255.0).round() as u8).collect())
}

/// Samples of 8 bits as colours.
fn colors(color: ColorType, mut data: Vec<u8>) -> Option<RawPixels> {
    Some(match color {
        ColorType::Gray(_) => RawPixels::Gray8(data),
        ColorType::RGB(_) => RawPixels::Rgb8(data),
        ColorType::GrayA(_) | ColorType::Multiband { num_samples: 2, .. } => RawPixels::GrayAlpha8(data),
        ColorType::RGBA(_) => RawPixels::Rgba8(data),
        ColorType::CMYK(_) => {
            for pixel in 0..data.len() / 4 {
                let &[c, m, y, k] = data[4 * pixel..].first_chunk()?;
                data[3 * pixel..][..3].copy_from_slice(&[c, m, y].map(|ink| ink_to_light(ink, k)));
            }
            data.truncate(data.len() / 4 * 3);
            RawPixels::Rgb8(data)
        }
        _ => return None,
    })
}
