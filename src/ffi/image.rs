//! `vitrum_image`: a borrowed picture.

use alloc::vec::Vec;
use core::slice;

use super::args::{CStruct, init, versioned, versioned_array};
use super::status::vitrum_status;
use crate::error::{Result, err};
use crate::image::{ImageView, PixelFormat};

/// Layout of a pixel, 8 bits a channel: one of `VITRUM_PIXEL_*`.
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

/// A picture in the caller's memory, which is only read, and only during the call.
///
/// Row `y` begins at `data + y * row_stride`, so that `(height - 1) * row_stride` bytes and one row are read.
#[repr(C)]
pub struct vitrum_image {
    /// `sizeof(vitrum_image)`; set by `vitrum_image_init`.
    pub struct_size: u32,
    /// Layout of a pixel.
    pub format: vitrum_pixel_format,
    /// The first row. Needs no alignment.
    pub data: *const u8,
    /// Width in pixels, 1 to 32768.
    pub width: u32,
    /// Height in pixels, 1 to 32768; at most 2^28 pixels in all.
    pub height: u32,
    /// Bytes from one row to the next, at least `width` times the bytes of a pixel.
    pub row_stride: usize,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_image {
    const NAME: &'static str = "vitrum_image";
}

/// Prepares `image`: sets its `struct_size` to `struct_size`, which is `sizeof *image`, and the other fields to
/// 0. All of them must be set before it is used.
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
    let image = unsafe { versioned(image, name)? };
    let format = match image.format {
        VITRUM_PIXEL_RGB8 => PixelFormat::Rgb8,
        VITRUM_PIXEL_BGR8 => PixelFormat::Bgr8,
        VITRUM_PIXEL_RGBA8 => PixelFormat::Rgba8,
        VITRUM_PIXEL_BGRA8 => PixelFormat::Bgra8,
        VITRUM_PIXEL_GRAY8 => PixelFormat::Gray8,
        other => return Err(err!(InvalidArgument, "{name}: {other} is not a VITRUM_PIXEL_* format")),
    };
    if image.data.is_null() {
        return Err(err!(NullPointer, "{name}: data is NULL"));
    }
    let (width, height) = (image.width as usize, image.height as usize);
    let bytes =
        ImageView::byte_len(width, height, image.row_stride, format).map_err(|error| error.within(name))?;
    // SAFETY: not NULL and at most `isize::MAX` bytes, which the caller promises to be there.
    let data = unsafe { slice::from_raw_parts(image.data, bytes) };
    ImageView::new(data, width, height, image.row_stride, format)
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
    let view = |(i, image): (usize, &vitrum_image)| unsafe { view(image, &alloc::format!("{name}[{i}]")) };
    images.iter().enumerate().map(view).collect()
}
