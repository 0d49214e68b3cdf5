//! `vitrum_sam_embedding`: an encoded picture, which can be kept.

use super::args::{Nullable, Output, array, place};
use super::error::vitrum_error;
use super::guard::{guard, guard_value};
use super::handle::{self, Handle, free, peek, shared};
use super::image::{view, vitrum_image};
use super::sam::vitrum_sam;
use super::status::vitrum_status;
use crate::pipelines::sam::Embedding;

/// Whether an embedding was made from a picture: one of `VITRUM_PICTURE_*`.
pub type vitrum_picture_match = i32;

/// It was made from this picture.
pub const VITRUM_PICTURE_SAME: vitrum_picture_match = 1;
/// It was made from another one.
pub const VITRUM_PICTURE_OTHER: vitrum_picture_match = 0;
/// Not known: the embedding was saved by an earlier version of the library, which did not store this.
pub const VITRUM_PICTURE_UNKNOWN: vitrum_picture_match = -1;

/// An encoded picture: the output of a SAM's image encoder. Opaque and immutable.
///
/// Several threads may use one embedding at the same time. It belongs to the model that made it, or to one loaded
/// from the same weights with the same input size.
pub struct vitrum_sam_embedding {
    _opaque: (),
}

impl Handle for vitrum_sam_embedding {
    const NAME: &'static str = "vitrum_sam_embedding";
    type Value = Embedding;
}

/// Frees `embedding`, which may be NULL. It must not be used, nor freed again, afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_embedding_free(embedding: Nullable<*mut vitrum_sam_embedding>) {
    if !embedding.is_null() {
        // SAFETY: the caller owns the handle, which this library made, and gives it up.
        guard_value((), || unsafe { free(embedding) });
    }
}

/// Width of the picture in pixels; 0 if `embedding` is NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_embedding_width(embedding: Nullable<*const vitrum_sam_embedding>) -> u32 {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(0, || unsafe { peek(embedding) }.map_or(0, |it| it.image_size().0 as u32))
}

/// Height of the picture in pixels; 0 if `embedding` is NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_embedding_height(
    embedding: Nullable<*const vitrum_sam_embedding>,
) -> u32 {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(0, || unsafe { peek(embedding) }.map_or(0, |it| it.image_size().1 as u32))
}

/// Bytes of memory that the embedding occupies; 0 if it is NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_embedding_memory_bytes(
    embedding: Nullable<*const vitrum_sam_embedding>,
) -> usize {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(0, || unsafe { peek(embedding) }.map_or(0, |it| it.memory_bytes()))
}

/// The output of the image encoder: a square grid of tokens, row by row, the channels of a token together. Any
/// thread.
///
/// `values` receives it. `capacity` is the room there, in floats. `needed`, if not NULL, receives the number of
/// floats, also when `capacity` is too small; with `values` NULL and `capacity` 0 that is all that happens.
///
/// Errors: `VITRUM_E_BUFFER_TOO_SMALL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_embedding_values(
    embedding: *const vitrum_sam_embedding,
    values: Nullable<*mut f32>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let embedding = shared(embedding, "embedding")?;
            let output = Output::new(values, capacity, needed, "values")?;
            if output.wants(embedding.values().len())? {
                output.write(embedding.values());
            }
            Ok(())
        })
    }
}

/// The embedding as bytes, for a file or a database; `vitrum_sam_embedding_load` makes it an embedding again, on
/// any machine. Any thread.
///
/// `bytes` receives them. `capacity` and `needed`, in bytes, are as for `vitrum_sam_embedding_values`.
///
/// Errors: `VITRUM_E_BUFFER_TOO_SMALL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_embedding_save(
    embedding: *const vitrum_sam_embedding,
    bytes: Nullable<*mut u8>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let embedding = shared(embedding, "embedding")?;
            let output = Output::new(bytes, capacity, needed, "bytes")?;
            if output.wants(embedding.saved_bytes())? {
                output.write(&embedding.save()?);
            }
            Ok(())
        })
    }
}

/// Whether `embedding` was made from `image`, that is, whether all pixels are equal. Layout in memory and alpha do not
/// matter. Check this before a restored embedding answers prompts about a picture. Takes a few milliseconds for 12
/// megapixels. Any thread.
///
/// `answer` receives one of `VITRUM_PICTURE_*`.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for an unknown pixel format; `VITRUM_E_IMAGE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_embedding_is_of(
    embedding: *const vitrum_sam_embedding,
    image: *const vitrum_image,
    answer: *mut vitrum_picture_match,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let answer = place(answer, "answer")?;
            let embedding = shared(embedding, "embedding")?;
            let image = view(image, "image")?;
            answer.write(match embedding.is_of(&image)? {
                Some(true) => VITRUM_PICTURE_SAME,
                Some(false) => VITRUM_PICTURE_OTHER,
                None => VITRUM_PICTURE_UNKNOWN,
            });
            Ok(())
        })
    }
}

/// Restores a saved embedding and writes it to `embedding`; the caller frees it with `vitrum_sam_embedding_free`.
/// Any thread.
///
/// `data` are the `size` bytes that `vitrum_sam_embedding_save` wrote. They need not be trusted: they carry a
/// checksum, and say which model they are from. They are only read during the call. `vitrum_sam_embedding_is_of` tells
/// whether they are of the picture that the caller has.
///
/// Errors: `VITRUM_E_FORMAT` if they are not a whole, undamaged embedding; `VITRUM_E_UNSUPPORTED` if a later
/// version of this library wrote them; `VITRUM_E_INVALID_ARGUMENT` if another model did, or one with another
/// input size; `VITRUM_E_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_embedding_load(
    sam: *const vitrum_sam,
    data: *const u8,
    size: usize,
    embedding: *mut *mut vitrum_sam_embedding,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let place = place(embedding, "embedding")?;
            let sam = shared(sam, "sam")?;
            let data = array(data, size, "data")?;
            place.write(handle::new(sam.restore(data)?)?);
            Ok(())
        })
    }
}
