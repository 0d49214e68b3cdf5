//! BMP.

use zune_bmp::zune_core::bytestream::ZCursor;
use zune_bmp::zune_core::colorspace::ColorSpace;
use zune_bmp::zune_core::options::DecoderOptions;
use zune_bmp::{BmpDecoder, BmpDecoderErrors};

use super::limits::Limits;
use super::raw::{RawPicture, RawPixels};

/// Reads the picture.
pub(super) fn decode(bytes: &[u8], limits: Limits) -> Result<RawPicture, String> {
    // The decoder's messages end with a line feed.
    let damaged =
        |error: BmpDecoderErrors| format!("damaged or unsupported BMP: {}", format!("{error:?}").trim_end());
    let options =
        DecoderOptions::default().set_max_width(1 << 16).set_max_height(1 << 16).set_strict_mode(true);
    let mut decoder = BmpDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().ok_or("damaged BMP: no size")?;
    limits.check(width, height, 4)?;
    let data = decoder.decode().map_err(damaged)?;
    let pixels = match decoder.colorspace() {
        Some(ColorSpace::RGBA) => RawPixels::Rgba8(data),
        Some(ColorSpace::RGB) => RawPixels::Rgb8(data),
        Some(ColorSpace::Luma) => RawPixels::Gray8(data),
        other => return Err(format!("unsupported BMP: {other:?}")),
    };
    Ok(RawPicture { width, height, pixels })
}
