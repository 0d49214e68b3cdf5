//! Borrowed 8-bit images in the layouts that cameras, codecs and windows hand out.

mod yuv;

pub use yuv::{YuvEncoding, YuvMatrix, YuvRange};

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
    /// Luma, and in a second plane the colour differences U and V of every 2 × 2 pixels: [`ImageView::nv12`].
    Nv12,
}

impl PixelFormat {
    /// Bytes per pixel, of [`Nv12`](Self::Nv12) in the plane of luma.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Rgb8 | Self::Bgr8 => 3,
            Self::Rgba8 | Self::Bgra8 => 4,
            Self::Gray8 | Self::Nv12 => 1,
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
    /// Only of [`PixelFormat::Nv12`].
    chroma: Option<Chroma<'a>>,
}

/// The second plane of an NV12 picture.
#[derive(Clone, Copy, Debug)]
struct Chroma<'a> {
    data: &'a [u8],
    row_stride: usize,
    encoding: YuvEncoding,
    /// Whether the first pixel, from the left and from the top, is the second of its 2 × 2.
    odd: [bool; 2],
}

impl<'a> ImageView<'a> {
    /// Views `data` as `height` rows of `width` pixels, `row_stride` bytes apart.
    ///
    /// # Errors
    /// [`ErrorCode::Image`](crate::ErrorCode::Image) for an empty or gigantic image, a stride shorter than a row,
    /// or a buffer shorter than `(height - 1) * row_stride + width * bytes`;
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument) for [`PixelFormat::Nv12`], which has two planes.
    pub fn new(
        data: &'a [u8],
        width: usize,
        height: usize,
        row_stride: usize,
        format: PixelFormat,
    ) -> Result<Self> {
        if format == PixelFormat::Nv12 {
            return Err(err!(InvalidArgument, "an NV12 image has two planes"));
        }
        let needed = Self::byte_len(width, height, row_stride, format)?;
        if data.len() < needed {
            return Err(err!(Image, "image buffer holds {} bytes, {needed} needed", data.len()));
        }
        Ok(Self { data, width, height, row_stride, format, chroma: None })
    }

    /// Views what cameras and video decoders give: `luma` holds `height` rows of `width` bytes, `luma_stride` bytes
    /// apart; `chroma` holds `⌈height / 2⌉` rows of `⌈width / 2⌉` pairs `U, V`, `chroma_stride` bytes apart. The four
    /// pixels of a pair get its colour as it is.
    ///
    /// # Errors
    /// [`ErrorCode::Image`](crate::ErrorCode::Image), as [`ImageView::new`], for either plane.
    pub fn nv12(
        (luma, luma_stride): (&'a [u8], usize),
        (chroma, chroma_stride): (&'a [u8], usize),
        width: usize,
        height: usize,
        encoding: YuvEncoding,
    ) -> Result<Self> {
        let (luma_bytes, chroma_bytes) = Self::nv12_len(width, height, luma_stride, chroma_stride)?;
        for (plane, data, needed) in [("luma", luma, luma_bytes), ("chroma", chroma, chroma_bytes)] {
            if data.len() < needed {
                return Err(err!(Image, "the plane of {plane} holds {} bytes, {needed} needed", data.len()));
            }
        }
        let chroma = Chroma { data: chroma, row_stride: chroma_stride, encoding, odd: [false; 2] };
        let format = PixelFormat::Nv12;
        Ok(Self { data: luma, width, height, row_stride: luma_stride, format, chroma: Some(chroma) })
    }

    /// Bytes that the two planes of an NV12 picture span.
    ///
    /// # Errors
    /// As [`byte_len`](Self::byte_len), for either plane.
    pub fn nv12_len(
        width: usize,
        height: usize,
        luma_stride: usize,
        chroma_stride: usize,
    ) -> Result<(usize, usize)> {
        let luma = Self::byte_len(width, height, luma_stride, PixelFormat::Nv12)?;
        let chroma = span(2 * width.div_ceil(2), height.div_ceil(2), chroma_stride)
            .map_err(|error| error.within("chroma"))?;
        Ok((luma, chroma))
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
        span(width * format.bytes(), height, row_stride)
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
        let chroma = self.chroma.map(|chroma| chroma.from(x, y));
        Ok(Self { data, width, height, chroma, ..*self })
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

    /// The bytes from the first pixel to the last, with the padding between rows; of NV12, the luma.
    pub fn data(&self) -> &'a [u8] {
        &self.data[..(self.height - 1) * self.row_stride + self.width * self.format.bytes()]
    }

    /// Bytes from one row to the next; of NV12, in the plane of luma.
    pub fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// The bytes of row `y`, without padding; of NV12, the luma.
    pub fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.row_stride..][..self.width * self.format.bytes()]
    }

    /// Writes row `y` as RGB, 3 bytes a pixel.
    pub fn row_rgb(&self, y: usize, out: &mut [u8]) {
        let row = self.row(y);
        let out = &mut out[..self.width * 3];
        if let Some(chroma) = &self.chroma {
            return chroma.row_rgb(y, row, out);
        }
        let out = out.chunks_exact_mut(3);
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
            PixelFormat::Nv12 => unreachable!("made with its chroma only"),
        }
    }
}

impl<'a> Chroma<'a> {
    /// The plane of the part of the picture that begins with pixel `(x, y)`.
    fn from(self, x: usize, y: usize) -> Self {
        let (x, y) = (x + usize::from(self.odd[0]), y + usize::from(self.odd[1]));
        let data = &self.data[y / 2 * self.row_stride + x / 2 * 2..];
        Self { data, odd: [x % 2 == 1, y % 2 == 1], ..self }
    }

    /// Row `y` as RGB.
    fn row_rgb(&self, y: usize, luma: &[u8], out: &mut [u8]) {
        let [odd_x, odd_y] = self.odd;
        let row = &self.data[(y + usize::from(odd_y)) / 2 * self.row_stride..];
        let pairs = (luma.len() + usize::from(odd_x)).div_ceil(2);
        self.encoding.row_rgb(luma, &row[..2 * pairs], odd_x, out);
    }
}

/// Bytes of `height` rows of `row` bytes, `row_stride` bytes apart.
fn span(row: usize, height: usize, row_stride: usize) -> Result<usize> {
    if row_stride < row {
        return Err(err!(Image, "row stride of {row_stride} bytes is shorter than a row of {row} bytes"));
    }
    (height - 1)
        .checked_mul(row_stride)
        .and_then(|bytes| bytes.checked_add(row))
        .filter(|&bytes| isize::try_from(bytes).is_ok())
        .ok_or_else(|| err!(Image, "row stride of {row_stride} bytes overflows"))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use crate::ErrorCode;
    use crate::image::{ImageView, PixelFormat, YuvEncoding};

    #[test]
    fn a_crop_sees_its_pixels() {
        let data: [u8; 24] = core::array::from_fn(|i| i as u8);
        let image = ImageView::new(&data, 5, 3, 8, PixelFormat::Gray8).unwrap();
        let crop = image.crop(3, 1, 2, 2).unwrap();
        assert_eq!((crop.row(0), crop.row(1)), (&[11, 12][..], &[19, 20][..]));
        for (x, y, w, h) in [(0, 0, 0, 1), (5, 0, 1, 1), (4, 0, 2, 1), (0, 1, 1, 3), (usize::MAX, 0, 2, 1)] {
            let code = image.crop(x, y, w, h).unwrap_err().code();
            assert_eq!(code, ErrorCode::Image, "{x} {y} {w} {h}");
        }
    }

    /// Luma 10 y + x, and the pair `(x, y)` of chroma `[100 + 10 y + x, 200 + 10 y + x]`, in padded planes.
    fn planes(width: usize, height: usize) -> ([u8; 8 * 5], [u8; 9 * 3]) {
        let mut planes = ([255; 40], [255; 27]);
        for y in 0..height {
            for x in 0..width {
                planes.0[8 * y + x] = (10 * y + x) as u8;
                let pair = 9 * (y / 2) + x / 2 * 2;
                let colour = (10 * (y / 2) + x / 2) as u8;
                (planes.1[pair], planes.1[pair + 1]) = (100 + colour, 200 + colour);
            }
        }
        planes
    }

    #[test]
    fn four_pixels_share_a_colour_whatever_the_crop() {
        for (width, height) in [(5, 3), (4, 4), (1, 1), (7, 5)] {
            let (luma, chroma) = planes(width, height);
            let encoding = YuvEncoding::default();
            let image = ImageView::nv12((&luma, 8), (&chroma, 9), width, height, encoding).unwrap();
            let pixel = |x: usize, y: usize| {
                let colour = (10 * (y / 2) + x / 2) as u8;
                let mut rgb = [0; 3];
                encoding.row_rgb(&[(10 * y + x) as u8], &[100 + colour, 200 + colour], false, &mut rgb);
                rgb
            };
            for (left, top) in [(0, 0), (width / 2, height - 1), (width - 1, height / 2)] {
                let crop = image.crop(left, top, width - left, height - top).unwrap();
                let again = crop.crop(crop.width() / 3, 0, 1, 1).unwrap();
                let mut rgb = [0; 3];
                again.row_rgb(0, &mut rgb);
                assert_eq!(rgb, pixel(left + crop.width() / 3, top));
                for y in 0..crop.height() {
                    let mut row = vec![0; 3 * crop.width()];
                    crop.row_rgb(y, &mut row);
                    for (x, rgb) in row.as_chunks().0.iter().enumerate() {
                        assert_eq!(
                            *rgb,
                            pixel(left + x, top + y),
                            "{width}x{height} from {left}, {top}: {x}, {y}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn both_planes_must_be_whole() {
        let (luma, chroma) = planes(5, 3);
        let view = |luma: &[u8], stride, chroma: &[u8], chroma_stride| {
            ImageView::nv12((luma, stride), (chroma, chroma_stride), 5, 3, YuvEncoding::default()).map(|_| ())
        };
        // 2 rows of 8 and one of 5 bytes; one row of 9 and one of 6 bytes.
        view(&luma[..21], 8, &chroma[..15], 9).unwrap();
        for (luma, stride, chroma, chroma_stride) in [
            (&luma[..20], 8, &chroma[..], 9),
            (&luma[..], 8, &chroma[..14], 9),
            (&luma[..], 4, &chroma[..], 9),
            (&luma[..], 8, &chroma[..], 5),
            (&luma[..], 8, &chroma[..], usize::MAX),
            (&[], 8, &[], 9),
        ] {
            assert_eq!(view(luma, stride, chroma, chroma_stride).unwrap_err().code(), ErrorCode::Image);
        }
        let one_plane = ImageView::new(&luma, 5, 3, 8, PixelFormat::Nv12).unwrap_err();
        assert_eq!(one_plane.code(), ErrorCode::InvalidArgument);
    }
}
