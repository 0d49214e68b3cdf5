//! Calls of predictions, and of masks as runs; the functions that prepare structs.

use std::ptr;

use vitrum::ffi::error::{vitrum_error, vitrum_error_init};
use vitrum::ffi::image::{vitrum_image, vitrum_image_init};
use vitrum::ffi::polygon::{vitrum_polygon, vitrum_rle_polygons};
use vitrum::ffi::sam::{vitrum_sam, vitrum_sam_mask_side};
use vitrum::ffi::sam_embedding::{
    vitrum_sam_embedding, vitrum_sam_embedding_height, vitrum_sam_embedding_width,
};
use vitrum::ffi::sam_prediction::{
    vitrum_sam_mask_stats, vitrum_sam_mask_stats_init, vitrum_sam_predict, vitrum_sam_predict_options,
    vitrum_sam_predict_options_init, vitrum_sam_prediction, vitrum_sam_prediction_logits,
    vitrum_sam_prediction_low_res, vitrum_sam_prediction_mask, vitrum_sam_prediction_masks,
    vitrum_sam_prediction_new, vitrum_sam_prediction_polygons, vitrum_sam_prediction_prompts,
    vitrum_sam_prediction_rle, vitrum_sam_prediction_scores, vitrum_sam_prediction_stability,
    vitrum_sam_prediction_stats,
};
use vitrum::ffi::sam_prompt::vitrum_sam_prompt_init;
use vitrum::ffi::status::{VITRUM_E_NULL_POINTER, VITRUM_E_STRUCT_SIZE, VITRUM_OK, vitrum_status};
use vitrum::ffi::tracker::vitrum_tracker_options_init;

use super::arguments::{Prompt, prepared};
use super::outputs::{Output, Value, are_finite};
use super::world::Kind;
use super::{Calls, call};

impl Value for vitrum_polygon_mark {
    const MARK: Self = Self([0xa5a5_a5a5; 6]);
}

/// The memory of a `vitrum_polygon`.
#[allow(non_camel_case_types, reason = "it stands for the C type")]
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct vitrum_polygon_mark([u32; 6]);

const _: () = assert!(size_of::<vitrum_polygon_mark>() == size_of::<vitrum_polygon>());

impl Calls<'_> {
    pub(super) fn prediction_call(&mut self) {
        let prediction: *mut vitrum_sam_prediction = self.world.pick(Kind::Prediction, &mut self.source);
        match self.source.below(16) {
            0 => self.new_prediction(),
            1..7 => self.predict(prediction),
            7 => self.scores(prediction),
            choice => self.read(prediction, choice),
        }
    }

    fn new_prediction(&mut self) {
        let sam: *mut vitrum_sam = self.world.pick(Kind::Sam, &mut self.source);
        let mut prediction = ptr::null_mut();
        let status = call!(self, vitrum_sam_prediction_new, sam, &raw mut prediction);
        assert_eq!(status == VITRUM_OK, !prediction.is_null());
        self.world.keep(Kind::Prediction, prediction);
    }

    fn predict(&mut self, prediction: *mut vitrum_sam_prediction) {
        let sam: *mut vitrum_sam = self.world.pick(Kind::Sam, &mut self.source);
        let embedding: *mut vitrum_sam_embedding = self.world.pick(Kind::Embedding, &mut self.source);
        // SAFETY: NULL or a handle that lives.
        let side = unsafe { vitrum_sam_mask_side(sam) };
        let prompts: Vec<_> =
            (0..self.source.below(4)).map(|_| Prompt::new(side, &mut self.source)).collect();
        let views: Vec<_> = prompts.iter().map(Prompt::view).collect();
        let mut options: vitrum_sam_predict_options = prepared(vitrum_sam_predict_options_init);
        options.multimask = self.source.count(1);
        (options.max_hole_area, options.max_sprinkle_area) = (self.source.count(3), self.source.count(3));
        let (views, count) = (views.as_ptr(), views.len());
        let status =
            call!(self, vitrum_sam_predict, sam, embedding, views, count, &raw const options, prediction);
        // SAFETY: NULL or handles that live.
        let (answered, masks) =
            unsafe { (vitrum_sam_prediction_prompts(prediction), vitrum_sam_prediction_masks(prediction)) };
        // Another thread may have used it since.
        assert!(status != VITRUM_OK || self.depth > 0 || (answered == count && (1..=4).contains(&masks)));
    }

    fn scores(&mut self, prediction: *mut vitrum_sam_prediction) {
        let mut out = Output::<f32>::new(&mut self.source);
        let status = call!(
            self,
            vitrum_sam_prediction_scores,
            prediction,
            out.pointer(),
            out.capacity(),
            out.needed()
        );
        are_finite("vitrum_sam_prediction_scores", out.written("vitrum_sam_prediction_scores", status));
    }

    /// What there is to know of one mask.
    fn read(&mut self, it: *mut vitrum_sam_prediction, choice: usize) {
        let (prompt, mask) = (self.source.count(2) as usize, self.source.count(2) as usize);
        let threshold = self.source.float();
        match choice {
            8 | 9 => {
                let mut out = Output::<u8>::new(&mut self.source);
                let status = call!(
                    self,
                    vitrum_sam_prediction_mask,
                    it,
                    prompt,
                    mask,
                    threshold,
                    out.pointer(),
                    out.capacity(),
                    out.needed(),
                );
                assert!(out.written("vitrum_sam_prediction_mask", status).iter().all(|&pixel| pixel < 2));
            }
            10 => {
                let mut out = Output::<u32>::new(&mut self.source);
                let status = call!(
                    self,
                    vitrum_sam_prediction_rle,
                    it,
                    prompt,
                    mask,
                    threshold,
                    out.pointer(),
                    out.capacity(),
                    out.needed(),
                );
                let runs = out.written("vitrum_sam_prediction_rle", status);
                assert!(runs.iter().sum::<u32>() <= 1 << 28);
            }
            11 => self.polygons("vitrum_sam_prediction_polygons", |calls, tolerance, corners, polygons| {
                call!(
                    calls,
                    vitrum_sam_prediction_polygons,
                    it,
                    prompt,
                    mask,
                    threshold,
                    tolerance,
                    corners.pointer(),
                    corners.capacity(),
                    corners.needed(),
                    polygons.pointer().cast(),
                    polygons.capacity(),
                    polygons.needed(),
                )
            }),
            12 => {
                let mut stats: vitrum_sam_mask_stats = prepared(vitrum_sam_mask_stats_init);
                let status =
                    call!(self, vitrum_sam_prediction_stats, it, prompt, mask, threshold, &raw mut stats);
                assert!(stats.score.is_finite() && (status == VITRUM_OK || stats.area == 0));
            }
            13 => {
                let (offset, mut stability) = (self.source.float(), -7.0);
                let status = call!(
                    self,
                    vitrum_sam_prediction_stability,
                    it,
                    prompt,
                    mask,
                    threshold,
                    offset,
                    &raw mut stability,
                );
                assert_eq!(status == VITRUM_OK, stability != -7.0);
            }
            _ => {
                let mut out = Output::<f32>::new(&mut self.source);
                let (to, room, needed) = (out.pointer(), out.capacity(), out.needed());
                let status = if choice == 14 {
                    call!(self, vitrum_sam_prediction_logits, it, prompt, mask, to, room, needed)
                } else {
                    call!(self, vitrum_sam_prediction_low_res, it, prompt, mask, to, room, needed)
                };
                are_finite(
                    "vitrum_sam_prediction_logits",
                    out.written("vitrum_sam_prediction_logits", status),
                );
            }
        }
    }

    /// A call that makes polygons.
    pub(super) fn polygons(
        &mut self,
        function: &str,
        call: impl FnOnce(&mut Self, f32, &mut Output<u32>, &mut Output<vitrum_polygon_mark>) -> vitrum_status,
    ) {
        let tolerance = self.source.float();
        let mut corners = Output::<u32>::new(&mut self.source);
        let mut polygons = Output::<vitrum_polygon_mark>::new(&mut self.source);
        let status = call(self, tolerance, &mut corners, &mut polygons);
        corners.written(function, status);
        polygons.written(function, status);
    }

    /// Runs of the caller's own as polygons: mostly such that fill the mask.
    pub(super) fn polygons_call(&mut self) {
        let embedding: *mut vitrum_sam_embedding = self.world.pick(Kind::Embedding, &mut self.source);
        // SAFETY: NULL or a handle that lives.
        let (width, height) =
            unsafe { (vitrum_sam_embedding_width(embedding), vitrum_sam_embedding_height(embedding)) };
        let (width, height) = (width.max(5), height.max(3));
        let (mut left, mut runs) = (width * height, Vec::new());
        while left > 0 && runs.len() < 64 {
            let run = self.source.count(30).min(left);
            runs.push(run);
            left -= run;
        }
        if self.source.below(8) > 0 {
            runs.push(left);
        }
        self.polygons("vitrum_rle_polygons", |calls, tolerance, corners, polygons| {
            call!(
                calls,
                vitrum_rle_polygons,
                runs.as_ptr(),
                runs.len(),
                width,
                height,
                tolerance,
                corners.pointer(),
                corners.capacity(),
                corners.needed(),
                polygons.pointer().cast(),
                polygons.capacity(),
                polygons.needed(),
            )
        });
    }

    /// Prepares a struct, with a size that need not be right.
    pub(super) fn init_call(&mut self) {
        match self.source.below(5) {
            0 => self.init(vitrum_error_init as unsafe extern "C" fn(*mut vitrum_error, usize) -> _),
            1 => self.init(vitrum_image_init as unsafe extern "C" fn(*mut vitrum_image, usize) -> _),
            2 => self.init(vitrum_sam_prompt_init as unsafe extern "C" fn(_, usize) -> _),
            3 => self.init(vitrum_sam_mask_stats_init as unsafe extern "C" fn(_, usize) -> _),
            _ => self.init(vitrum_tracker_options_init as unsafe extern "C" fn(_, usize) -> _),
        }
    }

    fn init<T>(&mut self, function: unsafe extern "C" fn(*mut T, usize) -> vitrum_status) {
        let size = match self.source.below(4) {
            0 => self.source.u32() as usize,
            1 => size_of::<T>() + self.source.below(9) - 4,
            _ => size_of::<T>(),
        };
        // No struct is larger than this, and only known sizes are written.
        let mut memory = [0u64; 128];
        let place: *mut T = if self.source.one_in(16) { ptr::null_mut() } else { memory.as_mut_ptr().cast() };
        // SAFETY: NULL, or room for every struct.
        let status = unsafe { function(place, size) };
        assert!([VITRUM_OK, VITRUM_E_STRUCT_SIZE, VITRUM_E_NULL_POINTER].contains(&status));
        assert_eq!(status == VITRUM_OK, memory[0] != 0);
    }
}
