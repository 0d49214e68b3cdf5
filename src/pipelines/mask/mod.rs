//! What is done with masks once a decoder has predicted them: no model, pure functions.
//!
//! A mask is held in one of two forms. [`BitMask`] has a bit per pixel in rows, as the upscaling kernel writes them;
//! [`Rle`] has the lengths of its runs in columns, as COCO stores masks. Everything that changes or describes a shape
//! works on the runs, whose number grows with the outline and not with the area.
//!
//! A predicted mask is read through a [`MaskView`] ([`view`]), and clamped before it is fed back, in [`logits`]. Masks as
//! bit rows, and their way to runs, are in [`bits`]; runs, boxes and overlap in [`rle`], COCO's compressed
//! strings in [`coco`]; connected components, small islands and holes in [`components`], and of masks that are still
//! logits in [`logits`]; outlines in [`polygon`], with the holes
//! of each part in [`mod@parts`]; suppression of boxes that overlap in [`mod@nms`].
//!
//! Results equal those of `pycocotools`, of `torchvision.ops` and of `segment_anything.utils.amg`.

pub mod bits;
pub mod coco;
pub mod components;
pub mod logits;
pub mod nms;
pub mod parts;
pub mod polygon;
pub mod rle;
pub mod view;

pub use bits::BitMask;
pub use components::{Regions, remove_small_regions};
pub(super) use logits::clamp_prompt;
pub use logits::replace_small_regions;
pub use nms::{Suppression, nms};
pub use parts::{Part, parts};
pub use polygon::{Polygon, polygons};
pub use rle::Rle;
pub use view::MaskView;
pub(super) use view::Rival;

/// How little a mask depends on its threshold: the intersection over union of the masks at a higher and at a lower
/// threshold, of which the higher one's lies within the lower one's (`calculate_stability_score`).
///
/// NaN if both are empty, as in the reference.
pub fn stability_score(area_at_higher: u32, area_at_lower: u32) -> f32 {
    area_at_higher as f32 / area_at_lower as f32
}

#[cfg(test)]
mod testing {
    use alloc::vec::Vec;

    use super::Rle;

    /// The mask drawn as rows of `#` (set) and anything else (clear).
    pub(super) fn drawn(rows: &[&str]) -> Rle {
        let pixels: Vec<u8> =
            rows.iter().flat_map(|row| row.bytes()).map(|byte| u8::from(byte == b'#')).collect();
        Rle::from_mask(&pixels, rows[0].len(), rows.len()).unwrap()
    }

    /// A reproducible mask whose pixels are set with a probability of `percent`.
    pub(super) fn noise(seed: u32, width: usize, height: usize, percent: u32) -> Vec<u8> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u8::from((state >> 8) % 100 < percent)
        };
        (0..width * height).map(|_| next()).collect()
    }
}
