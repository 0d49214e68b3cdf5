//! Masks as polygons.

use alloc::vec::Vec;

use super::args::{Nullable, Output, array};
use super::error::vitrum_error;
use super::guard::guard;
use super::status::vitrum_status;
use crate::error::{Result, err};
use crate::exec::TryGrow;
use crate::image::{ImageView, PixelFormat};
use crate::pipelines::mask::{Rle, parts};

/// A closed outline: its last corner is joined to the first. This struct will never change.
///
/// Outlines run along the edges of pixels: corner (x, y) is the left upper corner of pixel (x, y), so that the area
/// of all outlines less that of all holes is the number of pixels, and filling them, by either of the usual rules,
/// gives the mask back. On the screen, outer outlines run clockwise and holes counter-clockwise.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vitrum_polygon {
    /// Where its corners begin in the array of corners, counted in corners.
    pub first: usize,
    /// How many corners it has.
    pub count: usize,
    /// The connected part of the mask that it belongs to, counted from 0. Pixels that touch at an edge or a corner are
    /// connected.
    pub part: u32,
    /// 0 for the outer outline of the part, which comes first; 1 for each of its holes, which follow.
    pub is_hole: u32,
}

/// A mask as polygons, from its run lengths: of 0, of 1, of 0 and so on, down the columns, as `vitrum_sam_record` has
/// them and `vitrum_sam_prediction_rle` and `vitrum_tracker_rle` give them. Any thread.
///
/// `runs` are `run_count` lengths that fill `width` times `height` pixels. `tolerance` is how far a corner that is left
/// out may be from the outline, in pixels; with 0 outlines are exact.
///
/// `corners` receives x and y of all corners, one polygon after the other. `corner_capacity` is the room there, in
/// numbers of 32 bits, two for each corner. `corners_needed`, if not NULL, receives how many numbers there are, also
/// when there is too little room; with `corners` NULL and `corner_capacity` 0 that is all that happens. In the same
/// way, `polygons` receives the polygons, and `polygon_capacity` and `polygons_needed` count them.
///
/// Errors: `VITRUM_E_FORMAT` for runs that do not fill the mask; `VITRUM_E_IMAGE` for a size that pictures cannot have;
/// `VITRUM_E_INVALID_ARGUMENT` for no runs, or a tolerance that is not a number, below 0 or infinite;
/// `VITRUM_E_BUFFER_TOO_SMALL`; `VITRUM_E_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_rle_polygons(
    runs: *const u32,
    run_count: usize,
    width: u32,
    height: u32,
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
            let runs = array(runs, run_count, "runs")?;
            let corners = Output::new(corners, corner_capacity, corners_needed, "corners")?;
            let polygons = Output::new(polygons, polygon_capacity, polygons_needed, "polygons")?;
            let (width, height) = (width as usize, height as usize);
            ImageView::byte_len(width, height, width, PixelFormat::Gray8)?;
            write_polygons(&Rle::from_counts(runs, width, height)?, tolerance, corners, polygons)
        })
    }
}

/// Hands the polygons of `mask` out.
///
/// # Errors
/// `InvalidArgument` for a tolerance that is none, `BufferTooSmall`.
pub(super) fn write_polygons(
    mask: &Rle,
    tolerance: f32,
    corners: Output<u32>,
    polygons: Output<vitrum_polygon>,
) -> Result<()> {
    if !(0.0..f32::INFINITY).contains(&tolerance) {
        return Err(err!(InvalidArgument, "tolerance is {tolerance}, expected 0 or more pixels"));
    }
    let (mut numbers, mut all) = (Vec::new(), Vec::new());
    for (part, found) in parts(mask)?.iter().enumerate() {
        for polygon in found.simplified(tolerance)?.polygons() {
            let (first, count) = (numbers.len() / 2, polygon.points.len());
            let is_hole = u32::from(polygon.is_hole);
            all.try_push(vitrum_polygon { first, count, part: part as u32, is_hole })?;
            numbers.try_extend(polygon.points.as_flattened())?;
        }
    }
    // Both sizes are told before one of them can be too small.
    let wanted = (corners.wants(numbers.len()), polygons.wants(all.len()));
    let (wants_corners, wants_polygons) = (wanted.0?, wanted.1?);
    if wants_corners {
        corners.write(&numbers);
    }
    if wants_polygons {
        polygons.write(&all);
    }
    Ok(())
}
