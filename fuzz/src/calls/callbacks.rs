//! What the library calls back.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::slice;

use vitrum::ffi::image::vitrum_image;
use vitrum::ffi::sam_everything::vitrum_sam_record;
use vitrum::ffi::tracker::{vitrum_tracker, vitrum_tracker_free};
use vitrum::ffi::tracker_mask::vitrum_tracker_has_mask;

use super::arguments::Picture;
use super::world::World;
use super::{Calls, DEPTH};
use crate::source::Source;

/// The user data of a call's callbacks: what they do, and what they have seen.
pub(super) struct Callbacks<'a> {
    world: &'a World,
    depth: usize,
    source: RefCell<Source<'static>>,
    /// The tracker of the call, which a callback may free once.
    tracker: Cell<*mut vitrum_tracker>,
    /// Whether one has.
    freed: Cell<bool>,
    fraction: Cell<f32>,
    /// Calls so far: the library must ask for no more after one has ended it.
    ended: Cell<bool>,
    /// The picture of the last frame, which must live as long as the call looks at it.
    frame: RefCell<Option<Picture>>,
    size: [u32; 2],
}

impl<'a> Callbacks<'a> {
    /// For a call in which all handles of `world` may be used.
    pub(super) fn new(world: &'a World, depth: usize, source: &mut Source<'_>) -> Self {
        Self {
            world,
            depth: depth + 1,
            source: RefCell::new(source.fork()),
            tracker: Cell::new(std::ptr::null_mut()),
            freed: Cell::new(false),
            fraction: Cell::new(0.0),
            ended: Cell::new(false),
            frame: RefCell::new(None),
            size: [1, 1],
        }
    }

    /// A call of a tracker that may be freed in the middle of it.
    pub(super) fn freeing(self, tracker: *mut vitrum_tracker) -> Self {
        self.tracker.set(tracker);
        self
    }

    /// A call whose frames have this size.
    pub(super) fn with_frames(self, size: [u32; 2]) -> Self {
        Self { size, ..self }
    }

    pub(super) fn user(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// Whether the call's tracker is gone.
    pub(super) fn has_freed(&self) -> bool {
        self.freed.get()
    }

    /// Does something, and returns 0 to go on.
    fn act(&self) -> i32 {
        assert!(!self.ended.get(), "called back after the end");
        // Nothing is done with a handle that is gone.
        if self.freed.get() {
            return 0;
        }
        let mut source = self.source.borrow_mut();
        match source.below(32) {
            28 if self.depth <= DEPTH => {
                let inner = source.fork();
                drop(source);
                Calls::elsewhere(self.world, inner, self.depth);
            }
            29 if !self.tracker.get().is_null() => {
                // SAFETY: the sequence's own, alive, and used no more.
                unsafe { vitrum_tracker_free(self.tracker.get()) };
                self.freed.set(true);
            }
            30 | 31 => {
                self.ended.set(true);
                return 1 + source.u32().cast_signed().saturating_abs() % 100;
            }
            _ => (),
        }
        0
    }
}

/// The callbacks behind `user`.
fn callbacks<'c>(user: *mut c_void) -> &'c Callbacks<'c> {
    // SAFETY: every call gets the pointer of `Callbacks::user`, and they outlive the call.
    unsafe { &*user.cast::<Callbacks<'c>>() }
}

/// A `vitrum_progress`.
pub(super) unsafe extern "C" fn progress(user: *mut c_void, fraction: f32) -> i32 {
    let callbacks = callbacks(user);
    assert!((0.0..=1.0).contains(&fraction), "progress {fraction}");
    assert!(fraction >= callbacks.fraction.replace(fraction), "progress goes back to {fraction}");
    callbacks.act()
}

/// What must hold of a record.
fn check(record: *const vitrum_sam_record) {
    // SAFETY: the library's record, valid until the callback returns.
    let record = unsafe { &*record };
    assert_eq!(record.struct_size as usize, size_of::<vitrum_sam_record>());
    // SAFETY: as above.
    let counts = unsafe { slice::from_raw_parts(record.counts, record.count_size) };
    let (even, odd): (Vec<_>, Vec<_>) =
        counts.chunks(2).map(|pair| (pair[0], pair.get(1).unwrap_or(&0))).unzip();
    let sum = |counts: &[u32]| counts.iter().sum::<u32>();
    let odd: Vec<u32> = odd.into_iter().copied().collect();
    assert_eq!(sum(&even) + sum(&odd), record.width * record.height);
    assert_eq!(sum(&odd), record.area);
    assert!(record.predicted_iou.is_finite());
}

/// A `vitrum_sam_record_callback`.
pub(super) unsafe extern "C" fn on_record(user: *mut c_void, record: *const vitrum_sam_record) -> i32 {
    check(record);
    callbacks(user).act()
}

/// A `vitrum_sam_match_callback`.
pub(super) unsafe extern "C" fn on_match(
    user: *mut c_void,
    text: usize,
    probability: f32,
    record: *const vitrum_sam_record,
) -> i32 {
    check(record);
    assert!(text < 4 && (0.0..=1.0).contains(&probability));
    callbacks(user).act()
}

/// Frames of a video.
const FRAMES: i64 = 6;

/// A `vitrum_frame_reader`.
pub(super) unsafe extern "C" fn read(user: *mut c_void, frame: i64, image: *mut vitrum_image) -> i32 {
    let callbacks = callbacks(user);
    assert!(frame >= 0);
    if callbacks.act() != 0 || frame >= FRAMES {
        // The end, or a failure: asking for more is no fault then.
        callbacks.ended.set(false);
        return if frame >= FRAMES { 1 } else { 7 };
    }
    let picture = Picture::of_size(callbacks.size, &mut callbacks.source.borrow_mut());
    // SAFETY: the library's struct, to be filled.
    unsafe { image.write(picture.view()) };
    *callbacks.frame.borrow_mut() = Some(picture);
    0
}

/// A `vitrum_frame_callback`.
pub(super) unsafe extern "C" fn on_frame(
    user: *mut c_void,
    tracker: *const vitrum_tracker,
    frame: i64,
) -> i32 {
    // SAFETY: the library's tracker, valid until the callback returns.
    assert!(unsafe { vitrum_tracker_has_mask(tracker, 1, frame) } <= 1);
    callbacks(user).act()
}
