//! How a picture was held: the orientation of EXIF 2.3 (tag 274), and turning pixels by it.

use super::raw::{RawPicture, RawPixels};

/// The tag.
const ORIENTATION: u16 = 274;

/// The orientation that a block of EXIF data says, 1 to 8; `None` if it says none.
pub(super) fn of_exif(exif: &[u8]) -> Option<u8> {
    // JPEG's prefix, which some writers put into other files too.
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes: [u8; 4] = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = long(4)? as usize;
    let entries = usize::from(short(directory)?);
    let entry =
        (0..entries).map(|i| directory + 2 + 12 * i).find(|&entry| short(entry) == Some(ORIENTATION))?;
    // The value lies in the entry itself: a byte, 16 or 32 bits.
    let value = match short(entry + 2)? {
        1 => u32::from(*tiff.get(entry + 8)?),
        3 => u32::from(short(entry + 8)?),
        4 => long(entry + 8)?,
        _ => return None,
    };
    u8::try_from(value).ok().filter(|value| (1..=8).contains(value))
}

/// Whether width and height change places.
pub(super) fn swaps(orientation: u8) -> bool {
    orientation >= 5
}

/// The picture as it is to be seen.
pub(super) fn apply(picture: RawPicture, orientation: u8) -> RawPicture {
    let RawPicture { width, height, pixels } = picture;
    let turn = |data, channels| turn(data, width, height, channels, orientation);
    let pixels = match pixels {
        RawPixels::Gray8(data) => RawPixels::Gray8(turn(data, 1)),
        RawPixels::Gray16(data) => RawPixels::Gray16(self::turn(data, width, height, 1, orientation)),
        RawPixels::Indexed { indices, palette } => RawPixels::Indexed { indices: turn(indices, 1), palette },
        RawPixels::Rgb8(data) => RawPixels::Rgb8(turn(data, 3)),
        RawPixels::GrayAlpha8(data) => RawPixels::GrayAlpha8(turn(data, 2)),
        RawPixels::Rgba8(data) => RawPixels::Rgba8(turn(data, 4)),
    };
    let (width, height) = if swaps(orientation) { (height, width) } else { (width, height) };
    RawPicture { width, height, pixels }
}

/// Turns `data`, of `channels` samples a pixel. In place where the rows stay rows.
fn turn<T: Copy>(mut data: Vec<T>, width: usize, height: usize, channels: usize, orientation: u8) -> Vec<T> {
    let mirror = |data: &mut [T]| {
        data.reverse();
        data.chunks_exact_mut(channels).for_each(<[T]>::reverse);
    };
    match orientation {
        2 => data.chunks_exact_mut(width * channels).for_each(mirror),
        3 => mirror(&mut data),
        4 => {
            let row = width * channels;
            for y in 0..height / 2 {
                let (above, below) = data.split_at_mut((height - 1 - y) * row);
                above[y * row..][..row].swap_with_slice(&mut below[..row]);
            }
        }
        5..=8 => {
            let mut out = Vec::with_capacity(data.len());
            for y in 0..width {
                let column = if orientation <= 6 { y } else { width - 1 - y };
                for x in 0..height {
                    let row = if matches!(orientation, 5 | 8) { x } else { height - 1 - x };
                    out.extend_from_slice(&data[(row * width + column) * channels..][..channels]);
                }
            }
            return out;
        }
        _ => (),
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_go_where_the_standard_says() {
        // Where the rows and columns of "abc/def" are seen.
        let seen =
            ["abc def", "cba fed", "fed cba", "def abc", "ad be cf", "da eb fc", "fc eb da", "cf be ad"];
        for (orientation, seen) in (1..).zip(seen) {
            let gray = RawPicture { width: 3, height: 2, pixels: RawPixels::Gray8(b"abcdef".to_vec()) };
            let picture = apply(gray, orientation);
            let rows: Vec<&str> = seen.split(' ').collect();
            assert_eq!((picture.width, picture.height), (rows[0].len(), rows.len()), "{orientation}");
            assert_eq!(picture.pixels, RawPixels::Gray8(rows.concat().into_bytes()), "{orientation}");
            let doubled = |text: &str| -> Vec<u8> { text.bytes().flat_map(|c| [c, c + 32]).collect() };
            let gray = RawPicture { width: 3, height: 2, pixels: RawPixels::GrayAlpha8(doubled("abcdef")) };
            assert_eq!(
                apply(gray, orientation).pixels,
                RawPixels::GrayAlpha8(doubled(&rows.concat())),
                "{orientation}"
            );
        }
    }

    /// EXIF data with an entry before the orientation.
    fn exif(little: bool, kind: u16, value: u32) -> Vec<u8> {
        let short = |x: u16| if little { x.to_le_bytes() } else { x.to_be_bytes() };
        let long = |x: u32| if little { x.to_le_bytes() } else { x.to_be_bytes() };
        let value = match kind {
            3 => [&short(value as u16)[..], &[0, 0]].concat(),
            1 => vec![value as u8, 0, 0, 0],
            _ => long(value).to_vec(),
        };
        let head: &[u8] = if little { b"II*\0" } else { b"MM\0*" };
        [head, &long(8), &short(2), &short(256), &short(3), &long(1), &[0; 4]]
            .concat()
            .into_iter()
            .chain([&short(274)[..], &short(kind), &long(1), &value].concat())
            .collect()
    }

    #[test]
    fn exif_data_are_read() {
        for little in [true, false] {
            for kind in [1, 3, 4] {
                let bytes = exif(little, kind, 6);
                assert_eq!(of_exif(&bytes), Some(6), "{little} {kind}");
                assert_eq!(of_exif(&[b"Exif\0\0", &bytes[..]].concat()), Some(6));
                for end in 0..bytes.len() - 4 {
                    assert_eq!(of_exif(&bytes[..end]), None, "{end}");
                }
            }
            assert_eq!([0, 9, 65535].map(|value| of_exif(&exif(little, 3, value))), [None; 3]);
            assert_eq!(of_exif(&exif(little, 2, 6)), None);
        }
        assert_eq!(of_exif(b"II*\0\xff\xff\xff\xff"), None);
        assert_eq!(of_exif(b"Exif\0\0"), None);
    }
}
