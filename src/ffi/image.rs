//! `vitrum_image`: a borrowed picture.

use alloc::vec::Vec;
use core::mem::offset_of;
use core::slice;

use super::args::{CStruct, Nullable, flag, init, versioned, versioned_array};
use super::status::vitrum_status;
use crate::error::{Result, err};
use crate::exec::TryCollect;
use crate::image::{ImageView, PixelFormat, YuvEncoding, YuvMatrix, YuvRange};

/// Layout of a picture, 8 bits a channel: one of `VITRUM_PIXEL_*`.
pub type vitrum_pixel_format = i32;

/// Red, green, blue.
pub const VITRUM_PIXEL_RGB8: vitrum_pixel_format = 1;
/// Blue, green, red (OpenCV's order).
pub const VITRUM_PIXEL_BGR8: vitrum_pixel_format = 2;
/// Red, green, blue, alpha; alpha is ignored.
pub const VITRUM_PIXEL_RGBA8: vitrum_pixel_format = 3;
/// Blue, green, red, alpha; alpha is ignored.
pub const VITRUM_PIXEL_BGRA8: vitrum_pixel_format = 4;
/// One grey channel.
pub const VITRUM_PIXEL_GRAY8: vitrum_pixel_format = 5;
/// What cameras and video decoders give: a plane of luma, and one of colour differences with a pair of bytes, U and V,
/// for every 2 x 2 pixels.
pub const VITRUM_PIXEL_NV12: vitrum_pixel_format = 6;

/// Weights of the colours in luma: one of `VITRUM_YUV_*`.
pub type vitrum_yuv_matrix = i32;

/// ITU-R BT.601: what phones' cameras and JPEG give.
pub const VITRUM_YUV_BT601: vitrum_yuv_matrix = 0;
/// ITU-R BT.709: video of 720 lines and more.
pub const VITRUM_YUV_BT709: vitrum_yuv_matrix = 1;

/// A picture in the caller's memory, which is only read, and only during the call.
///
/// Row `y` begins at `data + y * row_stride`, so that `(height - 1) * row_stride` bytes and one row are read. Programs
/// built with a header in which the struct ended with `row_stride` still work.
#[repr(C)]
pub struct vitrum_image {
    /// `sizeof(vitrum_image)`; set by `vitrum_image_init`.
    pub struct_size: u32,
    /// Layout of the picture.
    pub format: vitrum_pixel_format,
    /// The first row; of NV12, of luma. Needs no alignment.
    pub data: *const u8,
    /// Width in pixels, 1 to 32768.
    pub width: u32,
    /// Height in pixels, 1 to 32768; at most 2^28 pixels in all.
    pub height: u32,
    /// Bytes from one row to the next, at least `width` times the bytes of a pixel; of NV12, of luma.
    pub row_stride: usize,
    /// NV12: the first row of the second plane, which has half as many rows as the picture, rounded up. Needs no
    /// alignment. Other formats ignore this field and those that follow.
    pub chroma: Nullable<*const u8>,
    /// NV12: bytes from one row to the next of the second plane, at least `width` rounded up to an even number.
    pub chroma_stride: usize,
    /// NV12: the weights of the colours.
    pub yuv_matrix: vitrum_yuv_matrix,
    /// NV12: 0 for the limited range (luma 16 to 235, colour differences 16 to 240), 1 for the full one (0 to 255).
    pub yuv_full_range: u32,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_image {
    const NAME: &'static str = "vitrum_image";
    /// Before NV12.
    const EARLIER: &'static [usize] = &[offset_of!(vitrum_image, chroma)];
}

/// Prepares `image`: sets its `struct_size` to `struct_size`, which is `sizeof *image`, and the other fields to
/// 0. Those up to `row_stride` must be set before it is used, and for NV12 `chroma` and `chroma_stride`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_image_init(image: *mut vitrum_image, struct_size: usize) -> vitrum_status {
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init(image, struct_size) }
}

/// The view of a caller's image.
///
/// # Safety
/// `image` must be NULL or lead to a `vitrum_image` whose data is as its fields say, valid for `'a`.
pub(super) unsafe fn view<'a>(image: *const vitrum_image, name: &str) -> Result<ImageView<'a>> {
    // SAFETY: the caller's promise.
    unsafe { view_of(&versioned(image, name)?, name) }
}

/// The view of an image whose version has been dealt with.
///
/// # Safety
/// As [`view`].
unsafe fn view_of<'a>(image: &vitrum_image, name: &str) -> Result<ImageView<'a>> {
    let format = match image.format {
        VITRUM_PIXEL_RGB8 => PixelFormat::Rgb8,
        VITRUM_PIXEL_BGR8 => PixelFormat::Bgr8,
        VITRUM_PIXEL_RGBA8 => PixelFormat::Rgba8,
        VITRUM_PIXEL_BGRA8 => PixelFormat::Bgra8,
        VITRUM_PIXEL_GRAY8 => PixelFormat::Gray8,
        VITRUM_PIXEL_NV12 => PixelFormat::Nv12,
        other => return Err(err!(InvalidArgument, "{name}: {other} is not a VITRUM_PIXEL_* format")),
    };
    if image.data.is_null() {
        return Err(err!(NullPointer, "{name}: data is NULL"));
    }
    let (width, height, stride) = (image.width as usize, image.height as usize, image.row_stride);
    if format != PixelFormat::Nv12 {
        let bytes = ImageView::byte_len(width, height, stride, format).map_err(|error| error.within(name))?;
        // SAFETY: not NULL and at most `isize::MAX` bytes, which the caller promises to be there.
        let data = unsafe { slice::from_raw_parts(image.data, bytes) };
        return ImageView::new(data, width, height, stride, format);
    }
    if image.chroma.is_null() {
        return Err(err!(NullPointer, "{name}: chroma is NULL"));
    }
    let matrix = match image.yuv_matrix {
        VITRUM_YUV_BT601 => YuvMatrix::Bt601,
        VITRUM_YUV_BT709 => YuvMatrix::Bt709,
        other => return Err(err!(InvalidArgument, "{name}: {other} is not a VITRUM_YUV_* matrix")),
    };
    let full = flag(image.yuv_full_range, "yuv_full_range").map_err(|error| error.within(name))?;
    let encoding = YuvEncoding { matrix, range: if full { YuvRange::Full } else { YuvRange::Limited } };
    let (luma, chroma) = ImageView::nv12_len(width, height, stride, image.chroma_stride)
        .map_err(|error| error.within(name))?;
    // SAFETY: not NULL and at most `isize::MAX` bytes each, which the caller promises to be there.
    let (luma, chroma) =
        unsafe { (slice::from_raw_parts(image.data, luma), slice::from_raw_parts(image.chroma, chroma)) };
    ImageView::nv12((luma, stride), (chroma, image.chroma_stride), width, height, encoding)
}

/// The views of an array of images, which may not be empty.
///
/// # Safety
/// As [`view`], for each of `count` images.
pub(super) unsafe fn views<'a>(
    images: *const vitrum_image,
    count: usize,
    name: &str,
) -> Result<Vec<ImageView<'a>>> {
    // SAFETY: the caller's promise.
    let images = unsafe { versioned_array(images, count, name)? };
    // SAFETY: the caller's promise.
    let view = |(i, image): (usize, &vitrum_image)| unsafe { view_of(image, &alloc::format!("{name}[{i}]")) };
    images.iter().enumerate().map(view).try_values()
}
