//! WebP.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::Decoded;
use super::limits::Limits;
use super::orientation;
use super::raw::{RawPicture, RawPixels};

/// Bytes that the decoder takes for a pixel, its own buffers and the picture.
const COST: usize = 8;

/// Reads the picture, of an animation the first frame.
pub(super) fn decode(bytes: &[u8], limits: Limits) -> Result<Decoded, String> {
    let damaged = |error: DecodingError| format!("damaged WebP: {error}");
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    limits.check(width, height, COST)?;
    decoder.set_memory_limit(limits.memory());
    let orientation = decoder.exif_metadata().map_err(damaged)?.and_then(|exif| orientation::of_exif(&exif));
    let size = decoder.output_buffer_size().ok_or("the WebP is too large for this machine's memory")?;
    let mut data = vec![0; size];
    decoder.read_image(&mut data).map_err(damaged)?;
    let pixels = if decoder.has_alpha() { RawPixels::Rgba8(data) } else { RawPixels::Rgb8(data) };
    let frames = decoder.num_frames();
    let animated = (frames > 1).then(|| format!("an animation: the first of {frames} frames is taken"));
    Ok(Decoded {
        raw: RawPicture { width, height, pixels },
        orientation: orientation.unwrap_or(1),
        notes: animated.into_iter().collect(),
    })
}
