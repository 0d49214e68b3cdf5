//! Prompts of a `vitrum_tracker`.

use core::ffi::c_void;
use core::slice;

use super::args::{CStruct, Nullable, Output, array, flag, init, optional_versioned, product, versioned};
use super::error::vitrum_error;
use super::guard::guard;
use super::handle::{exclusive, shared};
use super::progress::{monitored, vitrum_progress};
use super::sam_prompt::{read_points, read_prompts, vitrum_sam_prompt};
use super::status::vitrum_status;
use super::tracker::{number_of, vitrum_tracker};
use crate::pipelines::tracker::PromptOptions;

/// How `vitrum_tracker_add_points` takes a prompt. All zeros but `struct_size` are the defaults.
#[repr(C)]
pub struct vitrum_tracker_prompt_options {
    /// `sizeof(vitrum_tracker_prompt_options)`; set by `vitrum_tracker_prompt_options_init`.
    pub struct_size: u32,
    /// 1: the clicks are added to those of earlier prompts for the object on the frame, to which no box can be added.
    /// 0: they replace them.
    pub keep_earlier: u32,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_tracker_prompt_options {
    const NAME: &'static str = "vitrum_tracker_prompt_options";
}

/// Fills `options` with the defaults. `struct_size` is `sizeof *options`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_prompt_options_init(
    options: *mut vitrum_tracker_prompt_options,
    struct_size: usize,
) -> vitrum_status {
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init(options, struct_size) }
}

/// Prompts object number `object` with clicks, or a box and clicks, on frame `frame`, which must be held. The first
/// prompt with a new number adds the object.
///
/// The mask on this frame can be read at once, and corrected with more clicks; masks on other frames change with the
/// next step. On a frame that was tracked, clicks correct the tracked mask. `frame` may be `VITRUM_FRAME_CURRENT`. The
/// prompt's `mask` must be NULL: the tracker itself starts from the earlier mask. `options` may be NULL for the
/// defaults, and `progress` may be NULL; it is called with `progress_user` during the call.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for a frame that is not held, an empty prompt, an unknown label, coordinates
/// that are not finite or beyond a million, a box whose right or bottom comes before its left or top, or a box with
/// `keep_earlier`; `VITRUM_E_LIMIT` for one object more than `max_objects`, more than 1024 points, or too many
/// corrected frames without a step; `VITRUM_E_CANCELLED`; `VITRUM_E_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_add_points(
    tracker: *mut vitrum_tracker,
    frame: i64,
    object: u32,
    prompt: *const vitrum_sam_prompt,
    options: Nullable<*const vitrum_tracker_prompt_options>,
    progress: Nullable<vitrum_progress>,
    progress_user: Nullable<*mut c_void>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let mut tracker = exclusive(tracker, "tracker")?;
            let frame = number_of(&tracker, frame)?;
            let keep_earlier = match optional_versioned(options, "options")? {
                Some(options) => flag(options.keep_earlier, "keep_earlier")?,
                None => false,
            };
            let options = PromptOptions::default().with_keep_earlier(keep_earlier);
            let prompt = versioned(prompt, "prompt")?;
            let prompts = slice::from_ref(&prompt);
            let points = read_points(prompts)?;
            let prompts = read_prompts(prompts, &points)?;
            monitored(progress, progress_user, |monitor| {
                tracker.add_prompt(frame, object, &prompts[0], &options, monitor)
            })
        })
    }
}

/// Prompts object number `object` with a mask on frame `frame`, which must be held. The mask replaces earlier prompts
/// of the object on this frame. The first prompt with a new number adds the object.
///
/// `mask` are `width * height` bytes, row after row, in the size of the frames: not 0 where the object is. A mask
/// without any such pixel means that the object is not visible. The other parameters are those of
/// `vitrum_tracker_add_points`.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for a frame that is not held, or a mask of another size; `VITRUM_E_LIMIT` for
/// one object more than `max_objects`; `VITRUM_E_CANCELLED`; `VITRUM_E_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_add_mask(
    tracker: *mut vitrum_tracker,
    frame: i64,
    object: u32,
    mask: *const u8,
    width: u32,
    height: u32,
    progress: Nullable<vitrum_progress>,
    progress_user: Nullable<*mut c_void>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let mut tracker = exclusive(tracker, "tracker")?;
            let frame = number_of(&tracker, frame)?;
            let size = [width as usize, height as usize];
            let mask = array(mask, product(size[0], size[1])?, "mask")?;
            monitored(progress, progress_user, |monitor| tracker.add_mask(frame, object, mask, size, monitor))
        })
    }
}

/// Removes the prompts of object number `object` on frame `frame`, which need not be held. An object without any
/// prompts must be prompted anew or removed before the next step.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for an unknown object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_clear_prompts(
    tracker: *mut vitrum_tracker,
    frame: i64,
    object: u32,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let mut tracker = exclusive(tracker, "tracker")?;
            let frame = number_of(&tracker, frame)?;
            tracker.clear_prompts(frame, object)
        })
    }
}

/// Removes object number `object`.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for an unknown object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_remove_object(
    tracker: *mut vitrum_tracker,
    object: u32,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe { guard(error, || exclusive(tracker, "tracker")?.remove_object(object)) }
}

/// The numbers of the objects, in the order in which they were added.
///
/// `objects` receives them. `capacity` is the room there, in numbers. `needed`, if not NULL, receives how many there
/// are, also when `capacity` is too small; with `objects` NULL and `capacity` 0 that is all that happens.
///
/// Errors: `VITRUM_E_BUFFER_TOO_SMALL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_objects(
    tracker: *const vitrum_tracker,
    objects: Nullable<*mut u32>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let tracker = shared(tracker, "tracker")?;
            let output = Output::new(objects, capacity, needed, "objects")?;
            if output.wants(tracker.objects().len())? {
                output.write(tracker.objects());
            }
            Ok(())
        })
    }
}
