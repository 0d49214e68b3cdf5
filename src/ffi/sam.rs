//! `vitrum_sam`: a SAM or SAM 2 model, and the encoding of pictures.

use alloc::sync::Arc;
use core::ffi::{c_char, c_void};
use core::mem::offset_of;
use core::ptr;

use super::args::{CStruct, Nullable, Output, flag, init, optional_versioned, place, write_text, zero};
use super::context::{cx_of, vitrum_context};
use super::error::vitrum_error;
use super::file::{open, open_memory, vitrum_file};
use super::guard::{guard, guard_value};
use super::handle::{self, Handle, free, peek, shared};
use super::image::{view, vitrum_image};
use super::progress::{monitored, vitrum_progress};
use super::sam_embedding::vitrum_sam_embedding;
use super::status::vitrum_status;
use super::weights::{vitrum_weights, weight_format};
use crate::error::Result;
use crate::exec::{Cx, Monitor};
use crate::pipelines::sam::{Sam, SamOptions};
use crate::weights::Bundle;

/// A SAM or SAM 2 model: image encoder, prompt encoder, mask decoder, and in SAM 2 memory attention and memory encoder.
/// Opaque and immutable.
///
/// Several threads may use one model at the same time. It keeps what it needs of its context alive.
pub struct vitrum_sam {
    _opaque: (),
}

impl Handle for vitrum_sam {
    const NAME: &'static str = "vitrum_sam";
    type Value = Arc<Sam>;
}

/// How to load a SAM model. All zeros but `struct_size` are the defaults.
#[repr(C)]
pub struct vitrum_sam_options {
    /// `sizeof(vitrum_sam_options)`; set by `vitrum_sam_options_init`.
    pub struct_size: u32,
    /// 0, the default: weights are read by ordinary file operations, into memory of the model's own. 1: they are read through
    /// a memory map, which saves system calls; if another process truncates the file meanwhile, the system kills this one.
    /// 2: what `vitrum quantize --pack` has packed for this CPU is used in place, in the map: the model is there in
    /// milliseconds, and processes share its memory. It must not be the default, because the caller promises that nobody
    /// writes to the files or truncates them as long as the model lives (to rename another file over them is fine).
    /// Only for `vitrum_sam_load`.
    pub mmap: u32,
    /// Side of the model's square input in pixels, a multiple of its patches' side; 0 for that of the checkpoint.
    /// Pictures are resized to it. A smaller input is faster and shows less detail.
    pub image_size: u32,
    /// 0, the default: a model with tensors or settings that are not understood is refused with
    /// `VITRUM_E_UNSUPPORTED`. 1: it is loaded. Its results may be wrong; `vitrum_sam_warnings` says why.
    pub lenient: u32,
    /// What the weights of the image encoder are kept as: `VITRUM_WEIGHTS_OF_FILES`, the default, or a format.
    pub weights: vitrum_weights,
    /// 0. Here so that the struct has no padding.
    pub reserved: u32,
    /// Called with the fraction that is done, with `progress_user`; it may stop the call, which then returns
    /// `VITRUM_E_CANCELLED`. NULL, the default, for none.
    pub progress: Nullable<vitrum_progress>,
    /// Handed to `progress`.
    pub progress_user: Nullable<*mut c_void>,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_sam_options {
    const NAME: &'static str = "vitrum_sam_options";
    const EARLIER: &'static [usize] = &[
        offset_of!(vitrum_sam_options, lenient),
        offset_of!(vitrum_sam_options, weights),
        offset_of!(vitrum_sam_options, reserved),
    ];
}

/// Fills `options` with the defaults. `struct_size` is `sizeof *options`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_options_init(
    options: *mut vitrum_sam_options,
    struct_size: usize,
) -> vitrum_status {
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init(options, struct_size) }
}

/// Loads the model at `path` and writes it to `sam`; the caller frees it with `vitrum_sam_free`. Any thread.
///
/// `path` is UTF-8: a directory in Hugging Face layout, or a safetensors file in the naming of the original SAM, of
/// MobileSAM, or of the original SAM 2. `options` may be NULL for the defaults. The arguments are not needed
/// afterwards; the model keeps the threads of `context` alive.
///
/// Errors: `VITRUM_E_NOT_FOUND`, `VITRUM_E_IO`; `VITRUM_E_FORMAT`, `VITRUM_E_LIMIT`,
/// `VITRUM_E_MISSING_TENSOR`, `VITRUM_E_TENSOR_SHAPE`, `VITRUM_E_TENSOR_DTYPE` or `VITRUM_E_CONFIG` for what is
/// wrong in the files; `VITRUM_E_INVALID_ARGUMENT` for an impossible `image_size`; `VITRUM_E_CANCELLED`;
/// `VITRUM_E_UNSUPPORTED` for a model of another kind, and always in a library built without files.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_load(
    context: *const vitrum_context,
    path: *const c_char,
    options: Nullable<*const vitrum_sam_options>,
    sam: *mut *mut vitrum_sam,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let place = place(sam, "sam")?;
            let cx = cx_of(context)?;
            let options = optional_versioned(options, "options")?;
            let bundle = open(path, options.as_ref().map_or(0, |options| options.mmap))?;
            place.write(new_sam(&cx, &bundle, options.as_ref())?);
            Ok(())
        })
    }
}

/// Loads a model from memory and writes it to `sam`; the caller frees it with `vitrum_sam_free`. Any thread.
///
/// `files` are `file_count` files as a model directory holds them: weights, whose names end in `.safetensors`
/// (shards need no index), and beside them `config.json` and `preprocessor_config.json` if there are any, in any
/// order. They are only read during the call. `options` may be NULL for the defaults.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` if there are no weights, for a file that no model has or one given
/// twice, or if `mmap` is set; otherwise those of `vitrum_sam_load`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_load_memory(
    context: *const vitrum_context,
    files: *const vitrum_file,
    file_count: usize,
    options: Nullable<*const vitrum_sam_options>,
    sam: *mut *mut vitrum_sam,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let place = place(sam, "sam")?;
            let cx = cx_of(context)?;
            let options = optional_versioned(options, "options")?;
            let bundle = open_memory(files, file_count, options.as_ref().map_or(0, |options| options.mmap))?;
            place.write(new_sam(&cx, &bundle, options.as_ref())?);
            Ok(())
        })
    }
}

/// Frees `sam`, which may be NULL. It must not be used, nor freed again, afterwards. Embeddings and predictions made with it can still be read, saved and freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_free(sam: Nullable<*mut vitrum_sam>) {
    if !sam.is_null() {
        // SAFETY: the caller owns the handle, which a load function made, and gives it up.
        guard_value((), || unsafe { free(sam) });
    }
}

/// Warnings from loading `sam`, a line of UTF-8 each: what was assumed, and which parts of its files are not used. The
/// text is empty if there are none. Any thread.
///
/// `warnings` receives them, NUL-terminated. `capacity` is the room there, in bytes. `needed`, if not NULL, receives
/// the number of bytes with the NUL, also when `capacity` is too small; with `warnings` NULL and `capacity` 0 that is
/// all that happens.
///
/// Errors: `VITRUM_E_BUFFER_TOO_SMALL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_warnings(
    sam: *const vitrum_sam,
    warnings: Nullable<*mut c_char>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let sam = shared(sam, "sam")?;
            write_text(&sam.warnings().join("\n"), Output::new(warnings, capacity, needed, "warnings")?)
        })
    }
}

/// Side of the model's square input, in pixels; 0 if `sam` is NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_image_size(sam: Nullable<*const vitrum_sam>) -> usize {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(0, || unsafe { peek(sam) }.map_or(0, |sam| sam.image_size()))
}

/// Side of the square low-resolution masks, those that the model predicts and those that a prompt may hold, in values;
/// 0 if `sam` is NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_mask_side(sam: Nullable<*const vitrum_sam>) -> usize {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(0, || unsafe { peek(sam) }.map_or(0, |sam| sam.mask_side()))
}

/// Bytes of memory that the model occupies; 0 if `sam` is NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_memory_bytes(sam: Nullable<*const vitrum_sam>) -> usize {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(0, || unsafe { peek(sam) }.map_or(0, |sam| sam.memory_bytes()))
}

/// Runs the image encoder on `image` and writes the result to `embedding`; the caller frees it with
/// `vitrum_sam_embedding_free`. Any thread.
///
/// This is the slow part; then `vitrum_sam_predict` answers any number of prompts from the embedding. `progress` may be
/// NULL; it is called with `progress_user` during the call.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for an unknown format; `VITRUM_E_IMAGE`, also for a picture so narrow that
/// resizing would leave no pixel of a side; `VITRUM_E_CANCELLED`; `VITRUM_E_LIMIT` beyond the context's `vitrum_limits`;
/// `VITRUM_E_NON_FINITE`; `VITRUM_E_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_encode(
    sam: *const vitrum_sam,
    image: *const vitrum_image,
    progress: Nullable<vitrum_progress>,
    progress_user: Nullable<*mut c_void>,
    embedding: *mut *mut vitrum_sam_embedding,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let place = place(embedding, "embedding")?;
            let sam = shared(sam, "sam")?;
            let image = view(image, "image")?;
            let encoded = monitored(progress, progress_user, |monitor| sam.encode(&image, monitor))?;
            place.write(handle::new(encoded)?);
            Ok(())
        })
    }
}

/// # Safety
/// The options' `progress` must be NULL or callable with `progress_user`.
unsafe fn new_sam(
    cx: &Cx,
    bundle: &Bundle<'_>,
    options: Option<&vitrum_sam_options>,
) -> Result<*mut vitrum_sam> {
    let mut sam_options = SamOptions::default();
    let mut progress = (None, ptr::null_mut());
    if let Some(options) = options {
        sam_options.image_size = Some(options.image_size as usize).filter(|&size| size != 0);
        sam_options.lenient = flag(options.lenient, "lenient")?;
        sam_options.weights = weight_format(options.weights)?;
        zero(options.reserved, "reserved")?;
        progress = (options.progress, options.progress_user);
    }
    let load = |monitor: &Monitor<'_>| Sam::load_monitored(cx, bundle, &sam_options, monitor);
    // SAFETY: the caller's promise.
    let sam = unsafe { monitored(progress.0, progress.1, load)? };
    handle::new(Arc::new(sam))
}
