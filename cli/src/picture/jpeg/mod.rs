//! JPEG.
//!
//! Decoded by libjpeg-turbo's code, which `mozjpeg-sys` builds with a C compiler alone. Of the candidates (`zune-jpeg` 0.5,
//! `jpeg-decoder` 0.3, this one) it is the only one that decodes all kinds in `tests/cases/pictures` as Pillow does, to the
//! last bit; zune-jpeg makes noise of scans of one component and of odd sampling factors, refuses Adobe's RGB and factors
//! of 3, and neither of the two reads frames without Huffman tables or arithmetic coding.

#[expect(unsafe_code, reason = "foreign code; see its first lines")]
mod libjpeg;
mod markers;

use super::Decoded;
use super::limits::Limits;
use super::orientation;
use super::raw::{RawPicture, RawPixels};
use libjpeg::Fault;
use markers::Markers;

/// Reads a file.
pub(super) fn decode(bytes: &[u8], limits: Limits) -> Result<Decoded, String> {
    let markers = Markers::read(bytes)?;
    let orientation = markers.exif.and_then(orientation::of_exif).unwrap_or(1);
    // Pixels twice if they are turned; all coefficients, of two bytes, if they do not come in one scan.
    let whole = markers.progressive || markers.scans > 1;
    let mut cost = if markers.samples <= 16 { 1 } else { 3 };
    if orientation::swaps(orientation) {
        cost *= 2;
    }
    if whole {
        cost += (2 * markers.samples).div_ceil(16);
    }
    let decoded = libjpeg::decode(bytes, |width, height| limits.check(width, height, cost));
    let decoded = decoded.map_err(|fault| match fault {
        Fault::Refused(message) => message,
        Fault::Libjpeg(message) => format!("damaged or unsupported JPEG: {message}"),
    })?;
    // Coefficients of zero would take the place of what is missing.
    if decoded.cut && (whole || decoded.damage.is_some()) {
        return Err("damaged JPEG: the file is cut off".into());
    }
    if let Some(damage) = decoded.damage {
        return Err(format!("damaged JPEG: {damage}"));
    }
    if !markers.missing.is_empty() {
        return Err(format!("damaged JPEG: no data for components {:?}", markers.missing));
    }
    let pixels = match decoded.channels {
        1 => RawPixels::Gray8(decoded.data),
        3 => RawPixels::Rgb8(decoded.data),
        _ => RawPixels::Rgb8(rgb_of_inverted(decoded.data)),
    };
    let raw = RawPicture { width: decoded.width, height: decoded.height, pixels };
    Ok(Decoded { raw, orientation, notes: Vec::new() })
}

/// Four inks, of which 255 is none, as Adobe's programs write them into JPEGs, to RGB: the paper's light less what the ink
/// and black take from it. Rounded as Pillow does.
fn rgb_of_inverted(mut data: Vec<u8>) -> Vec<u8> {
    for pixel in 0..data.len() / 4 {
        let &[c, m, y, k] = data[4 * pixel..].first_chunk().unwrap_or(&[0; 4]);
        let rgb = [c, m, y].map(|ink| ink_to_light(255 - ink, 255 - k));
        data[3 * pixel..][..3].copy_from_slice(&rgb);
    }
    data.truncate(data.len() / 4 * 3);
    data
}

/// The light that an ink and black leave, of which 255 is all.
pub(super) fn ink_to_light(ink: u8, black: u8) -> u8 {
    let light = 255 - u32::from(black);
    let product = u32::from(ink) * light + 128;
    light.saturating_sub((product + (product >> 8)) >> 8) as u8
}
