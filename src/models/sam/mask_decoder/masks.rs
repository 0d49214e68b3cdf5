//! From upscaled features and weights to masks: those that are asked for, or of each prompt the stable one.

use super::{DecodeOptions, MaskDecoder};
use crate::exec::{Cx, Scratch, padded};
use crate::kernels::feature_panels::{pack_lhs, packed_lhs_len};
use crate::kernels::gemm::Rows;
use crate::models::sam::config::Stability;
use crate::nn::Trace;

/// What masks are made of.
pub(super) struct Features<'a> {
    pub(super) prompts: usize,
    /// The prompts' image features, in panels.
    pub(super) x: &'a [f32],
    /// The image's larger maps.
    pub(super) high_res: Option<&'a [f32]>,
    /// `[prompts, masks, C / 8]`
    pub(super) weights: &'a [f32],
    /// The predicted IoU of all masks, `[prompts, all]`.
    pub(super) quality: &'a [f32],
}

impl Features<'_> {
    /// What belongs to prompts `from..to`.
    fn of(&self, from: usize, to: usize) -> Self {
        let part = |values: &[f32]| from * values.len() / self.prompts..to * values.len() / self.prompts;
        Self {
            prompts: to - from,
            x: &self.x[part(self.x)],
            weights: &self.weights[part(self.weights)],
            quality: &self.quality[part(self.quality)],
            high_res: self.high_res,
        }
    }
}

impl MaskDecoder {
    /// The masks of all weights, unless `least_iou` is set and none of a prompt's `iou` is above it.
    #[allow(clippy::too_many_arguments, reason = "features, which of them, and an output")]
    pub(super) fn all_masks(
        &self,
        cx: &Cx,
        features: &Features<'_>,
        iou: &[f32],
        least_iou: Option<f32>,
        masks: &mut [f32],
        mut scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
    ) {
        let prompts = features.prompts;
        let (count, masks_len) = (iou.len() / prompts, masks.len() / prompts);
        let is_wanted = |prompt: usize| is_above(&iou[prompt * count..][..count], least_iou);
        let mut start = 0;
        while let Some(from) = (start..prompts).find(|&prompt| is_wanted(prompt)) {
            let to = (from..prompts).find(|&prompt| !is_wanted(prompt)).unwrap_or(prompts);
            let masks = &mut masks[from * masks_len..to * masks_len];
            self.products(cx, &features.of(from, to), masks, scratch.frame(), trace);
            start = to;
        }
    }

    /// Of each prompt the first mask and, if it is not stable, instead of it the one of the others with the highest
    /// predicted IoU; `iou: [prompts]` becomes that of the mask. Quality is known before there are masks, so that two
    /// of them are made and not all.
    #[allow(clippy::too_many_arguments, reason = "features, how to choose among them, and two outputs")]
    pub(super) fn stable_masks(
        &self,
        cx: &Cx,
        features: &Features<'_>,
        stability: Stability,
        least_iou: Option<f32>,
        masks: &mut [f32],
        iou: &mut [f32],
        mut scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
    ) {
        let (mask_len, channels) = (masks.len() / features.prompts, self.upscaler.outputs());
        let both = scratch.take(2 * mask_len);
        let weights = scratch.take(2 * channels);
        for (prompt, (mask, iou)) in masks.chunks_exact_mut(mask_len).zip(iou).enumerate() {
            let features = features.of(prompt, prompt + 1);
            let best = highest(&features.quality[1..]) + 1;
            let candidates = [0, best];
            if !is_above(&candidates.map(|mask| features.quality[mask]), least_iou) {
                continue;
            }
            for (to, mask) in weights.chunks_exact_mut(channels).zip(candidates) {
                to.copy_from_slice(&features.weights[mask * channels..][..channels]);
            }
            self.products(cx, &Features { weights, ..features }, both, scratch.frame(), trace);
            let (single, several) = both.split_at(mask_len);
            if stability.holds(single) {
                mask.copy_from_slice(single);
            } else {
                mask.copy_from_slice(several);
                *iou = features.quality[best];
            }
        }
    }

    /// Scratch that either needs, in f32.
    pub(super) fn masks_scratch_len(&self, cx: &Cx, prompts: usize, options: &DecodeOptions) -> usize {
        let channels = self.upscaler.outputs();
        let products = |prompts: usize, masks: usize| {
            padded(prompts * packed_lhs_len(masks, channels))
                + self.upscaler.scratch_len(cx, self.panels, masks)
        };
        match options.stability {
            Some(_) if !options.multimask => {
                padded(2 * 16 * self.grid * self.grid) + padded(2 * channels) + products(1, 2)
            }
            _ => products(prompts, self.masks(options.multimask)),
        }
    }

    /// The products of the weights and the upscaled features, for all weights.
    fn products(
        &self,
        cx: &Cx,
        features: &Features<'_>,
        masks: &mut [f32],
        mut scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
    ) {
        let (prompts, channels) = (features.prompts, self.upscaler.outputs());
        let count = features.weights.len() / (prompts * channels);
        let packed_len = packed_lhs_len(count, channels);
        let packed = scratch.take(prompts * packed_len);
        let of_prompts = features.weights.chunks_exact(count * channels);
        for (packed, weights) in packed.chunks_exact_mut(packed_len).zip(of_prompts) {
            pack_lhs(cx.level(), &Rows::new(weights, count, channels), packed);
        }
        let Features { x, high_res, .. } = *features;
        let sizes = [prompts, count];
        self.upscaler.forward(cx, sizes, self.grid, x, packed, high_res, masks, scratch, trace);
    }
}

impl Stability {
    /// Whether the areas of `logits` above `delta` and above `-delta` are in a ratio of at least `threshold`. Nothing
    /// above either is stable.
    pub fn holds(&self, logits: &[f32]) -> bool {
        let area = |threshold: f32| logits.iter().filter(|&&logit| logit > threshold).count() as f32;
        let (inner, outer) = (area(self.delta), area(-self.delta));
        outer == 0.0 || inner / outer >= self.threshold
    }
}

/// Whether any value is above `least`, if there is such.
fn is_above(iou: &[f32], least: Option<f32>) -> bool {
    least.is_none_or(|least| iou.iter().any(|&iou| iou > least))
}

/// The place of the highest value, the first of equals.
fn highest(values: &[f32]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stability_is_a_ratio_of_areas() {
        let stability = Stability { delta: 0.5, threshold: 0.75 };
        assert!(stability.holds(&[-1.0, -2.0]), "nothing anywhere");
        assert!(stability.holds(&[1.0, 2.0, 3.0, 0.5, -1.0]));
        assert!(!stability.holds(&[1.0, 2.0, 0.5, 0.0, -1.0]));
        assert!(!stability.holds(&[0.0]));
    }
}
