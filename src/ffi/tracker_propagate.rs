//! Many steps of a `vitrum_tracker`, with frames that the caller reads.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ops::ControlFlow;

use super::args::{CStruct, Nullable, init, init_with, optional_versioned};
use super::error::vitrum_error;
use super::guard::guard;
use super::handle::{exclusive, lend};
use super::image::{view, vitrum_image};
use super::progress::{monitored, vitrum_progress};
use super::status::{VITRUM_OK, vitrum_status};
use super::tracker::{VITRUM_DIRECTION_FORWARD, numbered, read_direction, vitrum_direction, vitrum_tracker};
use crate::error::{Result, err};
use crate::image::ImageView;
use crate::pipelines::tracker::{FrameSource, Propagation, Tracker};

/// The result of a `vitrum_frame_reader`: one of `VITRUM_READ_*`, or any other value for a failure.
pub type vitrum_read_result = i32;

/// The image has been filled.
pub const VITRUM_READ_OK: vitrum_read_result = 0;
/// The video ends before this frame.
pub const VITRUM_READ_END: vitrum_read_result = 1;

/// Reads frame number `frame` into `image`, which has been prepared as by `vitrum_image_init`, on the thread that made
/// the call. The pixels stay the reader's; they must not change before the next frame is asked for or the call ends.
///
/// Returns `VITRUM_READ_OK` or `VITRUM_READ_END`; anything else ends the call, which then returns `VITRUM_E_IO`.
/// Neither an exception nor `longjmp` may leave it, and it must not use the tracker.
pub type vitrum_frame_reader = Option<
    unsafe extern "C" fn(
        user: Nullable<*mut c_void>,
        frame: i64,
        image: *mut vitrum_image,
    ) -> vitrum_read_result,
>;

/// Called when frame number `frame` has been tracked, on the thread that made the call. Its masks can be read from
/// `tracker`, which is valid until the callback returns and must not be changed. Returns 0 to go on; any other value
/// ends the call, which then returns `VITRUM_E_CANCELLED`. Neither an exception nor `longjmp` may leave it.
pub type vitrum_frame_callback = Option<
    unsafe extern "C" fn(user: Nullable<*mut c_void>, tracker: *const vitrum_tracker, frame: i64) -> i32,
>;

/// Through which frames objects are followed. The defaults are not zeros.
#[repr(C)]
pub struct vitrum_tracker_propagate_options {
    /// `sizeof(vitrum_tracker_propagate_options)`; set by `vitrum_tracker_propagate_options_init`.
    pub struct_size: u32,
    /// The direction; forward by default.
    pub direction: vitrum_direction,
    /// The first frame; -1, the default, for the earliest one that has prompts.
    pub start: i64,
    /// How many frames are tracked after the first; -1, the default, for all up to the end of the video.
    pub max_frames: i64,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_tracker_propagate_options {
    const NAME: &'static str = "vitrum_tracker_propagate_options";
}

/// Fills `options` with the defaults. `struct_size` is `sizeof *options`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_propagate_options_init(
    options: *mut vitrum_tracker_propagate_options,
    struct_size: usize,
) -> vitrum_status {
    let defaults = vitrum_tracker_propagate_options {
        struct_size: 0,
        direction: VITRUM_DIRECTION_FORWARD,
        start: -1,
        max_frames: -1,
    };
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init_with(options, struct_size, &defaults) }
}

impl vitrum_tracker_propagate_options {
    /// The same for Rust.
    fn read(&self) -> Result<Propagation> {
        let or_none = |number, name: &str| match number {
            -1 => Ok(None),
            _ => numbered(number).map(Some).map_err(|error| error.within(name)),
        };
        Ok(Propagation::default()
            .with_direction(read_direction(self.direction)?)
            .with_start(or_none(self.start, "start")?)
            .with_max_frames(or_none(self.max_frames, "max_frames")?))
    }
}

/// Follows all objects through a video, and calls `on_frame` after each frame.
///
/// `options` may be NULL for the defaults. `reader` is called for every frame that is not held. `progress` may be NULL.
/// All callbacks get `user`. The fraction that `progress` gets is that of the whole call if `max_frames`, or
/// `num_frames` of the tracker's options, says where it ends, and otherwise that of the frame. Backward from frame 0,
/// nothing is done. If the call fails or is stopped, the frames for which `on_frame` was called remain tracked.
///
/// Errors: those of `vitrum_tracker_push_frame_at` and `vitrum_tracker_step_at`; `VITRUM_E_IO` if a frame cannot be
/// read; `VITRUM_E_CANCELLED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_propagate(
    tracker: *mut vitrum_tracker,
    options: Nullable<*const vitrum_tracker_propagate_options>,
    reader: vitrum_frame_reader,
    on_frame: vitrum_frame_callback,
    progress: Nullable<vitrum_progress>,
    user: Nullable<*mut c_void>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let handle = tracker;
            let mut tracker = exclusive(handle, "tracker")?;
            let propagation = match optional_versioned(options, "options")? {
                Some(options) => options.read()?,
                None => Propagation::default(),
            };
            let read = reader.ok_or_else(|| err!(NullPointer, "reader is NULL"))?;
            let on_frame = on_frame.ok_or_else(|| err!(NullPointer, "on_frame is NULL"))?;
            let mut reader = Reader { read, user };
            let mut each = |tracker: &Tracker, frame: u64| match lend(handle, tracker, |it| {
                on_frame(user, it, frame as i64)
            }) {
                0 => Ok(ControlFlow::Continue(())),
                _ => Err(err!(Cancelled, "stopped by on_frame")),
            };
            monitored(progress, user, |monitor| {
                tracker.try_propagate(&mut reader, &propagation, monitor, &mut each)
            })
        })
    }
}

/// A caller's reader with what it wants to be handed.
struct Reader {
    read: unsafe extern "C" fn(*mut c_void, i64, *mut vitrum_image) -> vitrum_read_result,
    user: *mut c_void,
}

impl FrameSource for Reader {
    fn frames(&self) -> Option<u64> {
        None
    }

    fn frame(&mut self, index: u64) -> Result<Option<ImageView<'_>>> {
        let mut image = MaybeUninit::<vitrum_image>::uninit();
        // SAFETY: room for the struct, which `init` makes whole. The caller of `vitrum_tracker_propagate` promises that
        // the reader may be called, and that what it leaves there is an image until it is called again.
        unsafe {
            let status = init(image.as_mut_ptr(), size_of::<vitrum_image>());
            debug_assert_eq!(status, VITRUM_OK);
            match (self.read)(self.user, index as i64, image.as_mut_ptr()) {
                VITRUM_READ_OK => view(image.as_ptr(), "image").map(Some),
                VITRUM_READ_END => Ok(None),
                other => Err(err!(Io, "the reader returned {other}")),
            }
        }
    }
}
