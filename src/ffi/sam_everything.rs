//! `vitrum_sam_everything`: masks of all that is in a picture.

use alloc::vec::Vec;
use core::ffi::c_void;
use core::mem::offset_of;
use core::ops::ControlFlow;
use core::ptr;

use super::args::{CStruct, Nullable, array, flag, init_with, optional, optional_versioned, place};
use super::error::vitrum_error;
use super::guard::guard;
use super::handle::{self, shared};
use super::image::{view, vitrum_image};
use super::progress::{monitored, vitrum_progress};
use super::sam::vitrum_sam;
use super::sam_embedding::vitrum_sam_embedding;
use super::status::{status_of, vitrum_status};
use crate::error::{Result, err};
use crate::exec::{TryCollect, check_memory, try_copied};
use crate::pipelines::sam::{AutomaticOptions, MaskRecord};

/// How `vitrum_sam_everything` finds masks. The names and the defaults are those of segment-anything's
/// `SamAutomaticMaskGenerator`; the defaults are not zeros. NULL in the place of the options means those of
/// `vitrum_sam_everything_defaults`.
#[repr(C)]
pub struct vitrum_sam_everything_options {
    /// `sizeof(vitrum_sam_everything_options)`; set by `vitrum_sam_everything_options_init`.
    pub struct_size: u32,
    /// Points along each side of the regular grid of clicks; 32 by default.
    pub points_per_side: u32,
    /// Points that go through the mask decoder at once, 64 by default. More points need more memory.
    pub points_per_batch: u32,
    /// Layers of crops that are segmented in addition to the whole picture, 0 by default. The first layer has 4 crops,
    /// the second 16, and so on.
    pub crop_n_layers: u32,
    /// In layer `i` of crops, `points_per_side` is divided by this to the power of `i`; 1 by default.
    pub crop_n_points_downscale_factor: u32,
    /// Holes and islands of a smaller area are removed from masks; 0, the default, leaves them. A SAM counts pixels of
    /// the picture. A SAM 2 counts values of the low-resolution mask, and removes those of exactly this area too.
    pub min_mask_region_area: u32,
    /// Masks whose predicted IoU is not above this are dropped; 0 keeps all. 0.88 by default.
    pub pred_iou_thresh: f64,
    /// Masks whose stability score is below this are dropped; 0 keeps all. 0.95 by default.
    pub stability_score_thresh: f64,
    /// Offset of the two thresholds, in logits, between which the stability score compares the mask; 1 by default.
    pub stability_score_offset: f64,
    /// Of two masks whose boxes have a greater IoU than this, the one with the higher predicted IoU is kept; 0.7 by
    /// default.
    pub box_nms_thresh: f64,
    /// The same for masks from different crops, of which the one from the smaller crop is kept; 0.7 by default.
    pub crop_nms_thresh: f64,
    /// Overlap of the crops of the first layer, as a fraction of the picture's shorter side; 512/1500 by default.
    pub crop_overlap_ratio: f64,
    /// 1: each mask is refined once: it becomes a prompt, together with its point, and the answer replaces it. 0 by
    /// default.
    pub use_m2m: u32,
    /// 1: one mask for each point, not three. 0 by default.
    pub single_mask: u32,
    /// Points that take the place of the regular grids: a grid for the whole picture, and one for each layer of crops.
    /// NULL, the default, for regular grids.
    pub point_grids: Nullable<*const vitrum_point_grid>,
    /// How many grids there are: 0, or 1 more than `crop_n_layers`.
    pub point_grid_count: usize,
}

/// A grid of points. This struct will never change.
#[repr(C)]
pub struct vitrum_point_grid {
    /// x and y of each point, from 0 to 1 of the crop's width and height.
    pub points: *const f64,
    /// How many points there are, at least 1. There are twice as many numbers at `points`.
    pub count: usize,
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_sam_everything_options {
    const NAME: &'static str = "vitrum_sam_everything_options";
    const EARLIER: &'static [usize] = &[
        offset_of!(vitrum_sam_everything_options, use_m2m),
        offset_of!(vitrum_sam_everything_options, point_grids),
    ];
}

/// Fills `options` with the defaults. `struct_size` is `sizeof *options`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_everything_options_init(
    options: *mut vitrum_sam_everything_options,
    struct_size: usize,
) -> vitrum_status {
    let defaults = vitrum_sam_everything_options::new(&AutomaticOptions::default());
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init_with(options, struct_size, &defaults) }
}

/// Fills `options` with the defaults of `sam`: a SAM 2 has a `pred_iou_thresh` of 0.8, and `config.json` may have other
/// thresholds, in `task_specific_params` for `mask-generation`. `struct_size` is `sizeof *options`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_everything_defaults(
    sam: *const vitrum_sam,
    options: *mut vitrum_sam_everything_options,
    struct_size: usize,
) -> vitrum_status {
    // SAFETY: the caller passes NULL or a SAM.
    match unsafe { shared(sam, "sam") } {
        Ok(sam) => {
            let defaults = vitrum_sam_everything_options::new(&sam.model().automatic_options());
            // SAFETY: the caller passes NULL or `struct_size` writable bytes.
            unsafe { init_with(options, struct_size, &defaults) }
        }
        Err(error) => status_of(error.code()),
    }
}

/// A mask of `vitrum_sam_everything` or `vitrum_sam_ground`. Owned by the library and valid until the callback returns.
/// Later versions of the library may add fields at its end.
#[repr(C)]
pub struct vitrum_sam_record {
    /// Bytes of this struct.
    pub struct_size: u32,
    /// Pixels of the mask.
    pub area: u32,
    /// Width of the picture.
    pub width: u32,
    /// Height of the picture.
    pub height: u32,
    /// The mask as run lengths: of 0, of 1, of 0 and so on, down the columns from left to right, as COCO stores
    /// masks.
    pub counts: *const u32,
    /// How many runs there are.
    pub count_size: usize,
    /// Left, top, width and height of the mask's box, in pixels. As in segment-anything, width and height are from the
    /// first pixel to the last one, which is 1 less than `vitrum_sam_prediction_stats` counts.
    pub bounding_box: [u32; 4],
    /// Left, top, width and height of the crop in which it was found.
    pub crop_box: [u32; 4],
    /// The click that gave the mask: from the left and from the top, in pixels.
    pub point: [f64; 2],
    /// The IoU (intersection over union) with the object that the model predicts.
    pub predicted_iou: f32,
    /// The stability score: the pixels of the mask at a higher threshold, over those at a lower one.
    pub stability_score: f32,
}

/// Receives a mask, on the thread that made the call. Returns 0 to go on; any other value ends the call, which then
/// returns `VITRUM_E_CANCELLED`. Neither an exception nor `longjmp` may leave it.
pub type vitrum_sam_record_callback =
    Option<unsafe extern "C" fn(user: Nullable<*mut c_void>, record: *const vitrum_sam_record) -> i32>;

/// Segments everything in `image`, and calls `on_record` with each mask. Any thread.
///
/// `options` may be NULL for the defaults, and so may `progress` be. Both callbacks get `user` and run during
/// the call. `kept`, if not NULL, receives the embedding of the picture, for prompts; the caller frees it with
/// `vitrum_sam_embedding_free`. If the call ends early, the masks that `on_record` got by then are final.
///
/// Errors: `VITRUM_E_INVALID_ARGUMENT` for an unknown pixel format or an option outside its domain;
/// `VITRUM_E_LIMIT` for too many points or layers; `VITRUM_E_IMAGE`; `VITRUM_E_CANCELLED`;
/// `VITRUM_E_NON_FINITE`; `VITRUM_E_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_sam_everything(
    sam: *const vitrum_sam,
    image: *const vitrum_image,
    options: Nullable<*const vitrum_sam_everything_options>,
    on_record: vitrum_sam_record_callback,
    progress: Nullable<vitrum_progress>,
    user: Nullable<*mut c_void>,
    kept: Nullable<*mut *mut vitrum_sam_embedding>,
    error: Nullable<*mut vitrum_error>,
) -> vitrum_status {
    // SAFETY: the caller keeps the contract above; what can be checked of it is.
    unsafe {
        guard(error, || {
            let place = optional(kept, || place(kept, "kept"))?;
            let sam = shared(sam, "sam")?;
            let image = view(image, "image")?;
            let options = match optional_versioned(options, "options")? {
                Some(options) => options.read()?,
                None => sam.model().automatic_options(),
            };
            let on_record = on_record.ok_or_else(|| err!(NullPointer, "on_record is NULL"))?;
            let mut hand_out = |record: MaskRecord| match on_record(user, &vitrum_sam_record::new(&record)) {
                0 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            };
            let embedding = monitored(progress, user, |monitor| {
                sam.everything(&image, &options, monitor, &mut hand_out)
            })?;
            if let Some(place) = place {
                place.write(handle::new(embedding)?);
            }
            Ok(())
        })
    }
}

impl vitrum_sam_everything_options {
    fn new(options: &AutomaticOptions) -> Self {
        Self {
            struct_size: 0,
            points_per_side: options.points_per_side as u32,
            points_per_batch: options.points_per_batch as u32,
            crop_n_layers: options.crop_n_layers as u32,
            crop_n_points_downscale_factor: options.crop_n_points_downscale_factor as u32,
            min_mask_region_area: options.min_mask_region_area,
            pred_iou_thresh: options.pred_iou_thresh,
            stability_score_thresh: options.stability_score_thresh,
            stability_score_offset: options.stability_score_offset,
            box_nms_thresh: options.box_nms_thresh,
            crop_nms_thresh: options.crop_nms_thresh,
            crop_overlap_ratio: options.crop_overlap_ratio,
            use_m2m: u32::from(options.use_m2m),
            single_mask: u32::from(!options.multimask_output),
            point_grids: ptr::null(),
            point_grid_count: 0,
        }
    }

    /// The same for Rust.
    ///
    /// # Safety
    /// The grids must be NULL or as long as they say.
    pub(super) unsafe fn read(&self) -> Result<AutomaticOptions> {
        Ok(AutomaticOptions::default()
            .with_points_per_side(self.points_per_side as usize)
            .with_points_per_batch(self.points_per_batch as usize)
            .with_crop_n_layers(self.crop_n_layers as usize)
            .with_crop_n_points_downscale_factor(self.crop_n_points_downscale_factor as usize)
            .with_min_mask_region_area(self.min_mask_region_area)
            .with_pred_iou_thresh(self.pred_iou_thresh)
            .with_stability_score_thresh(self.stability_score_thresh)
            .with_stability_score_offset(self.stability_score_offset)
            .with_box_nms_thresh(self.box_nms_thresh)
            .with_crop_nms_thresh(self.crop_nms_thresh)
            .with_crop_overlap_ratio(self.crop_overlap_ratio)
            .with_use_m2m(flag(self.use_m2m, "use_m2m")?)
            .with_multimask_output(!flag(self.single_mask, "single_mask")?)
            // SAFETY: the caller's promise.
            .with_point_grids(unsafe { self.read_grids()? }))
    }

    /// # Safety
    /// As [`read`](Self::read).
    unsafe fn read_grids(&self) -> Result<Option<Vec<Vec<[f64; 2]>>>> {
        if self.point_grid_count == 0 {
            return Ok(None);
        }
        // SAFETY: the caller's promise.
        let grids = unsafe { array(self.point_grids, self.point_grid_count, "point_grids")? };
        let read = |(i, grid): (usize, &vitrum_point_grid)| {
            check_memory()?;
            let name = alloc::format!("point_grids[{i}].points");
            // SAFETY: the caller's promise; a point is two numbers.
            let points = unsafe { array(grid.points.cast::<[f64; 2]>(), grid.count, &name)? };
            try_copied(points)
        };
        grids.iter().enumerate().map(read).try_values().map(Some)
    }
}

impl vitrum_sam_record {
    /// Points into `record`.
    pub(super) fn new(record: &MaskRecord) -> Self {
        let mask = &record.segmentation;
        Self {
            struct_size: size_of::<Self>() as u32,
            area: record.area,
            width: mask.width() as u32,
            height: mask.height() as u32,
            counts: mask.counts().as_ptr(),
            count_size: mask.counts().len(),
            bounding_box: record.bounding_box,
            crop_box: record.crop_box,
            point: record.point_coords,
            predicted_iou: record.predicted_iou,
            stability_score: record.stability_score,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use core::mem::MaybeUninit;

    use super::*;
    use crate::ffi::args::versioned;
    use crate::ffi::status::VITRUM_OK;

    #[test]
    fn programs_of_an_earlier_version_get_its_defaults() {
        for &size in vitrum_sam_everything_options::EARLIER {
            let mut options = MaybeUninit::<vitrum_sam_everything_options>::uninit();
            // SAFETY: `size` bytes are there, and what lies behind them is written here before it is read. There are no
            // grids.
            unsafe {
                options
                    .as_mut_ptr()
                    .cast::<u8>()
                    .write_bytes(0xFF, size_of::<vitrum_sam_everything_options>());
                assert_eq!(vitrum_sam_everything_options_init(options.as_mut_ptr(), size), VITRUM_OK);
                let after = options.as_ptr().cast::<u8>().add(size).cast::<u64>().read_unaligned();
                assert_eq!(after, u64::MAX, "nothing is written behind the struct");
                let options = versioned(options.as_ptr(), "options").unwrap();
                assert_eq!(options.read().unwrap(), AutomaticOptions::default());
            }
        }
    }

    #[test]
    fn options_pass_through() {
        let base = AutomaticOptions::sam2();
        for options in [
            base.clone().with_points_per_side(7).with_crop_n_layers(2),
            base.clone().with_use_m2m(true),
            base.with_multimask_output(false),
        ] {
            // SAFETY: there are no grids.
            assert_eq!(unsafe { vitrum_sam_everything_options::new(&options).read() }.unwrap(), options);
        }
    }

    #[test]
    fn grids_are_read() {
        let mut options = vitrum_sam_everything_options::new(&AutomaticOptions::default());
        let points = [0.25, 0.5, 0.75, 1.0];
        let grids = [vitrum_point_grid { points: points.as_ptr(), count: 2 }];
        (options.point_grids, options.point_grid_count) = (grids.as_ptr(), 1);
        // SAFETY: the grid has as many points as it says.
        let read = unsafe { options.read() }.unwrap();
        assert_eq!(read.point_grids, Some(vec![vec![[0.25, 0.5], [0.75, 1.0]]]));
        options.point_grids = ptr::null();
        // SAFETY: NULL is allowed.
        assert!(unsafe { options.read() }.is_err());
    }
}
