//! The first frame of a GIF, and the blocks of GIFs whose end is missing or padded.

use std::io::Cursor;
use std::num::NonZeroU64;

use ::gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};
use vitrum::image::MAX_IMAGE_PIXELS;

use super::Decoded;
use super::limits::Limits;
use super::raw::{RawPicture, RawPixels};

/// Reads the first frame, where it lies in the picture. As with Pillow, the rest has the transparent colour if there is
/// one, and the first one otherwise; what is transparent keeps its colour.
pub(super) fn decode(bytes: &[u8], limits: Limits) -> Result<Decoded, String> {
    let damaged = |error: DecodingError| format!("damaged GIF: {error}");
    let (bytes, frames) = mended(bytes.to_vec());
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Bytes(
        NonZeroU64::new(MAX_IMAGE_PIXELS as u64).unwrap_or(NonZeroU64::MIN),
    ));
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(damaged)?;
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    limits.check(width, height, 5)?;
    let frame = decoder.next_frame_info().map_err(damaged)?.ok_or("damaged GIF: no picture in it")?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (part_width, part_height) = (usize::from(frame.width), usize::from(frame.height));
    let transparent = frame.transparent;
    if part_width * part_height > 0 {
        limits.check(part_width, part_height, 2)?;
    }
    let mut part = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut part).map_err(damaged)?;
    let palette =
        decoder.palette().map_err(|_| "damaged GIF: a frame without colours")?.as_chunks().0.to_vec();
    let mut indices = vec![transparent.unwrap_or(0); width * height];
    let rows = indices.chunks_exact_mut(width).skip(top);
    for (row, part) in rows.zip(part.chunks_exact(part_width.max(1))) {
        let row = row.get_mut(left..).unwrap_or_default();
        let len = row.len().min(part.len());
        row[..len].copy_from_slice(&part[..len]);
    }
    let raw = RawPicture { width, height, pixels: RawPixels::Indexed { indices, palette } };
    let animated = (frames > 1).then(|| format!("an animation: the first of {frames} frames is taken"));
    Ok(Decoded { notes: animated.into_iter().collect(), ..raw.into() })
}

/// The file without zeros between its blocks and with a trailer where it ends behind a block, which other programs do not
/// mind; and the number of frames in it. What is wrong elsewhere stays as it is.
pub(crate) fn mended(bytes: Vec<u8>) -> (Vec<u8>, u64) {
    /// Bytes of a colour table whose size is in the lower three bits of `flags`, if the upper one says that it is there.
    fn table(flags: u8) -> usize {
        if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
    }
    let Some(&flags) = bytes.get(10) else { return (bytes, 0) };
    let mut at = 13 + table(flags);
    let (mut padding, mut frames) = (Vec::new(), 0);
    loop {
        let mut next = match bytes.get(at..) {
            Some([]) => {
                // Behind a whole block.
                let mut bytes = without(bytes, &padding);
                bytes.push(b';');
                return (bytes, frames);
            }
            Some([0, ..]) => {
                padding.push(at);
                at += 1;
                continue;
            }
            Some([b'!', ..]) => at + 2,
            Some([b',', rest @ ..]) if rest.len() >= 9 => {
                frames += 1;
                at + 11 + table(rest[8])
            }
            _ => return (without(bytes, &padding), frames),
        };
        // Data, each part behind a byte that says its length.
        while let Some(&len) = bytes.get(next).filter(|&&len| len > 0) {
            next += 1 + usize::from(len);
        }
        at = next + 1;
    }
}

/// The bytes at other places than `places`, which are sorted.
fn without(bytes: Vec<u8>, places: &[usize]) -> Vec<u8> {
    if places.is_empty() {
        return bytes;
    }
    let kept = |at: &usize| places.binary_search(at).is_err();
    bytes.iter().enumerate().filter(|(at, _)| kept(at)).map(|(_, &byte)| byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::PictureOptions;
    use ::gif::{Encoder, Frame};

    const COLORS: [u8; 12] = [1, 2, 3, 40, 50, 60, 7, 8, 9, 0, 0, 0];

    fn file(frames: &[Frame<'_>]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, 3, 2, &COLORS).unwrap();
        frames.iter().for_each(|frame| encoder.write_frame(frame).unwrap());
        drop(encoder);
        file
    }

    fn read(bytes: &[u8]) -> Result<Decoded, String> {
        decode(bytes, Limits::of_file(&PictureOptions::default(), bytes.len()))
    }

    fn indices(decoded: Decoded) -> Vec<u8> {
        let RawPixels::Indexed { indices, palette } = decoded.raw.pixels else { panic!() };
        assert_eq!(palette.as_flattened(), COLORS);
        indices
    }

    #[test]
    fn the_first_frame_lies_in_the_picture() {
        let part = |transparent| Frame {
            left: 1,
            top: 1,
            transparent,
            ..Frame::from_indexed_pixels(1, 1, [1], None)
        };
        assert_eq!(indices(read(&file(&[part(None)])).unwrap()), [0, 0, 0, 0, 1, 0]);
        assert_eq!(indices(read(&file(&[part(Some(2))])).unwrap()), [2, 2, 2, 2, 1, 2]);
        let wide = Frame { left: 2, top: 1, ..Frame::from_indexed_pixels(2, 2, [1, 2, 3, 3], None) };
        let decoded = read(&file(&[wide, part(None)])).unwrap();
        assert_eq!(decoded.notes, ["an animation: the first of 2 frames is taken"]);
        assert_eq!(indices(decoded), [0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn missing_and_padded_ends_are_mended() {
        let whole = file(&[1, 2].map(|index| Frame::from_indexed_pixels(3, 2, [index; 6], None)));
        assert_eq!(mended(whole.clone()), (whole.clone(), 2));
        let open = &whole[..whole.len() - 1];
        assert_eq!(mended(open.to_vec()), (whole.clone(), 2));
        assert_eq!(mended([open, b"\0\0;"].concat()), (whole.clone(), 2));
        assert_eq!(mended([open, b"\0"].concat()), (whole.clone(), 2));
        // Other ends are left to the decoder.
        assert_eq!(mended([&whole[..], b"\0rest"].concat()), ([&whole[..], b"\0rest"].concat(), 2));
        assert_eq!(mended([open, b"x"].concat()), ([open, b"x"].concat(), 2));
        for end in 0..whole.len() {
            let (mended, frames) = mended(whole[..end].to_vec());
            assert!(mended.len() <= end + 1 && frames <= 2);
        }
    }

    #[test]
    fn hostile_frames_are_refused() {
        let mut bytes = file(&[Frame::from_indexed_pixels(1, 1, [1], None)]);
        let at = bytes.iter().position(|&byte| byte == b',').unwrap();
        bytes[at + 5..at + 9].fill(0xff);
        assert_eq!(read(&bytes).unwrap_err(), "a picture of 65535 x 65535 pixels is too large");
        for end in 6..at + 10 {
            assert!(read(&bytes[..end]).unwrap_err().starts_with("damaged GIF: "), "{end}");
        }
    }
}
