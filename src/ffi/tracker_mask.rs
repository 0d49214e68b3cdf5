//! Masks of a `vitrum_tracker`.

use super::args::{CStruct, Nullable, Output, init, product, versioned_place};
use super::error::vitrum_error;
use super::guard::{guard, guard_value};
use super::handle::{Shared, shared};
use super::polygon::{vitrum_polygon, write_polygons};
use super::status::vitrum_status;
use super::tracker::{frame_or_current, vitrum_tracker};
use crate::error::Result;
use crate::pipelines::tracker::Tracker;

/// Area, box and scores of an object's mask on a frame.
#[repr(C)]
pub struct vitrum_tracker_stats {
    /// `sizeof(vitrum_tracker_stats)`; set by `vitrum_tracker_stats_init`.
    pub struct_size: u32,
    /// Pixels of the mask; 0 if the object is not visible.
    pub area: u32,
    /// Left, top, width and height of its box, in pixels; all 0 if the mask is empty.
    pub bounding_box: [u32; 4],
    /// The logit of the probability that the object is visible: above 0 if it is more likely than not.
    pub object_score: f32,
    /// The IoU (intersection over union) of mask and object that the model predicts.
    pub score: f32,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_tracker_stats {
    const NAME: &'static str = "vitrum_tracker_stats";
}

/// Prepares `stats` for `vitrum_tracker_mask_stats`. `struct_size` is `sizeof *stats`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_stats_init(
    stats: *mut vitrum_tracker_stats,
    struct_size: usize,
) -> vitrum_status {
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init(stats, struct_size) }
}

/// The mask of object number `object` on frame `frame`, as bytes: 1 where its logits are above `threshold`, otherwise
/// 0; row after row, in the size of the frames. The models are trained for a threshold of 0.
///
/// `frame` is a frame that is held, or `VITRUM_FRAME_CURRENT`. `pixels` receives the mask. `capacity` is the room
/// there, in bytes. `needed`, if not NULL, receives the number of bytes, also when `capacity` is too small; with
/// `pixels` NULL and `capacity` 0 that is all that happens.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for an unknown object, a frame without a mask of it, or a threshold that is not
/// a number; `VITRUM_E_BUFFER_TOO_SMALL`; `VITRUM_E_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_mask(
    tracker: *const vitrum_tracker,
    object: u32,
    frame: i64,
    threshold: f32,
    pixels: Nullable<*mut u8>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let (tracker, frame) = found(tracker, object, frame)?;
            let output = Output::new(pixels, capacity, needed, "pixels")?;
            output.fill(pixel_count(&tracker)?, |pixels| tracker.mask_into(object, frame, threshold, pixels))
        })
    }
}

/// The same mask as run lengths: of 0, of 1, of 0 and so on, down the columns from left to right, as COCO stores masks.
///
/// `counts` receives them. The other parameters and the errors are those of `vitrum_tracker_mask`; `capacity` and
/// `needed` count runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_rle(
    tracker: *const vitrum_tracker,
    object: u32,
    frame: i64,
    threshold: f32,
    counts: Nullable<*mut u32>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let (tracker, frame) = found(tracker, object, frame)?;
            let output = Output::new(counts, capacity, needed, "counts")?;
            let rle = tracker.rle(object, frame, threshold)?;
            if output.wants(rle.counts().len())? {
                output.write(rle.counts());
            }
            Ok(())
        })
    }
}

/// The same mask as polygons.
///
/// `tolerance`, `corners` and `polygons` with what belongs to them are as for `vitrum_rle_polygons`, and the other
/// parameters and errors those of `vitrum_tracker_mask`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_polygons(
    tracker: *const vitrum_tracker,
    object: u32,
    frame: i64,
    threshold: f32,
    tolerance: f32,
    corners: Nullable<*mut u32>,
    corner_capacity: usize,
    corners_needed: Nullable<*mut usize>,
    polygons: Nullable<*mut vitrum_polygon>,
    polygon_capacity: usize,
    polygons_needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let (tracker, frame) = found(tracker, object, frame)?;
            let corners = Output::new(corners, corner_capacity, corners_needed, "corners")?;
            let polygons = Output::new(polygons, polygon_capacity, polygons_needed, "polygons")?;
            write_polygons(&tracker.rle(object, frame, threshold)?, tolerance, corners, polygons)
        })
    }
}

/// Area and box of the same mask at `threshold`, and its scores.
///
/// `stats` receives them; prepare it by `vitrum_tracker_stats_init`. The other parameters and the errors are those of
/// `vitrum_tracker_mask`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_mask_stats(
    tracker: *const vitrum_tracker,
    object: u32,
    frame: i64,
    threshold: f32,
    stats: *mut vitrum_tracker_stats,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let (tracker, frame) = found(tracker, object, frame)?;
            let stats = versioned_place(stats, "stats")?;
            let rle = tracker.rle(object, frame, threshold)?;
            let (object_score, score) = (tracker.object_score(object, frame)?, tracker.iou(object, frame)?);
            stats.write(&vitrum_tracker_stats {
                struct_size: 0,
                area: rle.area(),
                bounding_box: rle.bounding_box(),
                object_score,
                score,
            });
            Ok(())
        })
    }
}

/// The logits of the mask in the size of the frames, row after row: above 0 where the object is.
///
/// `logits` receives them. The other parameters and the errors are those of `vitrum_tracker_mask`; `capacity` and
/// `needed` count floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_logits(
    tracker: *const vitrum_tracker,
    object: u32,
    frame: i64,
    logits: Nullable<*mut f32>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let (tracker, frame) = found(tracker, object, frame)?;
            let output = Output::new(logits, capacity, needed, "logits")?;
            output.fill(pixel_count(&tracker)?, |logits| tracker.logits_into(object, frame, logits))
        })
    }
}

/// The logits of the mask at the model's own resolution: a square with sides of `vitrum_sam_mask_side`, which covers
/// the frame.
///
/// `logits` receives them. The other parameters and the errors are those of `vitrum_tracker_mask`; `capacity` and
/// `needed` count floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_low_res(
    tracker: *const vitrum_tracker,
    object: u32,
    frame: i64,
    logits: Nullable<*mut f32>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let (tracker, frame) = found(tracker, object, frame)?;
            let output = Output::new(logits, capacity, needed, "logits")?;
            let low_res = tracker.low_res(object, frame)?;
            if output.wants(low_res.len())? {
                output.write(low_res);
            }
            Ok(())
        })
    }
}

/// 1 if there is a mask of object number `object` on frame `frame`, otherwise 0; also 0 if `tracker` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_tracker_has_mask(
    tracker: Nullable<*const vitrum_tracker>,
    object: u32,
    frame: i64,
) -> u32 {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(0, || u32::from(unsafe { found(tracker, object, frame) }.is_ok()))
}

/// The tracker and the frame, if there is a mask.
///
/// # Safety
/// `tracker` must be NULL or a handle that is valid for `'a`.
unsafe fn found<'a>(
    tracker: *const vitrum_tracker,
    object: u32,
    frame: i64,
) -> Result<(Shared<'a, vitrum_tracker>, Option<u64>)> {
    // SAFETY: the caller's promise.
    let tracker = unsafe { shared(tracker, "tracker")? };
    let frame = frame_or_current(frame)?;
    tracker.low_res(object, frame)?;
    Ok((tracker, frame))
}

/// Pixels of a frame.
fn pixel_count(tracker: &Tracker) -> Result<usize> {
    let [width, height] = tracker.size();
    product(height, width)
}
