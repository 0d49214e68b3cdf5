//! `vitrum_sam_prediction`: masks from prompts.

use core::ffi::c_void;
use core::mem::offset_of;
use core::ptr;

use super::args::{
    CStruct, Nullable, Output, flag, init, init_with, optional_versioned, place, product, versioned_array,
    versioned_place,
};
use super::error::vitrum_error;
use super::guard::{guard, guard_value};
use super::handle::{self, Handle, exclusive, free, peek, shared};
use super::polygon::{vitrum_polygon, write_polygons};
use super::progress::{monitored, vitrum_progress};
use super::sam::vitrum_sam;
use super::sam_embedding::vitrum_sam_embedding;
use super::sam_prompt::{read_points, read_prompts, vitrum_sam_prompt};
use super::status::vitrum_status;
use crate::error::{Result, err};
use crate::pipelines::sam::{PredictOptions, Prediction};

/// Offset of the thresholds of the stability score, segment-anything's.
const STABILITY_OFFSET: f32 = 1.0;

/// How prompts are answered. The defaults are not zeros.
#[repr(C)]
pub struct vitrum_sam_predict_options {
    /// `sizeof(vitrum_sam_predict_options)`; set by `vitrum_sam_predict_options_init`.
    pub struct_size: u32,
    /// 1, the default: three masks for each prompt, for prompts that may mean a part, the whole object or more, such as
    /// a single click. 0: one mask.
    pub multimask: u32,
    /// Holes of at most this area are filled; 0, the default, leaves them. Areas are counted in values of the
    /// low-resolution mask. `vitrum_sam_prediction_low_res` still has the holes of a SAM 2.
    pub max_hole_area: u32,
    /// Islands of at most this area are removed, after holes were filled; 0, the default, leaves them.
    pub max_sprinkle_area: u32,
    /// Called with the fraction that is done, with `progress_user`; it may stop the call, which then returns
    /// `VITRUM_E_CANCELLED`. NULL, the default, for none.
    pub progress: Nullable<vitrum_progress>,
    /// Handed to `progress`.
    pub progress_user: Nullable<*mut c_void>,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_sam_predict_options {
    const NAME: &'static str = "vitrum_sam_predict_options";
    const EARLIER: &'static [usize] = &[offset_of!(vitrum_sam_predict_options, progress)];
}

/// Fills `options` with the defaults. `struct_size` is `sizeof *options`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_predict_options_init(
    options: *mut vitrum_sam_predict_options,
    struct_size: usize,
) -> vitrum_status {
    let defaults = vitrum_sam_predict_options::new(&PredictOptions::default());
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init_with(options, struct_size, &defaults) }
}

/// Area, box and scores of a mask.
#[repr(C)]
pub struct vitrum_sam_mask_stats {
    /// `sizeof(vitrum_sam_mask_stats)`; set by `vitrum_sam_mask_stats_init`.
    pub struct_size: u32,
    /// Pixels of the mask.
    pub area: u32,
    /// Left, top, width and height of its box, in pixels. As in pycocotools, width and height count pixels, 1 more than
    /// those of `vitrum_sam_record`. All 0 if the mask is empty.
    pub bounding_box: [u32; 4],
    /// The IoU (intersection over union) with the object that the model predicts.
    pub score: f32,
    /// The stability score: the number of pixels above `threshold + 1`, over the number of those above `threshold - 1`.
    /// Not a number if there are none.
    pub stability_score: f32,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_sam_mask_stats {
    const NAME: &'static str = "vitrum_sam_mask_stats";
}

/// Prepares `stats` for `vitrum_sam_prediction_stats`. `struct_size` is `sizeof *stats`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_mask_stats_init(
    stats: *mut vitrum_sam_mask_stats,
    struct_size: usize,
) -> vitrum_status {
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init(stats, struct_size) }
}

/// The masks that `vitrum_sam_predict` found. The next call reuses their memory. Opaque.
///
/// Several threads may read a prediction at the same time, but none while `vitrum_sam_predict` changes it.
pub struct vitrum_sam_prediction {
    _opaque: (),
}

impl Handle for vitrum_sam_prediction {
    const NAME: &'static str = "vitrum_sam_prediction";
    type Value = Prediction;
}

/// Makes an empty prediction for results of `sam` and writes it to `prediction`; the caller frees it with
/// `vitrum_sam_prediction_free`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_prediction_new(
    sam: *const vitrum_sam,
    prediction: *mut *mut vitrum_sam_prediction,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let place = place(prediction, "prediction")?;
            shared(sam, "sam")?;
            place.write(handle::new(Prediction::default())?);
            Ok(())
        })
    }
}

/// Frees `prediction`, which may be NULL. It must not be used, nor freed again, afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_prediction_free(prediction: Nullable<*mut vitrum_sam_prediction>) {
    if !prediction.is_null() {
        // SAFETY: the caller owns the handle, which `vitrum_sam_prediction_new` made, and gives it up.
        guard_value((), || unsafe { free(prediction) });
    }
}

/// Predicts the masks of `prompt_count` objects, independently of each other, in the picture that `embedding` was
/// made from. The answers replace what `prediction` held; if the call fails, it holds none or the earlier ones.
/// Any thread, each with a prediction of its own.
///
/// `options` may be NULL for the defaults. Many prompts in one call are faster than one after the other.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for no prompts, an option outside its domain, an unknown label, coordinates that
/// are not finite or beyond a million, a box whose right or bottom comes before its left or top, a mask of another size
/// or with values that are not finite, or an embedding of another model, or made with another `isa` of a context and not
/// saved and restored since; `VITRUM_E_LIMIT` for more than 16384 points in a prompt, or fewer by the context's
/// `vitrum_limits`; `VITRUM_E_NON_FINITE`; `VITRUM_E_CANCELLED`; `VITRUM_E_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_predict(
    sam: *const vitrum_sam,
    embedding: *const vitrum_sam_embedding,
    prompts: *const vitrum_sam_prompt,
    prompt_count: usize,
    options: Nullable<*const vitrum_sam_predict_options>,
    prediction: *mut vitrum_sam_prediction,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let sam = shared(sam, "sam")?;
            let embedding = shared(embedding, "embedding")?;
            let mut prediction = exclusive(prediction, "prediction")?;
            let (options, progress, user) = match optional_versioned(options, "options")? {
                Some(options) => (options.read()?, options.progress, options.progress_user),
                None => (PredictOptions::default(), None, ptr::null_mut()),
            };
            let prompts = versioned_array(prompts, prompt_count, "prompts")?;
            let points = read_points(&prompts)?;
            let prompts = read_prompts(&prompts, &points)?;
            monitored(progress, user, |monitor| {
                sam.predict_monitored(&embedding, &prompts, &options, &mut prediction, monitor)
            })
        })
    }
}

/// How many prompts were answered; 0 if `prediction` is NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_prediction_prompts(
    prediction: Nullable<*const vitrum_sam_prediction>,
) -> usize {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(0, || unsafe { peek(prediction) }.map_or(0, |it| it.prompts()))
}

/// How many masks there are for each prompt; 0 if `prediction` is NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_prediction_masks(
    prediction: Nullable<*const vitrum_sam_prediction>,
) -> usize {
    // SAFETY: the caller passes NULL or a handle.
    guard_value(0, || unsafe { peek(prediction) }.map_or(0, |it| it.masks()))
}

/// The scores of all masks, prompt after prompt: for each the IoU (intersection over union) with the object that the
/// model predicts. Any thread.
///
/// `scores` receives them. `capacity` is the room there, in floats. `needed`, if not NULL, receives the number of
/// floats, also when `capacity` is too small; with `scores` NULL and `capacity` 0 that is all that happens.
///
/// Errors: `VITRUM_E_BUFFER_TOO_SMALL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_prediction_scores(
    prediction: *const vitrum_sam_prediction,
    scores: Nullable<*mut f32>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let prediction = shared(prediction, "prediction")?;
            let output = Output::new(scores, capacity, needed, "scores")?;
            let masks = prediction.masks();
            output.fill(product(prediction.prompts(), masks)?, |scores| {
                let rows = scores.chunks_exact_mut(masks.max(1));
                rows.enumerate().for_each(|(prompt, row)| row.copy_from_slice(prediction.iou(prompt)));
                Ok(())
            })
        })
    }
}

/// Mask number `mask` of prompt number `prompt`, as bytes: 1 where its logits are above `threshold`, otherwise 0;
/// row after row, in the size of the picture. Any thread. The models are trained for a threshold of 0.
///
/// `pixels` receives it. `capacity` and `needed`, in bytes, are as for `vitrum_sam_prediction_scores`.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` if there is no such mask, or the threshold is not a number;
/// `VITRUM_E_BUFFER_TOO_SMALL`; `VITRUM_E_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_prediction_mask(
    prediction: *const vitrum_sam_prediction,
    prompt: usize,
    mask: usize,
    threshold: f32,
    pixels: Nullable<*mut u8>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let it = shared(prediction, "prediction")?;
            let output = Output::new(pixels, capacity, needed, "pixels")?;
            let len = check(&it, prompt, mask)?;
            output.fill(len, |pixels| it.mask_into(prompt, mask, threshold, pixels))
        })
    }
}

/// Mask number `mask` of prompt number `prompt` at `threshold` as run lengths: of 0, of 1, of 0 and so on, down the
/// columns from left to right, as COCO stores masks. Any thread.
///
/// `counts` receives them. The other parameters and the errors are those of `vitrum_sam_prediction_mask`;
/// `capacity` and `needed` count runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_prediction_rle(
    prediction: *const vitrum_sam_prediction,
    prompt: usize,
    mask: usize,
    threshold: f32,
    counts: Nullable<*mut u32>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let it = shared(prediction, "prediction")?;
            let output = Output::new(counts, capacity, needed, "counts")?;
            check(&it, prompt, mask)?;
            let rle = it.rle(prompt, mask, threshold)?;
            if output.wants(rle.counts().len())? {
                output.write(rle.counts());
            }
            Ok(())
        })
    }
}

/// Mask number `mask` of prompt number `prompt` at `threshold` as polygons. Any thread.
///
/// `tolerance`, `corners` and `polygons` with what belongs to them are as for `vitrum_rle_polygons`, and the other
/// parameters and errors those of `vitrum_sam_prediction_mask`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_prediction_polygons(
    prediction: *const vitrum_sam_prediction,
    prompt: usize,
    mask: usize,
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
            let it = shared(prediction, "prediction")?;
            let corners = Output::new(corners, corner_capacity, corners_needed, "corners")?;
            let polygons = Output::new(polygons, polygon_capacity, polygons_needed, "polygons")?;
            check(&it, prompt, mask)?;
            let rle = it.rle(prompt, mask, threshold)?;
            write_polygons(&rle, tolerance, corners, polygons)
        })
    }
}

/// Area, box and scores of mask number `mask` of prompt number `prompt` at `threshold`. Any thread.
///
/// `stats` receives them; prepare it by `vitrum_sam_mask_stats_init`.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` if there is no such mask, or the threshold is not a number;
/// `VITRUM_E_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_prediction_stats(
    prediction: *const vitrum_sam_prediction,
    prompt: usize,
    mask: usize,
    threshold: f32,
    stats: *mut vitrum_sam_mask_stats,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let it = shared(prediction, "prediction")?;
            let stats = versioned_place(stats, "stats")?;
            check(&it, prompt, mask)?;
            let rle = it.rle(prompt, mask, threshold)?;
            let stability_score = it.stability(prompt, mask, threshold, STABILITY_OFFSET)?;
            stats.write(&vitrum_sam_mask_stats {
                struct_size: 0,
                area: rle.area(),
                bounding_box: rle.bounding_box(),
                score: it.iou(prompt)[mask],
                stability_score,
            });
            Ok(())
        })
    }
}

/// The stability score of mask number `mask` of prompt number `prompt`: the number of pixels above `threshold +
/// offset`, over the number of those above `threshold - offset`. Any thread. `vitrum_sam_prediction_stats` takes an
/// offset of 1.
///
/// `stability` receives it: not a number if there are no such pixels. The errors are those of
/// `vitrum_sam_prediction_stats`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_prediction_stability(
    prediction: *const vitrum_sam_prediction,
    prompt: usize,
    mask: usize,
    threshold: f32,
    offset: f32,
    stability: *mut f32,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let it = shared(prediction, "prediction")?;
            let place = place(stability, "stability")?;
            check(&it, prompt, mask)?;
            place.write(it.stability(prompt, mask, threshold, offset)?);
            Ok(())
        })
    }
}

/// The logits of a mask in the size of the picture, row after row: above 0 where the object is. Any thread.
///
/// `logits` receives them. The other parameters and the errors are those of `vitrum_sam_prediction_mask`;
/// `capacity` and `needed` count floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_prediction_logits(
    prediction: *const vitrum_sam_prediction,
    prompt: usize,
    mask: usize,
    logits: Nullable<*mut f32>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let it = shared(prediction, "prediction")?;
            let output = Output::new(logits, capacity, needed, "logits")?;
            let len = check(&it, prompt, mask)?;
            output.fill(len, |logits| it.logits_into(prompt, mask, logits))
        })
    }
}

/// The logits of a mask at the model's own resolution: a square with sides of `vitrum_sam_mask_side`, which covers the
/// model's input. A later prompt can refine them. Any thread.
///
/// `logits` receives them. The other parameters and the errors are those of `vitrum_sam_prediction_mask`;
/// `capacity` and `needed` count floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_prediction_low_res(
    prediction: *const vitrum_sam_prediction,
    prompt: usize,
    mask: usize,
    logits: Nullable<*mut f32>,
    capacity: usize,
    needed: Nullable<*mut usize>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let it = shared(prediction, "prediction")?;
            let output = Output::new(logits, capacity, needed, "logits")?;
            check(&it, prompt, mask)?;
            let low_res = it.low_res(prompt, mask);
            if output.wants(low_res.len())? {
                output.write(low_res);
            }
            Ok(())
        })
    }
}

impl vitrum_sam_predict_options {
    fn new(options: &PredictOptions) -> Self {
        Self {
            struct_size: 0,
            multimask: options.multimask.into(),
            max_hole_area: options.max_hole_area,
            max_sprinkle_area: options.max_sprinkle_area,
            progress: None,
            progress_user: ptr::null_mut(),
        }
    }

    /// The same for Rust.
    fn read(&self) -> Result<PredictOptions> {
        Ok(PredictOptions::default()
            .with_multimask(flag(self.multimask, "multimask")?)
            .with_max_hole_area(self.max_hole_area)
            .with_max_sprinkle_area(self.max_sprinkle_area))
    }
}

/// Pixels of the picture.
///
/// # Errors
/// `InvalidArgument` if there is no such mask.
fn check(prediction: &Prediction, prompt: usize, mask: usize) -> Result<usize> {
    let (prompts, masks) = (prediction.prompts(), prediction.masks());
    if prompt >= prompts || mask >= masks {
        return Err(err!(
            InvalidArgument,
            "mask {mask} of prompt {prompt}: there are {prompts} prompts of {masks} masks"
        ));
    }
    let (width, height) = prediction.image_size();
    product(width, height)
}
