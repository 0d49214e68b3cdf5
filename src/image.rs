//! Borrowed 8-bit images in the layouts that cameras, codecs and windows hand out.

use crate::error::{Result, err};

/// Pixel layout of an [`ImageView`], 8 bits per channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb8,
    /// Blue, green, red (OpenCV's order).
    Bgr8,
    /// Red, green, blue, alpha; alpha is ignored.
    Rgba8,
    /// Blue, green, red, alpha; alpha is ignored.
    Bgra8,
    /// One grey channel, replicated to red, green and blue.
    Gray8,
}

impl PixelFormat {
    /// Bytes per pixel.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Rgb8 | Self::Bgr8 => 3,
            Self::Rgba8 | Self::Bgra8 => 4,
            Self::Gray8 => 1,
        }
    }
}

/// Largest width or height accepted, in pixels.
pub const MAX_IMAGE_SIDE: usize = 1 << 15;
/// Largest number of pixels accepted (256 megapixels).
pub const MAX_IMAGE_PIXELS: usize = 1 << 28;

/// A borrowed, checked view of an image: row `y` starts at byte `y * row_stride`.
#[derive(Clone, Copy, Debug)]
pub struct ImageView<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
    row_stride: usize,
    format: PixelFormat,
}

impl<'a> ImageView<'a> {
    /// Views `data` as `height` rows of `width` pixels, `row_stride` bytes apart.
    ///
    /// # Errors
    /// [`ErrorCode::Image`](crate::ErrorCode::Image) for an empty or gigantic image, a stride shorter than a row,
    /// or a buffer shorter than `(height - 1) * row_stride + width * bytes`.
    pub fn new(
        data: &'a [u8],
        width: usize,
        height: usize,
        row_stride: usize,
        format: PixelFormat,
    ) -> Result<Self> {
        let needed = Self::byte_len(width, height, row_stride, format)?;
        if data.len() < needed {
            return Err(err!(Image, "image buffer holds {} bytes, {needed} needed", data.len()));
        }
        Ok(Self { data, width, height, row_stride, format })
    }

    /// Bytes that an image of this geometry spans: `(height - 1) * row_stride + width * bytes`.
    ///
    /// # Errors
    /// [`ErrorCode::Image`](crate::ErrorCode::Image) for an empty or gigantic image or a stride shorter than a row.
    pub fn byte_len(width: usize, height: usize, row_stride: usize, format: PixelFormat) -> Result<usize> {
        if width == 0 || height == 0 {
            return Err(err!(Image, "image of {width}x{height} pixels is empty"));
        }
        if width > MAX_IMAGE_SIDE || height > MAX_IMAGE_SIDE || width * height > MAX_IMAGE_PIXELS {
            return Err(err!(
                Image,
                "image of {width}x{height} pixels is too large (limit {MAX_IMAGE_SIDE} a side, {MAX_IMAGE_PIXELS} in all)"
            ));
        }
        let row = width * format.bytes();
        if row_stride < row {
            return Err(err!(Image, "row stride of {row_stride} bytes is shorter than a row of {row} bytes"));
        }
        (height - 1)
            .checked_mul(row_stride)
            .and_then(|bytes| bytes.checked_add(row))
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .ok_or_else(|| err!(Image, "row stride of {row_stride} bytes overflows"))
    }

    /// The part of `width × height` pixels whose top left corner is pixel `(x, y)`.
    ///
    /// # Errors
    /// [`ErrorCode::Image`](crate::ErrorCode::Image) if it is empty or not within the image.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Result<Self> {
        let within = |first: usize, len: usize, side: usize| len > 0 && first <= side && len <= side - first;
        if !within(x, width, self.width) || !within(y, height, self.height) {
            return Err(err!(
                Image,
                "crop of {width}x{height} pixels at ({x}, {y}) of an image of {}x{}",
                self.width,
                self.height
            ));
        }
        let data = &self.data[y * self.row_stride + x * self.format.bytes()..];
        Self::new(data, width, height, self.row_stride, self.format)
    }

    /// Views tightly packed rows.
    ///
    /// # Errors
    /// As [`ImageView::new`].
    pub fn packed(data: &'a [u8], width: usize, height: usize, format: PixelFormat) -> Result<Self> {
        Self::new(data, width, height, width.saturating_mul(format.bytes()), format)
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Pixel layout.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// The bytes from the first pixel to the last, with the padding between rows.
    pub fn data(&self) -> &'a [u8] {
        &self.data[..(self.height - 1) * self.row_stride + self.width * self.format.bytes()]
    }

    /// Bytes from one row to the next.
    pub fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// The bytes of row `y`, without padding.
    pub fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.row_stride..][..self.width * self.format.bytes()]
    }

    /// Writes row `y` as RGB, 3 bytes a pixel.
    pub fn row_rgb(&self, y: usize, out: &mut [u8]) {
        let row = self.row(y);
        let out = out[..self.width * 3].chunks_exact_mut(3);
        match self.format {
            PixelFormat::Rgb8 => out.zip(row.chunks_exact(3)).for_each(|(o, p)| o.copy_from_slice(p)),
            PixelFormat::Rgba8 => out.zip(row.chunks_exact(4)).for_each(|(o, p)| o.copy_from_slice(&p[..3])),
            PixelFormat::Bgr8 => {
                out.zip(row.chunks_exact(3)).for_each(|(o, p)| o.copy_from_slice(&[p[2], p[1], p[0]]))
            }
            PixelFormat::Bgra8 => {
                out.zip(row.chunks_exact(4)).for_each(|(o, p)| o.copy_from_slice(&[p[2], p[1], p[0]]))
            }
            PixelFormat::Gray8 => out.zip(row).for_each(|(o, &p)| o.copy_from_slice(&[p, p, p])),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::image::{ImageView, PixelFormat};

    #[test]
    fn a_crop_sees_its_pixels() {
        let data: [u8; 24] = core::array::from_fn(|i| i as u8);
        let image = ImageView::new(&data, 5, 3, 8, PixelFormat::Gray8).unwrap();
        let crop = image.crop(3, 1, 2, 2).unwrap();
        assert_eq!((crop.row(0), crop.row(1)), (&[11, 12][..], &[19, 20][..]));
        for (x, y, w, h) in [(0, 0, 0, 1), (5, 0, 1, 1), (4, 0, 2, 1), (0, 1, 1, 3), (usize::MAX, 0, 2, 1)] {
            let code = image.crop(x, y, w, h).unwrap_err().code();
            assert_eq!(code, crate::ErrorCode::Image, "{x} {y} {w} {h}");
        }
    }
}
