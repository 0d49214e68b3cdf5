//! Non-maximum suppression of boxes.

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::error::Result;
use crate::exec::{TryCollect, TryGrow};

/// The boxes that stay, best score first: each box that overlaps a better one that stays by more than
/// `threshold` goes.
///
/// Boxes are `[x0, y0, x1, y1]`; overlap is intersection over union, computed in f32 and compared in f64. Boxes of
/// equal score keep their order, and NaN is the best score. This is `torchvision.ops.nms` on a CPU, and
/// `batched_nms` of one category.
///
/// # Errors
/// `OutOfMemory`.
///
/// # Panics
/// If there are not as many scores as boxes.
pub fn nms(boxes: &[[f32; 4]], scores: &[f32], threshold: f64) -> Result<Vec<usize>> {
    assert_eq!(boxes.len(), scores.len(), "scores");
    let mut order: Vec<usize> = (0..boxes.len()).try_to_vec()?;
    order.sort_unstable_by(|&a, &b| nan_first(scores[a], scores[b]).then(a.cmp(&b)));
    let mut suppression = Suppression::new(threshold);
    let mut kept = Vec::new();
    for i in order {
        if suppression.admit(boxes[i])? {
            kept.try_push(i)?;
        }
    }
    Ok(kept)
}

/// Larger scores first, NaN before all.
fn nan_first(a: f32, b: f32) -> Ordering {
    b.partial_cmp(&a).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// Larger scores first, NaN after all.
pub(crate) fn descending(a: f32, b: f32) -> Ordering {
    b.partial_cmp(&a).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Suppression of boxes that come in the order of their scores, best first.
#[derive(Clone, Debug)]
pub struct Suppression {
    threshold: f64,
    /// The boxes that stay, with their areas.
    kept: Vec<([f32; 4], f32)>,
}

impl Suppression {
    /// No boxes yet.
    pub const fn new(threshold: f64) -> Self {
        Self { threshold, kept: Vec::new() }
    }

    /// Whether the next box stays.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn admit(&mut self, candidate: [f32; 4]) -> Result<bool> {
        let [x0, y0, x1, y1] = candidate;
        let area = (x1 - x0) * (y1 - y0);
        let overlaps = |&([left, top, right, bottom], kept_area): &([f32; 4], f32)| {
            let width = (x1.min(right) - x0.max(left)).max(0.0);
            let height = (y1.min(bottom) - y0.max(top)).max(0.0);
            let common = width * height;
            // Two boxes without area give NaN, which is no overlap.
            f64::from(common / (kept_area + area - common)) > self.threshold
        };
        let stays = !self.kept.iter().any(overlaps);
        if stays {
            self.kept.try_push((candidate, area))?;
        }
        Ok(stays)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f32 = f32::NAN;

    #[test]
    fn ties_keep_their_order_and_nan_is_best() {
        let apart = |i: usize| [10.0 * i as f32, 0.0, 10.0 * i as f32 + 5.0, 5.0];
        let boxes: Vec<_> = (0..6).map(apart).collect();
        assert_eq!(nms(&boxes, &[0.5, NAN, 0.5, 0.9, 0.5, NAN], 0.7).unwrap(), [1, 5, 3, 0, 2, 4]);
        assert!(nms(&[], &[], 0.7).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_number_comes_last() {
        let mut scores = [0.5, NAN, f32::NEG_INFINITY, 0.9, -NAN, f32::INFINITY];
        scores.sort_by(|a, b| descending(*a, *b));
        assert_eq!(scores[..4], [f32::INFINITY, 0.9, 0.5, f32::NEG_INFINITY]);
        assert!(scores[4..].iter().all(|score| score.is_nan()));
    }

    #[test]
    fn only_boxes_that_stay_suppress() {
        // Each overlaps the next by 6 / 14; the first and the third do not touch.
        let boxes = [[0.0, 0.0, 10.0, 1.0], [4.0, 0.0, 14.0, 1.0], [10.0, 0.0, 20.0, 1.0]];
        assert_eq!(nms(&boxes, &[0.9, 0.8, 0.7], 0.4).unwrap(), [0, 2]);
        assert_eq!(nms(&boxes, &[0.8, 0.9, 0.7], 0.4).unwrap(), [1, 2]);
        assert_eq!(nms(&boxes, &[0.9, 0.8, 0.7], 0.5).unwrap(), [0, 1, 2]);
    }

    #[test]
    fn overlap_equal_to_the_threshold_stays() {
        let boxes = [[0.0, 0.0, 2.0, 1.0], [0.0, 0.0, 1.0, 1.0]];
        assert_eq!(nms(&boxes, &[1.0, 1.0], 0.5).unwrap(), [0, 1]);
        assert_eq!(nms(&boxes, &[1.0, 1.0], 0.499).unwrap(), [0]);
    }

    #[test]
    fn boxes_without_area_stay() {
        let boxes = [[3.0, 3.0, 3.0, 3.0], [3.0, 3.0, 3.0, 3.0], [3.0, 0.0, 3.0, 9.0]];
        assert_eq!(nms(&boxes, &[1.0; 3], 0.0).unwrap(), [0, 1, 2]);
    }
}
