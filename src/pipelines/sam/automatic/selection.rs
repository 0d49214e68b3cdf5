//! Which masks stay: suppression within a crop and between crops, removal of small regions.

use alloc::vec::Vec;

use super::crops::Crop;
use super::{AutomaticOptions, MaskRecord};
use crate::error::Result;
use crate::exec::{Monitor, TryCollect, TryGrow, check_memory};
use crate::pipelines::mask::nms::descending;
use crate::pipelines::mask::{Regions, Rle, Suppression, remove_small_regions};

/// A mask that passed the filters of its crop, in the crop's frame.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) segmentation: Rle,
    /// `[left, top, right, bottom]`, the last column and row included.
    pub(super) extent: [u32; 4],
    pub(super) predicted_iou: f32,
    pub(super) stability_score: f32,
    pub(super) point: [f64; 2],
}

/// What was selected so far of a picture whose crops come in the order of [`Crop::all`].
pub(super) struct Selection {
    height: usize,
    width: usize,
    box_nms_thresh: f64,
    min_area: u32,
    /// Masks of the crops before, if there are several.
    between_crops: Option<Suppression>,
    /// Masks without small regions, and those that others must not repeat.
    final_nms: Suppression,
    /// Masks with small regions removed. They yield to all others, so that they are decided last.
    changed: Vec<(MaskRecord, [u32; 4])>,
}

impl Selection {
    /// For masks from which regions of fewer than `min_area` pixels are removed.
    pub(super) fn new(options: &AutomaticOptions, min_area: u32, height: usize, width: usize) -> Self {
        let is_cropped = options.crop_n_layers > 0;
        Self {
            height,
            width,
            box_nms_thresh: options.box_nms_thresh,
            min_area,
            between_crops: is_cropped.then(|| Suppression::new(options.crop_nms_thresh)),
            final_nms: Suppression::new(options.box_nms_thresh.max(options.crop_nms_thresh)),
            changed: Vec::new(),
        }
    }

    /// Takes all candidates of a crop, and hands on those that are final.
    ///
    /// # Errors
    /// Those of `emit`, `Cancelled` by the monitor, `OutOfMemory`.
    pub(super) fn add_crop(
        &mut self,
        crop: &Crop,
        candidates: &[Candidate],
        monitor: &Monitor<'_>,
        emit: &mut dyn FnMut(MaskRecord) -> Result<()>,
    ) -> Result<()> {
        // Those of equal quality keep the order of their clicks.
        let mut order = (0..candidates.len()).try_to_vec()?;
        let iou = |i: usize| candidates[i].predicted_iou;
        order.sort_unstable_by(|&a, &b| descending(iou(a), iou(b)).then(a.cmp(&b)));
        let mut within_crop = Suppression::new(self.box_nms_thresh);
        for candidate in order.into_iter().map(|i| &candidates[i]) {
            monitor.poll()?;
            if !within_crop.admit(corners(candidate.extent))? {
                continue;
            }
            let extent = crop.uncrop(candidate.extent);
            if let Some(kept) = &mut self.between_crops
                && !kept.admit(corners(extent))?
            {
                continue;
            }
            check_memory()?;
            let segmentation = candidate.segmentation.placed(crop.left, crop.top, self.width, self.height)?;
            let [x, y] = candidate.point;
            let record = MaskRecord {
                area: segmentation.area(),
                bounding_box: bounding_box(extent),
                predicted_iou: candidate.predicted_iou,
                point_coords: [x + crop.left as f64, y + crop.top as f64],
                stability_score: candidate.stability_score,
                crop_box: crop.bounding_box(),
                segmentation,
            };
            self.clean(record, emit)?;
        }
        Ok(())
    }

    /// Removes small regions of a mask that would stay without this step (`postprocess_small_regions`).
    fn clean(
        &mut self,
        mut record: MaskRecord,
        emit: &mut dyn FnMut(MaskRecord) -> Result<()>,
    ) -> Result<()> {
        if self.min_area == 0 {
            return emit(record);
        }
        let without_holes = remove_small_regions(&record.segmentation, self.min_area, Regions::Holes)?;
        let mask = without_holes.as_ref().unwrap_or(&record.segmentation);
        let without_islands = remove_small_regions(mask, self.min_area, Regions::Islands)?;
        match without_islands.or(without_holes) {
            Some(changed) => {
                let extent = changed.extent();
                record.area = changed.area();
                record.bounding_box = bounding_box(extent);
                record.segmentation = changed;
                self.changed.try_push((record, extent))
            }
            None if self.final_nms.admit(corners(record.segmentation.extent()))? => emit(record),
            None => Ok(()),
        }
    }

    /// Hands on the rest.
    ///
    /// # Errors
    /// Those of `emit`, `OutOfMemory`.
    pub(super) fn finish(mut self, emit: &mut dyn FnMut(MaskRecord) -> Result<()>) -> Result<()> {
        for (record, extent) in self.changed {
            if self.final_nms.admit(corners(extent))? {
                emit(record)?;
            }
        }
        Ok(())
    }
}

fn corners(extent: [u32; 4]) -> [f32; 4] {
    extent.map(|side| side as f32)
}

/// `[x, y, width, height]` with the reference's sizes, which are the differences of the corners: a pixel less than
/// the box covers.
fn bounding_box([left, top, right, bottom]: [u32; 4]) -> [u32; 4] {
    [left, top, right - left, bottom - top]
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// A filled rectangle in a crop of `size` (width, height).
    fn candidate(
        [left, top, right, bottom]: [u32; 4],
        size: (usize, usize),
        predicted_iou: f32,
    ) -> Candidate {
        let mut pixels = vec![0; size.0 * size.1];
        for y in top..=bottom {
            let row = y as usize * size.0;
            pixels[row + left as usize..=row + right as usize].fill(1);
        }
        let segmentation = Rle::from_mask(&pixels, size.0, size.1).unwrap();
        let extent = segmentation.extent();
        Candidate { segmentation, extent, predicted_iou, stability_score: 1.0, point: [0.0, 0.0] }
    }

    fn crop(layer: usize, left: usize, width: usize) -> Crop {
        Crop { layer, left, top: 0, width, height: 10 }
    }

    /// The boxes that are emitted after each crop, and at the end.
    fn run(options: &AutomaticOptions, crops: Vec<(Crop, Vec<Candidate>)>) -> Vec<Vec<[u32; 4]>> {
        let mut selection = Selection::new(options, options.min_mask_region_area, 10, 20);
        let mut steps = Vec::new();
        for (crop, candidates) in crops {
            let mut step = Vec::new();
            let mut emit = |record: MaskRecord| {
                step.push(record.bounding_box);
                Ok(())
            };
            selection.add_crop(&crop, &candidates, &Monitor::none(), &mut emit).unwrap();
            steps.push(step);
        }
        let mut rest = Vec::new();
        let mut emit = |record: MaskRecord| {
            rest.push(record.bounding_box);
            Ok(())
        };
        selection.finish(&mut emit).unwrap();
        steps.push(rest);
        steps
    }

    #[test]
    fn the_better_of_two_stays_within_a_crop() {
        let whole = crop(0, 0, 20);
        let candidates = vec![
            candidate([0, 0, 9, 8], (20, 10), 0.90),
            candidate([0, 0, 9, 9], (20, 10), 0.95),
            candidate([12, 0, 18, 9], (20, 10), 0.92),
        ];
        let steps = run(&AutomaticOptions::default(), vec![(whole, candidates)]);
        assert_eq!(steps, [vec![[0, 0, 9, 9], [12, 0, 6, 9]], vec![]]);
    }

    #[test]
    fn smaller_crops_come_first_and_win() {
        let options = AutomaticOptions { crop_n_layers: 1, ..Default::default() };
        let small = (crop(1, 8, 12), vec![candidate([2, 1, 8, 8], (12, 10), 0.89)]);
        let whole = (
            crop(0, 0, 20),
            vec![candidate([10, 1, 16, 8], (20, 10), 0.99), candidate([0, 0, 6, 9], (20, 10), 0.9)],
        );
        let steps = run(&options, vec![small, whole]);
        assert_eq!(steps, [vec![[10, 1, 6, 7]], vec![[0, 0, 6, 9]], vec![]]);
    }

    #[test]
    fn cleaned_masks_come_last_and_yield() {
        let options = AutomaticOptions { min_mask_region_area: 3, box_nms_thresh: 0.8, ..Default::default() };
        let with_speck = |extent, speck, iou| {
            let mut pixels = vec![0; 20 * 10];
            candidate(extent, (20, 10), iou).segmentation.to_mask(&mut pixels).unwrap();
            pixels[speck] = 1;
            let segmentation = Rle::from_mask(&pixels, 20, 10).unwrap();
            let extent = segmentation.extent();
            Candidate { segmentation, extent, ..candidate([0; 4], (20, 10), iou) }
        };
        let candidates = vec![
            // Without its speck this is the next but one.
            with_speck([0, 0, 5, 9], 11, 0.99),
            with_speck([12, 0, 15, 9], 199, 0.98),
            candidate([0, 0, 5, 9], (20, 10), 0.97),
        ];
        let steps = run(&options, vec![(crop(0, 0, 20), candidates)]);
        assert_eq!(steps, [vec![[0, 0, 5, 9]], vec![[12, 0, 3, 9]]]);
    }
}
