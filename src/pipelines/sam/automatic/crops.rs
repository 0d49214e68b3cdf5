//! The parts of a picture that are segmented one by one.

use alloc::vec;
use alloc::vec::Vec;

use crate::error::{Result, err};
use crate::exec::TryGrow;
use crate::pipelines::mask::nms::descending;

/// How near to an edge of a crop a box touches it, in pixels.
const EDGE: f32 = 20.0;

/// A part of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crop {
    /// 0 for the whole picture.
    pub(super) layer: usize,
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Crop {
    /// The whole picture and `layers` layers of crops, smaller crops first, and crops of one size in the order of
    /// `generate_crop_boxes`.
    ///
    /// Where masks of several crops overlap, the reference keeps that of the smallest crop and, of crops of one size,
    /// of the first. In this order a mask is therefore final as soon as its crop is done, and masks come in the
    /// reference's order.
    ///
    /// # Errors
    /// `InvalidArgument` if the picture is too small for so many layers.
    pub(super) fn all(height: usize, width: usize, layers: usize, overlap_ratio: f64) -> Result<Vec<Self>> {
        let mut crops = vec![Self { layer: 0, left: 0, top: 0, width, height }];
        let shorter = height.min(width) as f64;
        for layer in 1..=layers {
            let per_side = 1 << layer;
            let overlap = (overlap_ratio * shorter * (2.0 / per_side as f64)) as usize;
            let length = |side: usize| (overlap * (per_side - 1) + side).div_ceil(per_side);
            let (crop_width, crop_height) = (length(width), length(height));
            for (x, y) in (0..per_side).flat_map(|x| (0..per_side).map(move |y| (x, y))) {
                let (left, top) = ((crop_width - overlap) * x, (crop_height - overlap) * y);
                if left >= width || top >= height {
                    return Err(err!(
                        InvalidArgument,
                        "picture of {width}x{height} pixels is too small for {layers} layers of crops"
                    ));
                }
                let (width, height) = (crop_width.min(width - left), crop_height.min(height - top));
                crops.try_push(Self { layer, left, top, width, height })?;
            }
        }
        // The reference compares the inverse, in f32.
        let score = |crop: &Self| 1.0 / (crop.width * crop.height) as f32;
        crops.sort_by(|a, b| descending(score(a), score(b)));
        Ok(crops)
    }

    /// `[x, y, width, height]`.
    pub(super) fn bounding_box(&self) -> [u32; 4] {
        [self.left, self.top, self.width, self.height].map(|side| side as u32)
    }

    /// `[left, top, right, bottom]` of the crop's frame in the picture's.
    pub(super) fn uncrop(&self, [left, top, right, bottom]: [u32; 4]) -> [u32; 4] {
        let (x, y) = (self.left as u32, self.top as u32);
        [left + x, top + y, right + x, bottom + y]
    }

    /// Whether the box touches an edge of the crop that is no edge of the picture (`is_box_near_crop_edge`).
    pub(super) fn cuts(&self, extent: [u32; 4], height: usize, width: usize) -> bool {
        let crop = [self.left, self.top, self.left + self.width, self.top + self.height];
        let picture = [0, 0, width, height];
        let is_near = |side: u32, edge: usize| (side as f32 - edge as f32).abs() <= EDGE;
        let sides = self.uncrop(extent);
        (0..4).any(|i| is_near(sides[i], crop[i]) && !is_near(sides[i], picture[i]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    fn boxes(crops: &[Crop]) -> Vec<[u32; 4]> {
        crops.iter().map(Crop::bounding_box).collect()
    }

    #[test]
    fn crops_are_the_reference_s_smallest_first() {
        // generate_crop_boxes((90, 120), 1, 512 / 1500), as x, y, width, height.
        let crops = Crop::all(90, 120, 1, 512.0 / 1500.0).unwrap();
        let expected = [[0, 0, 75, 60], [0, 30, 75, 60], [45, 0, 75, 60], [45, 30, 75, 60], [0, 0, 120, 90]];
        assert_eq!(boxes(&crops), expected);

        let crops = Crop::all(101, 67, 2, 512.0 / 1500.0).unwrap();
        assert_eq!(crops.len(), 1 + 4 + 16);
        assert_eq!(crops.last().unwrap().layer, 0);
        assert!(
            crops.windows(2).all(|pair| pair[0].width * pair[0].height <= pair[1].width * pair[1].height)
        );
    }

    #[test]
    fn pictures_too_small_for_their_crops_are_refused() {
        assert_eq!(Crop::all(1, 1, 0, 0.3).unwrap().len(), 1);
        assert_eq!(Crop::all(3, 3, 3, 0.3).unwrap_err().code(), ErrorCode::InvalidArgument);
    }

    #[test]
    fn only_edges_within_the_picture_cut() {
        let crop = Crop { layer: 1, left: 0, top: 100, width: 200, height: 200 };
        let cuts = |extent| crop.cuts(extent, 300, 400);
        assert!(!cuts([0, 21, 100, 150]), "the picture's left edge");
        assert!(cuts([50, 20, 100, 150]), "the crop's upper edge");
        assert!(cuts([50, 50, 180, 150]), "the crop's right edge");
        assert!(!cuts([50, 50, 179, 199]), "the lower edge is the picture's too");
    }
}
