//! From image features and mask weights to masks: all masks of a prompt, or its one stable mask.

use super::{DecodeOptions, MaskDecoder};
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::feature_panels::{pack_lhs, packed_lhs_len};
use crate::kernels::gemm::Rows;
use crate::kernels::mask_decoder::UpscaleInputs;
use crate::models::sam::config::Stability;
use crate::nn::Trace;

/// What the masks of some prompts are made of.
#[derive(Clone, Copy)]
pub(super) struct MaskInputs<'a> {
    pub(super) prompts: usize,
    /// The image features of every prompt, in panels.
    pub(super) features: &'a [f32],
    /// The packed maps of higher resolution (SAM 2).
    pub(super) high_res: Option<&'a [f32]>,
    /// The weights of the masks to be made, `[prompts, masks, C / 8]`.
    pub(super) weights: &'a [f32],
    /// The predicted IoU of every mask of the model, `[prompts, 1 + multimask outputs]`.
    pub(super) quality: &'a [f32],
    /// As in [`DecodeOptions::least_iou`].
    pub(super) least_iou: Option<f32>,
}

impl MaskInputs<'_> {
    /// The inputs of the prompts `from..to`.
    fn part(&self, from: usize, to: usize) -> Self {
        let part = |values: &[f32]| from * values.len() / self.prompts..to * values.len() / self.prompts;
        Self {
            prompts: to - from,
            features: &self.features[part(self.features)],
            weights: &self.weights[part(self.weights)],
            quality: &self.quality[part(self.quality)],
            ..*self
        }
    }
}

impl MaskDecoder {
    /// Makes a mask of every weight. Prompts whose `iou: [prompts, masks]` is nowhere above `least_iou` are skipped.
    pub(super) fn all_masks(
        &self,
        cx: &Cx,
        inputs: &MaskInputs<'_>,
        iou: &[f32],
        masks: &mut [f32],
        mut scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
    ) {
        let prompts = inputs.prompts;
        let (count, masks_len) = (iou.len() / prompts, masks.len() / prompts);
        let is_wanted = |prompt: usize| is_above(&iou[prompt * count..][..count], inputs.least_iou);
        let mut start = 0;
        while let Some(from) = (start..prompts).find(|&prompt| is_wanted(prompt)) {
            let to = (from..prompts).find(|&prompt| !is_wanted(prompt)).unwrap_or(prompts);
            let masks = &mut masks[from * masks_len..to * masks_len];
            self.products(cx, &inputs.part(from, to), masks, scratch.frame(), trace);
            start = to;
        }
    }

    /// Makes one mask of each prompt: the first or, if that is not stable, the one of the others with the highest predicted
    /// IoU. `iou: [prompts]` enters as that of the first mask and leaves as that of the mask that was made. The IoU is known
    /// before there are masks, so that only two of them are made. Prompts are skipped as in
    /// [`all_masks`](Self::all_masks), by the IoU of these two.
    #[allow(clippy::too_many_arguments, reason = "inputs, how to choose among masks, and two outputs")]
    pub(super) fn stable_masks(
        &self,
        cx: &Cx,
        inputs: &MaskInputs<'_>,
        stability: Stability,
        masks: &mut [f32],
        iou: &mut [f32],
        mut scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
    ) {
        let (mask_len, channels) = (masks.len() / inputs.prompts, self.upscaler.outputs());
        let [both, weights] = scratch.take_all(self.stable_buffers(mask_len));
        for (prompt, (mask, iou)) in masks.chunks_exact_mut(mask_len).zip(iou).enumerate() {
            let inputs = inputs.part(prompt, prompt + 1);
            let best = highest(&inputs.quality[1..]) + 1;
            let candidates = [0, best];
            if !is_above(&candidates.map(|mask| inputs.quality[mask]), inputs.least_iou) {
                continue;
            }
            for (to, mask) in weights.chunks_exact_mut(channels).zip(candidates) {
                to.copy_from_slice(&inputs.weights[mask * channels..][..channels]);
            }
            self.products(cx, &MaskInputs { weights, ..inputs }, both, scratch.frame(), trace);
            let (single, several) = both.split_at(mask_len);
            if stability.holds(single) {
                mask.copy_from_slice(single);
            } else {
                mask.copy_from_slice(several);
                *iou = inputs.quality[best];
            }
        }
    }

    /// Scratch that [`all_masks`](Self::all_masks) or [`stable_masks`](Self::stable_masks) needs.
    pub(super) fn masks_scratch_req(&self, cx: &Cx, prompts: usize, options: &DecodeOptions) -> ScratchReq {
        match options.stability {
            Some(_) if !options.multimask => {
                let buffers = self.stable_buffers(16 * self.grid * self.grid);
                ScratchReq::slices(buffers).and(self.products_scratch_req(cx, [1, 2]))
            }
            _ => self.products_scratch_req(cx, [prompts, self.masks(options.multimask)]),
        }
    }

    /// Lengths of the two masks of which one is chosen, and of their weights.
    fn stable_buffers(&self, mask_len: usize) -> [usize; 2] {
        [2 * mask_len, 2 * self.upscaler.outputs()]
    }

    /// The products of all weights and the upscaled features.
    fn products(
        &self,
        cx: &Cx,
        inputs: &MaskInputs<'_>,
        masks: &mut [f32],
        mut scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
    ) {
        let (prompts, channels) = (inputs.prompts, self.upscaler.outputs());
        let count = inputs.weights.len() / (prompts * channels);
        let packed = scratch.take(self.packed_len([prompts, count]));
        let of_prompts = inputs.weights.chunks_exact(count * channels);
        for (packed, weights) in packed.chunks_exact_mut(packed_lhs_len(count, channels)).zip(of_prompts) {
            pack_lhs(cx.level(), &Rows::new(weights, count, channels), packed);
        }
        let inputs = UpscaleInputs {
            prompts,
            masks: count,
            grid: self.grid,
            features: inputs.features,
            mask_weights: packed,
            high_res: inputs.high_res,
        };
        self.upscaler.forward(cx, &inputs, masks, scratch, trace);
    }

    /// Scratch that [`products`](Self::products) needs for `[prompts, masks]`.
    fn products_scratch_req(&self, cx: &Cx, [prompts, masks]: [usize; 2]) -> ScratchReq {
        let upscale = self.upscaler.scratch_req(cx, self.panels, masks);
        ScratchReq::slice(self.packed_len([prompts, masks])).and(upscale)
    }

    /// Length of the packed weights of all masks.
    fn packed_len(&self, [prompts, masks]: [usize; 2]) -> usize {
        prompts * packed_lhs_len(masks, self.upscaler.outputs())
    }
}

impl Stability {
    /// Whether the areas of `logits` above `delta` and above `-delta` are in a ratio of at least `threshold`. A mask that
    /// is empty at both is stable.
    pub fn holds(&self, logits: &[f32]) -> bool {
        let area = |threshold: f32| logits.iter().filter(|&&logit| logit > threshold).count() as f32;
        let (inner, outer) = (area(self.delta), area(-self.delta));
        outer == 0.0 || inner / outer >= self.threshold
    }
}

/// Whether any value is above `least`; always if there is no `least`.
fn is_above(iou: &[f32], least: Option<f32>) -> bool {
    least.is_none_or(|least| iou.iter().any(|&iou| iou > least))
}

/// The index of the highest value, the first of equals. NaN is lower than all others.
pub(crate) fn highest(values: &[f32]) -> usize {
    let is_higher = |a: f32, b: f32| a > b || (b.is_nan() && !a.is_nan());
    (1..values.len()).fold(0, |best, i| if is_higher(values[i], values[best]) { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_never_the_highest() {
        const NAN: f32 = f32::NAN;
        for (values, expected) in [
            ([0.2, 0.5, 0.5], 1),
            ([NAN, 0.1, NAN], 1),
            ([0.1, NAN, f32::NEG_INFINITY], 0),
            ([NAN, NAN, f32::NEG_INFINITY], 2),
            ([NAN; 3], 0),
        ] {
            assert_eq!(highest(&values), expected, "{values:?}");
        }
    }

    #[test]
    fn stability_is_a_ratio_of_areas() {
        let stability = Stability { delta: 0.5, threshold: 0.75 };
        assert!(stability.holds(&[-1.0, -2.0]), "nothing anywhere");
        assert!(stability.holds(&[1.0, 2.0, 3.0, 0.5, -1.0]));
        assert!(!stability.holds(&[1.0, 2.0, 0.5, 0.0, -1.0]));
        assert!(!stability.holds(&[0.0]));
    }
}
