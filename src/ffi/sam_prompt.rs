//! `vitrum_sam_prompt`: clicks, a box, a mask.

use alloc::vec::Vec;

use super::args::{CStruct, Nullable, array, flag, init};
use super::status::vitrum_status;
use crate::error::{Result, err};
use crate::exec::{TryCollect, TryGrow};
use crate::models::sam::prompt::MAX_POINTS;
use crate::pipelines::sam::{Label, Point, Prompt};

/// What a click marks: one of `VITRUM_LABEL_*`.
pub type vitrum_label = i32;

/// No click: its coordinates do not matter. The reference adds such points to bring prompts to a common length, which
/// changes results a little. Here no prompt needs one.
pub const VITRUM_LABEL_PADDING: vitrum_label = -1;
/// Background: not part of the object.
pub const VITRUM_LABEL_BACKGROUND: vitrum_label = 0;
/// Foreground: part of the object.
pub const VITRUM_LABEL_FOREGROUND: vitrum_label = 1;

/// A click, in pixels of the picture from its top left corner. It may be outside the picture. This struct will
/// never change.
#[repr(C)]
pub struct vitrum_point {
    /// From the left.
    pub x: f32,
    /// From the top.
    pub y: f32,
    /// What it marks.
    pub label: vitrum_label,
}

/// A prompt for one object: clicks, a box, an earlier mask, or several of these. An empty prompt asks for the most
/// prominent object.
///
/// To a prompt without clicks and box, SAM 2 adds no point, as Meta's `SAM2ImagePredictor`. transformers adds one that
/// is `VITRUM_LABEL_PADDING`; give it such a point for the same result.
#[repr(C)]
pub struct vitrum_sam_prompt {
    /// `sizeof(vitrum_sam_prompt)`; set by `vitrum_sam_prompt_init`.
    pub struct_size: u32,
    /// 1 if `bounding_box` is set, otherwise 0.
    pub has_box: u32,
    /// Clicks, or NULL if `point_count` is 0.
    pub points: Nullable<*const vitrum_point>,
    /// How many clicks there are.
    pub point_count: usize,
    /// Left, top, right and bottom of a box, in pixels of the picture: at least left <= right and top <= bottom. It may
    /// reach beyond the picture.
    pub bounding_box: [f32; 4],
    /// The logits of an earlier mask of this object, from `vitrum_sam_prediction_low_res`, which are refined. NULL if
    /// `mask_size` is 0.
    pub mask: Nullable<*const f32>,
    /// How many values there are at `mask`: the square of `vitrum_sam_mask_side`, or 0.
    pub mask_size: usize,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_sam_prompt {
    const NAME: &'static str = "vitrum_sam_prompt";
}

/// Makes `prompt` an empty prompt. `struct_size` is `sizeof *prompt`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_prompt_init(
    prompt: *mut vitrum_sam_prompt,
    struct_size: usize,
) -> vitrum_status {
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init(prompt, struct_size) }
}

/// The points of all prompts, one after the other. A prompt of too many is refused before any of it is copied.
///
/// # Safety
/// The prompts' points must be NULL or as many as they say.
pub(super) unsafe fn read_points(prompts: &[vitrum_sam_prompt]) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    for (i, prompt) in prompts.iter().enumerate().filter(|(_, prompt)| prompt.point_count != 0) {
        let name = alloc::format!("prompts[{i}].points");
        if prompt.point_count > MAX_POINTS {
            return Err(err!(
                Limit,
                "{name}: {} of them, at most {MAX_POINTS} are possible",
                prompt.point_count
            ));
        }
        // SAFETY: the caller's promise.
        for point in unsafe { array(prompt.points, prompt.point_count, &name)? } {
            let label = Label::try_from(point.label).map_err(|error| error.within(&name))?;
            points.try_push(Point { x: point.x, y: point.y, label })?;
        }
    }
    Ok(points)
}

/// The prompts, with their `points` from [`read_points`].
///
/// # Safety
/// The prompts' masks must be NULL or of the sizes they say, valid for `'a`.
pub(super) unsafe fn read_prompts<'a>(
    prompts: &'a [vitrum_sam_prompt],
    mut points: &'a [Point],
) -> Result<Vec<Prompt<'a>>> {
    let read = |(i, prompt): (usize, &'a vitrum_sam_prompt)| {
        let own;
        (own, points) = points.split_at(prompt.point_count);
        let has_box = flag(prompt.has_box, &alloc::format!("prompts[{i}].has_box"))?;
        let mask = match prompt.mask_size {
            0 => None,
            // SAFETY: the caller's promise.
            size => Some(unsafe { array(prompt.mask, size, &alloc::format!("prompts[{i}].mask"))? }),
        };
        Ok(Prompt { points: own, bounding_box: has_box.then_some(prompt.bounding_box), mask })
    };
    prompts.iter().enumerate().map(read).try_values()
}
