//! `vitrum_tracker`: objects followed through a video.

use alloc::sync::Arc;
use core::ffi::c_void;

use super::args::{CStruct, Nullable, Output, flag, init_with, optional, optional_versioned, place};
use super::error::vitrum_error;
use super::guard::{guard, guard_value};
use super::handle::{self, Handle, exclusive, free, peek, shared};
use super::image::{view, vitrum_image};
use super::progress::{monitored, vitrum_progress};
use super::sam::vitrum_sam;
use super::status::vitrum_status;
use crate::error::{Result, err};
use crate::pipelines::tracker::{Direction, Tracker, TrackerOptions};

/// Objects followed through one video with a SAM 2 model. Opaque.
///
/// Only one call may use a tracker at a time, but several calls that only read it (`const`) may run at the same time.
/// It keeps its model alive, so that the model's handle may be freed before it. However long the video is, its memory
/// does not grow beyond `vitrum_tracker_memory_limit`. A call that fails or is stopped leaves it as it was.
///
/// Frames are numbered from 0. The caller chooses the numbers of objects.
pub struct vitrum_tracker {
    _opaque: (),
}

impl Handle for vitrum_tracker {
    const NAME: &'static str = "vitrum_tracker";
    type Value = Tracker;
}

/// Stands for the number of the frame that was pushed last.
pub const VITRUM_FRAME_CURRENT: i64 = -1;

/// The direction in which a video is tracked: one of `VITRUM_DIRECTION_*`.
pub type vitrum_direction = i32;

/// From earlier frames to later ones.
pub const VITRUM_DIRECTION_FORWARD: vitrum_direction = 0;
/// From later frames to earlier ones.
pub const VITRUM_DIRECTION_BACKWARD: vitrum_direction = 1;

/// How a tracker behaves. The defaults are those of sam2's `build_sam2_video_predictor`; they are not zeros.
#[repr(C)]
pub struct vitrum_tracker_options {
    /// `sizeof(vitrum_tracker_options)`; set by `vitrum_tracker_options_init`.
    pub struct_size: u32,
    /// Most objects at the same time, 1 to 1024; 16 by default.
    pub max_objects: u32,
    /// Most prompted frames of an object to which later frames attend, 1 to 4096; 8 by default. One more replaces the
    /// earliest prompted one after the first. (sam2 keeps all, and its memory grows.)
    pub max_prompted_frames: u32,
    /// How many of the frames pushed last are held, 1 to 4096; 1 by default. Frames that are held can be prompted and
    /// tracked, and their masks read. In the released models each takes 17 MB, and 256 kB for every object.
    pub held_frames: u32,
    /// Number of frames of the video, or 0, the default, if it is not known, as with a camera. As in sam2, it changes
    /// results only if it is less than 16.
    pub num_frames: u64,
    /// Holes of at most this area in the low-resolution masks are filled; 0 leaves them. 8 by default.
    pub fill_hole_area: u32,
    /// 1: keep the memories around prompted frames, so that frames after them and then frames before them can be
    /// tracked. 0 by default.
    pub both_directions: u32,
    /// 1: give every pixel to one object at most in the masks that are read. 0 by default.
    pub non_overlap_output: u32,
    /// 1: the same in the masks that the memory encoder gets. 0 by default.
    pub non_overlap_memory: u32,
    /// 1, the default: the memory encoder gets masks of prompted frames as 0 and 1, not as probabilities.
    pub binarize_clicked_masks: u32,
    /// 1: prompts on a frame that was tracked already make it a conditioning frame, as prompts on other frames do. 0 by
    /// default.
    pub corrections_are_conditioning: u32,
    /// 1: forget tracked frames around a prompted one. 0 by default.
    pub clear_memory_around_input: u32,
    /// 1, the default: take the best of three masks where a single mask is not stable.
    pub dynamic_multimask_via_stability: u32,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_tracker_options {
    const NAME: &'static str = "vitrum_tracker_options";
}

/// Fills `options` with the defaults. `struct_size` is `sizeof *options`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_options_init(
    options: *mut vitrum_tracker_options,
    struct_size: usize,
) -> vitrum_status {
    let defaults = vitrum_tracker_options::new(&TrackerOptions::default());
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init_with(options, struct_size, &defaults) }
}

/// Makes a tracker of a video whose frames have this size in pixels, and writes it to `tracker`; the caller frees it
/// with `vitrum_tracker_free`. Any thread.
///
/// `options` may be NULL for the defaults.
///
/// Errors: `VITRUM_E_UNSUPPORTED` if `sam` is not SAM 2, or its checkpoint is for pictures only;
/// `VITRUM_E_INVALID_ARGUMENT` for an option outside its domain; `VITRUM_E_LIMIT` or `VITRUM_E_IMAGE` for an impossible
/// size; `VITRUM_E_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_new(
    sam: *const vitrum_sam,
    width: u32,
    height: u32,
    options: Nullable<*const vitrum_tracker_options>,
    tracker: *mut *mut vitrum_tracker,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let place = place(tracker, "tracker")?;
            let sam = shared(sam, "sam")?;
            let options = read_options(options)?;
            let size = [width as usize, height as usize];
            place.write(handle::new(Tracker::new(Arc::clone(&sam), size, &options)?)?);
            Ok(())
        })
    }
}

/// Frees `tracker`, which may be NULL. It must not be used, nor freed again, afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_free(tracker: Nullable<*mut vitrum_tracker>) {
    if !tracker.is_null() {
        // SAFETY: the caller owns the handle, which this library made, and gives it up.
        guard_value((), || unsafe { free(tracker) });
    }
}

/// An upper bound on the bytes that a tracker made with the same arguments holds, however long the video. Any thread.
/// Most trackers hold much less. The scratch memory that the context keeps for reuse is not included.
///
/// `limit` receives them. The other parameters and the errors are those of `vitrum_tracker_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_memory_limit(
    sam: *const vitrum_sam,
    width: u32,
    height: u32,
    options: Nullable<*const vitrum_tracker_options>,
    limit: *mut usize,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let place = place(limit, "limit")?;
            let sam = shared(sam, "sam")?;
            let options = read_options(options)?;
            place.write(Tracker::memory_bytes(&sam, [width as usize, height as usize], &options)?);
            Ok(())
        })
    }
}

/// Bytes of memory that the tracker occupies now; 0 if it is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_memory_bytes(tracker: Nullable<*const vitrum_tracker>) -> usize {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(0, || unsafe { peek(tracker) }.map_or(0, |it| it.bytes()))
}

/// Width of the frames in pixels; 0 if `tracker` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_width(tracker: Nullable<*const vitrum_tracker>) -> u32 {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(0, || unsafe { peek(tracker) }.map_or(0, |it| it.size()[0] as u32))
}

/// Height of the frames in pixels; 0 if `tracker` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_height(tracker: Nullable<*const vitrum_tracker>) -> u32 {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(0, || unsafe { peek(tracker) }.map_or(0, |it| it.size()[1] as u32))
}

/// Takes the next frame of the video: encodes it, once for all objects, and makes it the current one. The oldest frame
/// is dropped if `held_frames` are held.
///
/// `frame`, if not NULL, receives its number: 0, and then 1 more than that of the current frame. `progress` may be
/// NULL; it is called with `progress_user` during the call.
///
/// Errors: `VITRUM_E_IMAGE`, also for a frame of another size than the tracker's; `VITRUM_E_INVALID_ARGUMENT` for an
/// unknown pixel format, or beyond the end of the video; `VITRUM_E_CANCELLED`; `VITRUM_E_LIMIT` beyond the context's
/// `vitrum_limits`; `VITRUM_E_NON_FINITE`; `VITRUM_E_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_push_frame(
    tracker: *mut vitrum_tracker,
    image: *const vitrum_image,
    progress: Nullable<vitrum_progress>,
    progress_user: Nullable<*mut c_void>,
    frame: Nullable<*mut i64>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let place = optional(frame, || place(frame, "frame"))?;
            let mut tracker = exclusive(tracker, "tracker")?;
            let image = view(image, "image")?;
            let frame = monitored(progress, progress_user, |monitor| tracker.push(&image, monitor))?;
            if let Some(place) = place {
                place.write(frame as i64);
            }
            Ok(())
        })
    }
}

/// Takes frame number `frame` of a video that can be read in any order: as `vitrum_tracker_push_frame`. A frame of that
/// number that is held is replaced.
///
/// Errors: those of `vitrum_tracker_push_frame`; `VITRUM_E_INVALID_ARGUMENT` for a number that is negative or beyond
/// 2^48.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_push_frame_at(
    tracker: *mut vitrum_tracker,
    frame: i64,
    image: *const vitrum_image,
    progress: Nullable<vitrum_progress>,
    progress_user: Nullable<*mut c_void>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let mut tracker = exclusive(tracker, "tracker")?;
            let image = view(image, "image")?;
            let frame = numbered(frame)?;
            monitored(progress, progress_user, |monitor| tracker.push_at(frame, &image, monitor))
        })
    }
}

/// The number of the current frame, the one pushed last; -1 before the first, or if `tracker` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_frame(tracker: Nullable<*const vitrum_tracker>) -> i64 {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(-1, || unsafe { peek(tracker) }.and_then(|it| it.frame()).map_or(-1, |n| n as i64))
}

/// The numbers of the frames that are held, in the order in which they were pushed.
///
/// `frames` receives them. `capacity` is the room there, in numbers. `needed`, if not NULL, receives how many there
/// are, also when `capacity` is too small; with `frames` NULL and `capacity` 0 that is all that happens.
///
/// Errors: `VITRUM_E_BUFFER_TOO_SMALL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_held_frames(
    tracker: *const vitrum_tracker,
    frames: Nullable<*mut i64>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let tracker = shared(tracker, "tracker")?;
            let output = Output::new(frames, capacity, needed, "frames")?;
            let held = tracker.held();
            output.fill(held.len(), |frames| {
                frames.iter_mut().zip(held).for_each(|(to, frame)| *to = frame as i64);
                Ok(())
            })
        })
    }
}

/// Tracks all objects to the current frame, forward in time: remembers the prompted frames, and predicts the masks of
/// the objects that have no prompt on this frame.
///
/// `progress` may be NULL; it is called with `progress_user` during the call.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` before the first frame, if there is no object, or if one has no prompts any
/// more; `VITRUM_E_CANCELLED`; `VITRUM_E_NON_FINITE`; `VITRUM_E_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_step(
    tracker: *mut vitrum_tracker,
    progress: Nullable<vitrum_progress>,
    progress_user: Nullable<*mut c_void>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let mut tracker = exclusive(tracker, "tracker")?;
            monitored(progress, progress_user, |monitor| tracker.step(monitor))
        })
    }
}

/// Tracks all objects to frame `frame`, which must be held, from the frames before it (forward) or after it (backward).
///
/// Errors: those of `vitrum_tracker_step`; `VITRUM_E_INVALID_ARGUMENT` for a frame that is not held or an unknown
/// direction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_step_at(
    tracker: *mut vitrum_tracker,
    frame: i64,
    direction: vitrum_direction,
    progress: Nullable<vitrum_progress>,
    progress_user: Nullable<*mut c_void>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let mut tracker = exclusive(tracker, "tracker")?;
            let frame = number_of(&tracker, frame)?;
            let direction = read_direction(direction)?;
            monitored(progress, progress_user, |monitor| tracker.step_at(frame, direction, monitor))
        })
    }
}

/// Removes all objects and their prompts. Frames stay held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_reset(
    tracker: *mut vitrum_tracker,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            exclusive(tracker, "tracker")?.reset();
            Ok(())
        })
    }
}

/// The number of a frame, which may not be the current one by that name.
pub(super) fn numbered(frame: i64) -> Result<u64> {
    u64::try_from(frame).map_err(|_| err!(InvalidArgument, "frame is {frame}, expected a number from 0"))
}

/// A frame's number, or none for the current one.
pub(super) fn frame_or_current(frame: i64) -> Result<Option<u64>> {
    if frame == VITRUM_FRAME_CURRENT { Ok(None) } else { numbered(frame).map(Some) }
}

/// The number of a frame, also of the current one.
pub(super) fn number_of(tracker: &Tracker, frame: i64) -> Result<u64> {
    frame_or_current(frame)?
        .or(tracker.frame())
        .ok_or_else(|| err!(InvalidArgument, "no frame has been pushed"))
}

pub(super) fn read_direction(direction: vitrum_direction) -> Result<Direction> {
    match direction {
        VITRUM_DIRECTION_FORWARD => Ok(Direction::Forward),
        VITRUM_DIRECTION_BACKWARD => Ok(Direction::Backward),
        other => Err(err!(InvalidArgument, "{other} is not a VITRUM_DIRECTION_*")),
    }
}

/// # Safety
/// `options` must be NULL or lead to a struct that begins with its `struct_size`.
unsafe fn read_options(options: Nullable<*const vitrum_tracker_options>) -> Result<TrackerOptions> {
    // SAFETY: the caller's promise.
    match unsafe { optional_versioned(options, "options")? } {
        Some(options) => options.read(),
        None => Ok(TrackerOptions::default()),
    }
}

impl vitrum_tracker_options {
    fn new(options: &TrackerOptions) -> Self {
        Self {
            struct_size: 0,
            max_objects: options.max_objects as u32,
            max_prompted_frames: options.max_prompted_frames as u32,
            held_frames: options.held_frames as u32,
            num_frames: options.num_frames.unwrap_or(0),
            fill_hole_area: options.fill_hole_area,
            both_directions: options.both_directions.into(),
            non_overlap_output: options.non_overlap_output.into(),
            non_overlap_memory: options.non_overlap_memory.into(),
            binarize_clicked_masks: options.binarize_clicked_masks.into(),
            corrections_are_conditioning: options.corrections_are_conditioning.into(),
            clear_memory_around_input: options.clear_memory_around_input.into(),
            dynamic_multimask_via_stability: options.dynamic_multimask_via_stability.into(),
        }
    }

    /// The same for Rust.
    fn read(&self) -> Result<TrackerOptions> {
        Ok(TrackerOptions::default()
            .with_num_frames(Some(self.num_frames).filter(|&frames| frames != 0))
            .with_max_objects(self.max_objects as usize)
            .with_max_prompted_frames(self.max_prompted_frames as usize)
            .with_held_frames(self.held_frames as usize)
            .with_fill_hole_area(self.fill_hole_area)
            .with_both_directions(flag(self.both_directions, "both_directions")?)
            .with_non_overlap_output(flag(self.non_overlap_output, "non_overlap_output")?)
            .with_non_overlap_memory(flag(self.non_overlap_memory, "non_overlap_memory")?)
            .with_binarize_clicked_masks(flag(self.binarize_clicked_masks, "binarize_clicked_masks")?)
            .with_corrections_are_conditioning(flag(
                self.corrections_are_conditioning,
                "corrections_are_conditioning",
            )?)
            .with_clear_memory_around_input(flag(
                self.clear_memory_around_input,
                "clear_memory_around_input",
            )?)
            .with_dynamic_multimask_via_stability(flag(
                self.dynamic_multimask_via_stability,
                "dynamic_multimask_via_stability",
            )?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_pass_through() {
        let options = TrackerOptions {
            num_frames: Some(7),
            max_objects: 3,
            both_directions: true,
            clear_memory_around_input: true,
            ..TrackerOptions::default()
        };
        assert_eq!(vitrum_tracker_options::new(&options).read().unwrap(), options);
        let defaults = TrackerOptions::default();
        assert_eq!(vitrum_tracker_options::new(&defaults).read().unwrap(), defaults);
    }
}
