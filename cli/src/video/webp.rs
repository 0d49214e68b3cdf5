//! Animated WebP.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::{Frame, Reader};
use crate::failure::{Exit, Failure, Result};
use crate::picture::{Limits, Picture, PictureOptions};

/// Bytes that the decoder takes for a pixel, and the picture.
const COST: usize = 16;
/// Seconds for which a frame is shown that asks for none, as browsers do.
const DEFAULT_SECONDS: f64 = 0.1;

/// The frames of a WebP, each on what the ones before it left.
pub(super) struct Webp {
    name: String,
    decoder: WebPDecoder<Cursor<Vec<u8>>>,
    /// The decoder's form of a frame.
    canvas: Vec<u8>,
    picture: Picture,
    /// Frames read.
    count: u32,
}

impl Webp {
    /// Reads the header of a file, which messages call `name`.
    pub(super) fn open(name: &str, bytes: Vec<u8>, options: &PictureOptions) -> Result<Self> {
        let failure = |message: String| Failure::new(Exit::Input, format!("{name}: {message}"));
        let limits = Limits::of_file(options, bytes.len());
        let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|error| failure(damaged(&error)))?;
        if !decoder.is_animated() {
            return Err(failure("a WebP without animation, not a video".into()));
        }
        let (width, height) = decoder.dimensions();
        let (width, height) = (width as usize, height as usize);
        limits.check(width, height, COST).map_err(failure)?;
        decoder.set_memory_limit(limits.memory());
        // As for a GIF: what the file says means nothing to those who show it.
        decoder.set_background_color([255; 4]).map_err(|error| failure(damaged(&error)))?;
        let canvas = vec![0; decoder.output_buffer_size().unwrap_or_default()];
        let picture = Picture::of_rgb(width, height, vec![0; 3 * width * height]);
        Ok(Self { name: name.to_owned(), decoder, canvas, picture, count: 0 })
    }
}

fn damaged(error: &DecodingError) -> String {
    format!("damaged WebP: {error}")
}

impl Reader for Webp {
    fn len(&self) -> Option<u64> {
        Some(self.decoder.num_frames().into())
    }

    fn next(&mut self) -> Result<Option<Frame<'_>>> {
        let milliseconds = match self.decoder.read_frame(&mut self.canvas) {
            Ok(milliseconds) => milliseconds,
            Err(DecodingError::NoMoreFrames) => return Ok(None),
            Err(error) => {
                let message = format!("{}: frame {}: {}", self.name, self.count, damaged(&error));
                return Err(Failure::new(Exit::Input, message));
            }
        };
        self.count += 1;
        let channels = if self.decoder.has_alpha() { 4 } else { 3 };
        for (pixel, canvas) in
            self.picture.data_mut().chunks_exact_mut(3).zip(self.canvas.chunks_exact(channels))
        {
            pixel.copy_from_slice(&canvas[..3]);
        }
        let seconds = if milliseconds > 0 { f64::from(milliseconds) / 1000.0 } else { DEFAULT_SECONDS };
        Ok(Some(Frame { picture: &self.picture, seconds }))
    }

    fn rewind(&mut self) -> Result<()> {
        self.decoder.reset_animation();
        self.count = 0;
        Ok(())
    }
}
