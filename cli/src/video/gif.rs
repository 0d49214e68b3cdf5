//! Animated GIFs: each frame is painted on what the ones before it left (GIF89a, section 23).

use std::io::Cursor;
use std::num::NonZeroU64;
use std::sync::Arc;

use ::gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, DisposalMethod, MemoryLimit};
use vitrum::image::{MAX_IMAGE_PIXELS, PixelFormat};

use super::{Frame, Reader};
use crate::failure::{Exit, Failure, Result};
use crate::picture::{self, Limits, Picture, PictureOptions};

/// What shows where nothing was painted. The file's own background colour means nothing to those who show GIFs.
const BACKGROUND: [u8; 3] = [255; 3];
/// Seconds for which a frame is shown that asks for a hundredth or for none, as browsers do.
const DEFAULT_SECONDS: f64 = 0.1;

/// A rectangle of the picture: left, top, right, bottom.
type Bounds = [usize; 4];

/// What to do to the picture before the next frame is painted.
#[derive(Debug)]
enum Disposal {
    Keep,
    Clear(Bounds),
    /// What was there before.
    Restore(Bounds, Vec<u8>),
}

type Bytes = Cursor<Arc<[u8]>>;

/// The frames of a GIF.
pub(super) struct Gif {
    name: String,
    bytes: Arc<[u8]>,
    decoder: Decoder<Bytes>,
    picture: Picture,
    limits: Limits,
    disposal: Disposal,
    /// Frames in the file.
    len: u64,
    /// Frames read.
    count: u64,
}

impl Gif {
    /// Reads the header of a file, which messages call `name`, and counts its frames.
    pub(super) fn open(name: &str, bytes: Vec<u8>, options: &PictureOptions) -> Result<Self> {
        let failure = |message: String| Failure::new(Exit::Input, format!("{name}: {message}"));
        let limits = Limits::of_file(options, bytes.len());
        let bytes: Arc<[u8]> = picture::mended_gif(bytes).0.into();
        let decoder = decoder(&bytes, false).map_err(|error| failure(damaged(&error)))?;
        let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
        if width == 0 || height == 0 {
            return Err(failure("damaged GIF: no width or no height".into()));
        }
        // The picture, what it was before a frame, and the frame's own.
        limits.check(width, height, 7).map_err(failure)?;
        let len = count(&bytes);
        let mut picture = Picture::blank(width, height, PixelFormat::Rgb8);
        clear(&mut picture, [0, 0, width, height]);
        Ok(Self {
            name: name.to_owned(),
            bytes,
            decoder,
            picture,
            limits,
            disposal: Disposal::Keep,
            len,
            count: 0,
        })
    }

    /// Paints the next frame; how long it is shown, `None` after the last one.
    fn paint(&mut self) -> Result<Option<f64>, String> {
        let Some(frame) = self.decoder.next_frame_info().map_err(|error| damaged(&error))? else {
            return Ok(None);
        };
        let (left, top) = (usize::from(frame.left), usize::from(frame.top));
        let (width, height) = (usize::from(frame.width), usize::from(frame.height));
        let (method, transparent, delay) = (frame.dispose, frame.transparent, frame.delay);
        if width * height > 0 {
            let refused = |error| format!("damaged GIF: a frame that is {error}");
            self.limits.check(width, height, 2).map_err(refused)?;
        }
        let mut indices = vec![0; self.decoder.buffer_size()];
        self.decoder.read_into_buffer(&mut indices).map_err(|error| damaged(&error))?;
        let palette = self.decoder.palette().map_err(|_| "damaged GIF: a frame without colours")?;

        match std::mem::replace(&mut self.disposal, Disposal::Keep) {
            Disposal::Keep => (),
            Disposal::Clear(bounds) => clear(&mut self.picture, bounds),
            Disposal::Restore(bounds, pixels) => paste(&mut self.picture, bounds, &pixels),
        }
        // What lies outside the picture is not seen.
        let side = |from: usize, len: usize, most: usize| (from.min(most), (from + len).min(most));
        let ((x0, x1), (y0, y1)) =
            (side(left, width, self.picture.width), side(top, height, self.picture.height));
        let bounds = [x0, y0, x1, y1];
        self.disposal = match method {
            DisposalMethod::Any | DisposalMethod::Keep => Disposal::Keep,
            DisposalMethod::Background => Disposal::Clear(bounds),
            DisposalMethod::Previous => Disposal::Restore(bounds, copy(&mut self.picture, bounds)),
        };
        for (row, indices) in rows(&mut self.picture, bounds).zip(indices.chunks_exact(width.max(1))) {
            for (pixel, &index) in row.chunks_exact_mut(3).zip(indices) {
                let color = palette.get(3 * usize::from(index)..3 * usize::from(index) + 3);
                // An index without a colour paints nothing.
                if let Some(color) = color.filter(|_| Some(index) != transparent) {
                    pixel.copy_from_slice(color);
                }
            }
        }
        Ok(Some(if delay > 1 { f64::from(delay) / 100.0 } else { DEFAULT_SECONDS }))
    }
}

impl Reader for Gif {
    fn len(&self) -> Option<u64> {
        Some(self.len)
    }

    fn next(&mut self) -> Result<Option<Frame<'_>>> {
        let seconds = self.paint().map_err(|message| {
            Failure::new(Exit::Input, format!("{}: frame {}: {message}", self.name, self.count))
        })?;
        if seconds.is_none() && self.count == 0 {
            return Err(super::no_frames(&self.name));
        }
        self.count += u64::from(seconds.is_some());
        Ok(seconds.map(|seconds| Frame { picture: &self.picture, seconds }))
    }

    fn rewind(&mut self) -> Result<()> {
        let failure = |error| Failure::new(Exit::Input, format!("{}: {}", self.name, damaged(&error)));
        self.decoder = decoder(&self.bytes, false).map_err(failure)?;
        let bounds = [0, 0, self.picture.width, self.picture.height];
        clear(&mut self.picture, bounds);
        (self.disposal, self.count) = (Disposal::Keep, 0);
        Ok(())
    }
}

fn damaged(error: &DecodingError) -> String {
    format!("damaged GIF: {error}")
}

/// A decoder at the first frame, which decodes frames unless it is to `skip` them.
fn decoder(bytes: &Arc<[u8]>, skip: bool) -> Result<Decoder<Bytes>, DecodingError> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.skip_frame_decoding(skip);
    if let Some(limit) = NonZeroU64::new(MAX_IMAGE_PIXELS as u64) {
        options.set_memory_limit(MemoryLimit::Bytes(limit));
    }
    options.read_info(Cursor::new(Arc::clone(bytes)))
}

/// Frames that begin before the file ends or is damaged.
fn count(bytes: &Arc<[u8]>) -> u64 {
    let Ok(mut decoder) = decoder(bytes, true) else { return 0 };
    let mut count = 0;
    while let Ok(Some(_)) = decoder.next_frame_info() {
        count += 1;
    }
    count
}

/// The rows of a part of the picture.
fn rows(picture: &mut Picture, [x0, y0, x1, y1]: Bounds) -> impl Iterator<Item = &mut [u8]> {
    let width = picture.width;
    picture.data_mut().chunks_exact_mut(3 * width).take(y1).skip(y0).map(move |row| &mut row[3 * x0..3 * x1])
}

fn clear(picture: &mut Picture, bounds: Bounds) {
    rows(picture, bounds)
        .for_each(|row| row.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&BACKGROUND)));
}

fn copy(picture: &mut Picture, bounds: Bounds) -> Vec<u8> {
    rows(picture, bounds).flat_map(|row| row.iter().copied()).collect()
}

fn paste(picture: &mut Picture, bounds: Bounds, pixels: &[u8]) {
    let width = 3 * (bounds[2] - bounds[0]);
    if width > 0 {
        rows(picture, bounds)
            .zip(pixels.chunks_exact(width))
            .for_each(|(row, pixels)| row.copy_from_slice(pixels));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::gif::{Encoder, Frame as Part};

    const PALETTE: [u8; 12] = [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255];
    const COLORS: [char; 3] = ['k', 'r', 'g'];

    /// A part of the picture of one colour index.
    fn part([left, top, width, height]: [u16; 4], index: u8, dispose: DisposalMethod) -> Part<'static> {
        let pixels = vec![index; usize::from(width) * usize::from(height)];
        Part { left, top, dispose, delay: 7, ..Part::from_indexed_pixels(width, height, pixels, None) }
    }

    fn file(width: u16, height: u16, parts: &[Part<'_>]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, width, height, &PALETTE).unwrap();
        parts.iter().for_each(|part| encoder.write_frame(part).unwrap());
        drop(encoder);
        file
    }

    /// The next frame, a letter a pixel.
    fn seen(gif: &mut Gif) -> String {
        let frame = gif.next().unwrap().unwrap();
        let (picture, mut out) = (frame.picture, String::new());
        let mut row = vec![0; 3 * picture.width];
        for y in 0..picture.height {
            picture.view().unwrap().row_rgb(y, &mut row);
            for pixel in row.chunks(3) {
                let index = PALETTE.chunks(3).position(|color| color == pixel);
                out.push(index.map_or('.', |index| COLORS.get(index).copied().unwrap_or('b')));
            }
            out.push(' ');
        }
        out.trim_end().to_owned()
    }

    fn open(bytes: Vec<u8>) -> Result<Gif> {
        Gif::open("g", bytes, &PictureOptions::default())
    }

    fn message<T>(result: Result<T>) -> String {
        match result {
            Err(Failure::Message { exit: Exit::Input, message, .. }) => message,
            _ => panic!("no failure of an input"),
        }
    }

    #[test]
    fn frames_are_disposed_of_as_they_ask() {
        use DisposalMethod::{Any, Background, Keep, Previous};
        let parts = [
            part([0, 0, 3, 2], 1, Keep),
            part([1, 0, 1, 2], 2, Previous),
            part([0, 1, 2, 1], 3, Background),
            part([2, 1, 1, 1], 0, Any),
            // Larger than the picture.
            part([2, 0, 4, 4], 3, Keep),
        ];
        let expected = ["rrr rrr", "rgr rgr", "rrr bbr", "rrr ..k", "rrb ..b"];
        let mut gif = open(file(3, 2, &parts)).unwrap();
        assert_eq!(gif.len(), Some(5));
        for _ in 0..2 {
            assert_eq!([(); 5].map(|()| seen(&mut gif)), expected);
            assert!(gif.next().unwrap().is_none());
            gif.rewind().unwrap();
        }
    }

    #[test]
    fn transparent_pixels_paint_nothing_and_delays_are_kept() {
        let mut veil = part([0, 0, 2, 1], 1, DisposalMethod::Keep);
        veil.transparent = Some(1);
        let mut parts = [part([1, 0, 1, 1], 2, DisposalMethod::Keep), veil];
        parts[0].delay = 1;
        let mut gif = open(file(2, 1, &parts)).unwrap();
        let mut seconds = || gif.next().unwrap().unwrap().seconds;
        assert_eq!((seconds(), seconds()), (0.1, 0.07));
        gif.rewind().unwrap();
        assert_eq!((seen(&mut gif), seen(&mut gif)), (".g".into(), ".g".into()));
    }

    #[test]
    fn whole_frames_come_before_the_error() {
        let whole = file(64, 64, &[1, 2, 3].map(|i| part([0, 0, 64, 64], i, DisposalMethod::Keep)));
        let mut frames = Vec::new();
        for end in 0..whole.len() {
            match open(whole[..end].to_vec()) {
                Err(Failure::Message { exit: Exit::Input, message, .. }) => {
                    assert!(message.starts_with("g: damaged GIF: "), "{message}");
                }
                Err(other) => panic!("{other:?}"),
                Ok(mut gif) => {
                    let count = (0..3).take_while(|_| gif.next().is_ok_and(|frame| frame.is_some())).count();
                    match gif.next() {
                        // Only the trailer is missing.
                        Ok(frame) => assert!(frame.is_none() && count > 0),
                        Err(Failure::Message { message, .. }) if count == 0 && message == "g: no frames" => {}
                        failed => {
                            let start = format!("g: frame {count}: damaged GIF: ");
                            assert!(message(failed).starts_with(&start));
                        }
                    }
                    frames.push(count);
                }
            }
        }
        assert!(frames.is_sorted() && frames.last() == Some(&3) && frames[0] == 0, "{frames:?}");
    }

    #[test]
    fn damaged_and_hostile_files_are_refused() {
        assert!(message(open(b"GIF87a".to_vec())).starts_with("g: damaged GIF: "));
        let dot = part([0, 0, 1, 1], 0, DisposalMethod::Keep);
        let empty = file(0, 0, std::slice::from_ref(&dot));
        assert_eq!(message(open(empty)), "g: damaged GIF: no width or no height");
        let header = &file(2, 2, std::slice::from_ref(&dot))[..13 + PALETTE.len()];
        assert!(message(open([header, b";"].concat())).starts_with("g: damaged GIF: "));
        let gigantic = file(65535, 65535, std::slice::from_ref(&dot));
        assert_eq!(message(open(gigantic)), "g: a picture of 65535 x 65535 pixels is too large");
        // A small picture with a gigantic frame.
        let mut part = dot;
        (part.width, part.height) = (65535, 65535);
        part.make_lzw_pre_encoded();
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 2, 2, &PALETTE).unwrap();
        encoder.write_lzw_pre_encoded_frame(&part).unwrap();
        drop(encoder);
        assert!(message(open(bytes).unwrap().next()).starts_with("g: frame 0: damaged GIF: "));
    }
}
