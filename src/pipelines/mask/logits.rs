//! Masks that are still logits: small regions, and the range of a mask prompt.

use alloc::vec::Vec;

use super::Regions;
use crate::error::Result;
use crate::exec::{TryCollect, TryGrow};

/// Gives every region of at most `max_area` pixels the logit `value`: holes are regions of logits at or below
/// `threshold`, islands of those above it. Regions are connected over edges and corners, and need not be enclosed.
///
/// `fill_holes_in_mask_scores` of the video predictor is holes of up to 8 pixels at 0 becoming 0.1;
/// `SAM2Transforms.postprocess_masks` is holes becoming `threshold + 10`, then islands becoming `threshold − 10`.
///
/// # Errors
/// `OutOfMemory`.
///
/// # Panics
/// If `logits` is not whole rows of `width` pixels.
pub fn replace_small_regions(
    logits: &mut [f32],
    width: usize,
    regions: Regions,
    threshold: f32,
    max_area: u32,
    value: f32,
) -> Result<()> {
    assert!(width > 0 && logits.len().is_multiple_of(width), "{} logits in rows of {width}", logits.len());
    let height = logits.len() / width;
    // Not yet seen, and part of a region.
    let mut open: Vec<bool> =
        logits.iter().map(|&logit| (logit > threshold) == (regions == Regions::Islands)).try_to_vec()?;
    let (mut region, mut next) = (Vec::new(), Vec::new());
    for start in 0..logits.len() {
        if !core::mem::take(&mut open[start]) {
            continue;
        }
        region.clear();
        next.try_push(start)?;
        let mut area = 0;
        while let Some(pixel) = next.pop() {
            area += 1;
            if area <= max_area {
                region.try_push(pixel)?;
            }
            let (y, x) = (pixel / width, pixel % width);
            for y in y.saturating_sub(1)..(y + 2).min(height) {
                for x in x.saturating_sub(1)..(x + 2).min(width) {
                    if core::mem::take(&mut open[y * width + x]) {
                        next.try_push(y * width + x)?;
                    }
                }
            }
        }
        if area <= max_area {
            region.iter().for_each(|&pixel| logits[pixel] = value);
        }
    }
    Ok(())
}

/// Largest logit of a mask that SAM 2's predictors feed back to the decoder, in both directions.
const MAX_PROMPT_LOGIT: f32 = 32.0;

/// Clamps the logits of a mask that is to be fed back, as SAM 2's predictors do.
pub(in crate::pipelines) fn clamp_prompt(logits: &mut [f32]) {
    logits.iter_mut().for_each(|logit| *logit = logit.clamp(-MAX_PROMPT_LOGIT, MAX_PROMPT_LOGIT));
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::testing::noise;
    use super::super::{Rle, remove_small_regions};
    use super::*;

    /// Against the removal from run lengths, where the reference's bounds coincide: areas below `max_area + 1`.
    #[test]
    fn regions_are_those_of_masks() {
        for (seed, percent) in [(1, 30), (2, 50), (3, 70), (4, 97)] {
            for regions in [Regions::Holes, Regions::Islands] {
                let (width, height) = (23, 17);
                let mask = noise(seed, width, height, percent);
                let mut logits: Vec<f32> =
                    mask.iter().map(|&set| if set == 1 { 3.0 } else { -3.0 }).collect();
                let value = if regions == Regions::Holes { 0.1 } else { -10.0 };
                replace_small_regions(&mut logits, width, regions, 0.0, 6, value).unwrap();
                let rle = Rle::from_mask(&mask, width, height).unwrap();
                let expected = remove_small_regions(&rle, 7, regions).unwrap().unwrap_or(rle);
                let mut pixels = vec![0; width * height];
                expected.to_mask(&mut pixels).unwrap();
                for (i, (&logit, &pixel)) in logits.iter().zip(&pixels).enumerate() {
                    assert_eq!(logit > 0.0, pixel == 1, "{regions:?} {seed}: pixel {i}");
                    assert!([3.0, -3.0, value].contains(&logit));
                }
            }
        }
    }

    #[test]
    fn a_region_may_be_the_whole_mask() {
        let mut logits = [-1.0; 8];
        replace_small_regions(&mut logits, 4, Regions::Holes, 0.0, 7, 0.1).unwrap();
        assert_eq!(logits, [-1.0; 8]);
        replace_small_regions(&mut logits, 4, Regions::Holes, 0.0, 8, 0.1).unwrap();
        assert_eq!(logits, [0.1; 8]);
    }
}
