//! Options of the automatic generator.

use alloc::vec::Vec;

use crate::error::{Result, err};
use crate::exec::{TryCollect, TryGrow, try_copied};
use crate::setters::setters;

/// Most layers of crops: the fifth has 1,024.
const MAX_CROP_LAYERS: usize = 5;
/// Most points of a grid.
const MAX_POINTS: usize = 1 << 20;

/// The options of `SamAutomaticMaskGenerator`, with its names and defaults, and what `SAM2AutomaticMaskGenerator` has in
/// addition; see [`sam2`](AutomaticOptions::sam2) for its defaults.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AutomaticOptions {
    /// Points along each side of the grid.
    pub points_per_side: usize,
    /// Points that go through the decoder at once.
    pub points_per_batch: usize,
    /// Masks whose predicted IoU is not above this are dropped; 0 keeps all.
    pub pred_iou_thresh: f64,
    /// Masks whose stability score is below this are dropped; 0 keeps all.
    pub stability_score_thresh: f64,
    /// Offset of the two thresholds between which the stability score compares the mask, in logits.
    pub stability_score_offset: f64,
    /// IoU of two boxes of a crop above which the mask of lower predicted IoU is dropped.
    pub box_nms_thresh: f64,
    /// Layers of crops; layer `i` has `2ⁱ · 2ⁱ`, in addition to the whole picture.
    pub crop_n_layers: usize,
    /// IoU of two boxes of different crops above which the mask of the larger crop is dropped.
    pub crop_nms_thresh: f64,
    /// Overlap of the crops of the first layer, as a fraction of the picture's shorter side.
    pub crop_overlap_ratio: f64,
    /// The points per side of layer `i` are divided by this to the power of `i`.
    pub crop_n_points_downscale_factor: usize,
    /// The points of the whole picture and of each layer, in 0…1 of a crop's width and height, in place of regular
    /// grids.
    pub point_grids: Option<Vec<Vec<[f64; 2]>>>,
    /// Holes and islands of a smaller area are removed; 0 leaves them. With a SAM, areas are counted in pixels of the
    /// picture, and regions go when all masks are there. With a SAM 2, they are counted in logits of the low-resolution
    /// mask, and regions of exactly this area go too, before masks are filtered.
    pub min_mask_region_area: u32,
    /// Refines each mask once: it becomes a prompt, together with its point, and the answer replaces it.
    pub use_m2m: bool,
    /// Three masks for each point, the default; otherwise one.
    pub multimask_output: bool,
}

impl Default for AutomaticOptions {
    fn default() -> Self {
        Self {
            points_per_side: 32,
            points_per_batch: 64,
            pred_iou_thresh: 0.88,
            stability_score_thresh: 0.95,
            stability_score_offset: 1.0,
            box_nms_thresh: 0.7,
            crop_n_layers: 0,
            crop_nms_thresh: 0.7,
            crop_overlap_ratio: 512.0 / 1500.0,
            crop_n_points_downscale_factor: 1,
            point_grids: None,
            min_mask_region_area: 0,
            use_m2m: false,
            multimask_output: true,
        }
    }
}

impl AutomaticOptions {
    setters! {
        with_points_per_side(points_per_side: usize),
        with_points_per_batch(points_per_batch: usize),
        with_pred_iou_thresh(pred_iou_thresh: f64),
        with_stability_score_thresh(stability_score_thresh: f64),
        with_stability_score_offset(stability_score_offset: f64),
        with_box_nms_thresh(box_nms_thresh: f64),
        with_crop_n_layers(crop_n_layers: usize),
        with_crop_nms_thresh(crop_nms_thresh: f64),
        with_crop_overlap_ratio(crop_overlap_ratio: f64),
        with_crop_n_points_downscale_factor(crop_n_points_downscale_factor: usize),
        with_point_grids(point_grids: impl Into<Option<Vec<Vec<[f64; 2]>>>>),
        with_min_mask_region_area(min_mask_region_area: u32),
        with_use_m2m(use_m2m: bool),
        with_multimask_output(multimask_output: bool),
    }

    /// The defaults of `SAM2AutomaticMaskGenerator`.
    pub fn sam2() -> Self {
        Self { pred_iou_thresh: 0.8, ..Self::default() }
    }

    /// The grids of the whole picture and of each layer of crops.
    ///
    /// # Errors
    /// `InvalidArgument` for an option outside its domain, `Limit` for too many points or layers.
    pub(super) fn grids(&self) -> Result<Vec<Vec<[f64; 2]>>> {
        self.check()?;
        if let Some(grids) = &self.point_grids {
            return grids.iter().map(|grid| try_copied(grid)).try_values();
        }
        let mut grids = Vec::new();
        let mut divisor = 1_usize;
        for layer in 0..=self.crop_n_layers {
            let points = self.points_per_side / divisor;
            if points == 0 {
                return Err(err!(InvalidArgument, "layer {layer} of crops has no points"));
            }
            grids.try_push(point_grid(points)?)?;
            divisor = divisor.saturating_mul(self.crop_n_points_downscale_factor);
        }
        Ok(grids)
    }

    /// What the predicted quality of a mask must be above, if it matters.
    pub(super) fn least_iou(&self) -> Option<f32> {
        (self.pred_iou_thresh > 0.0).then_some(self.pred_iou_thresh as f32)
    }

    fn check(&self) -> Result<()> {
        let numbers = [
            ("pred_iou_thresh", self.pred_iou_thresh),
            ("stability_score_thresh", self.stability_score_thresh),
            ("stability_score_offset", self.stability_score_offset),
            ("box_nms_thresh", self.box_nms_thresh),
            ("crop_nms_thresh", self.crop_nms_thresh),
            ("crop_overlap_ratio", self.crop_overlap_ratio),
        ];
        if let Some((name, value)) = numbers.into_iter().find(|(_, value)| !value.is_finite()) {
            return Err(err!(InvalidArgument, "{name} is {value}"));
        }
        if !(0.0..=1.0).contains(&self.crop_overlap_ratio) {
            return Err(err!(InvalidArgument, "crop_overlap_ratio is {}", self.crop_overlap_ratio));
        }
        if self.points_per_batch == 0 || self.crop_n_points_downscale_factor == 0 {
            return Err(err!(
                InvalidArgument,
                "points_per_batch and crop_n_points_downscale_factor must not be 0"
            ));
        }
        if self.crop_n_layers > MAX_CROP_LAYERS {
            return Err(err!(Limit, "{} layers of crops (limit {MAX_CROP_LAYERS})", self.crop_n_layers));
        }
        match &self.point_grids {
            None if self.points_per_side.saturating_mul(self.points_per_side) > MAX_POINTS => {
                Err(err!(Limit, "grid of {0}x{0} points (limit {MAX_POINTS} in all)", self.points_per_side))
            }
            None => Ok(()),
            Some(grids) if grids.len() != self.crop_n_layers + 1 => Err(err!(
                InvalidArgument,
                "{} point grids for the picture and {} layers of crops",
                grids.len(),
                self.crop_n_layers
            )),
            Some(grids) if grids.iter().any(|grid| grid.len() > MAX_POINTS) => {
                Err(err!(Limit, "a grid of more than {MAX_POINTS} points"))
            }
            Some(grids) if grids.iter().flatten().flatten().any(|at| !(0.0..=1.0).contains(at)) => {
                Err(err!(InvalidArgument, "a point of a grid is not in 0…1"))
            }
            Some(_) => Ok(()),
        }
    }
}

/// Points in the middle of `per_side × per_side` equal cells, row by row (`build_point_grid`).
fn point_grid(per_side: usize) -> Result<Vec<[f64; 2]>> {
    let offset = 1.0 / (2.0 * per_side as f64);
    let step = if per_side > 1 { (1.0 - offset - offset) / (per_side - 1) as f64 } else { 0.0 };
    // As numpy's linspace: the last value is the end itself.
    let at = |i: usize| if i > 0 && i + 1 == per_side { 1.0 - offset } else { i as f64 * step + offset };
    (0..per_side).flat_map(|y| (0..per_side).map(move |x| [at(x), at(y)])).try_to_vec()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::ErrorCode;

    #[test]
    fn grids_lie_in_the_middle_of_cells() {
        assert_eq!(point_grid(1).unwrap(), [[0.5, 0.5]]);
        assert_eq!(point_grid(2).unwrap(), [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]);
        let options =
            AutomaticOptions { crop_n_layers: 2, crop_n_points_downscale_factor: 3, ..Default::default() };
        let sizes: Vec<usize> = options.grids().unwrap().iter().map(Vec::len).collect();
        assert_eq!(sizes, [32 * 32, 10 * 10, 3 * 3]);
    }

    #[test]
    fn impossible_options_are_refused() {
        let base = AutomaticOptions::default;
        let cases = [
            (AutomaticOptions { points_per_side: 0, ..base() }, ErrorCode::InvalidArgument),
            (AutomaticOptions { points_per_side: usize::MAX, ..base() }, ErrorCode::Limit),
            (AutomaticOptions { points_per_batch: 0, ..base() }, ErrorCode::InvalidArgument),
            (AutomaticOptions { pred_iou_thresh: f64::NAN, ..base() }, ErrorCode::InvalidArgument),
            (AutomaticOptions { box_nms_thresh: f64::INFINITY, ..base() }, ErrorCode::InvalidArgument),
            (AutomaticOptions { crop_overlap_ratio: -0.1, ..base() }, ErrorCode::InvalidArgument),
            (AutomaticOptions { crop_n_layers: 6, ..base() }, ErrorCode::Limit),
            (AutomaticOptions { crop_n_points_downscale_factor: 0, ..base() }, ErrorCode::InvalidArgument),
            (
                AutomaticOptions { crop_n_layers: 3, crop_n_points_downscale_factor: 4, ..base() },
                ErrorCode::InvalidArgument,
            ),
            (AutomaticOptions { point_grids: Some(vec![]), ..base() }, ErrorCode::InvalidArgument),
            (
                AutomaticOptions { point_grids: Some(vec![vec![[0.5, f64::NAN]]]), ..base() },
                ErrorCode::InvalidArgument,
            ),
        ];
        for (options, code) in cases {
            assert_eq!(options.grids().unwrap_err().code(), code, "{options:?}");
        }
    }
}
