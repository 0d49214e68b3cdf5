//! What a prediction holds, and the masks to be had from it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::PredictOptions;
use super::embedding::Embedding;
use super::model::FED_BACK;
use crate::error::{Result, err};
use crate::exec::Cx;
use crate::kernels::resize::upscale::Upscale;
use crate::pipelines::mask::{BitMask, Rle, stability_score};

/// The masks of some prompts, at the decoder's resolution, with the IoU that the model expects of each.
///
/// Filled by [`Sam::predict`](super::Sam::predict). Use one again and again: its memory is reused.
#[derive(Clone, Debug, Default)]
pub struct Prediction {
    /// That of the model; `None` before the first prediction.
    cx: Option<Cx>,
    /// From the decoder's resolution to the picture's; `None` before the first prediction.
    upscale: Option<Arc<Upscale>>,
    prompts: usize,
    /// Masks of a prompt.
    masks: usize,
    /// Side of a low-resolution mask.
    side: usize,
    /// `[prompts, masks]`
    iou: Vec<f32>,
    /// `[prompts, masks, side, side]`
    low_res: Vec<f32>,
    /// The same as the picture sees them: without small regions, not clamped. Empty if there is no difference.
    shown: Vec<f32>,
}

impl Prediction {
    /// Prompts that were asked.
    pub fn prompts(&self) -> usize {
        self.prompts
    }

    /// Masks of each prompt: 3, or 1.
    pub fn masks(&self) -> usize {
        self.masks
    }

    /// Side of a low-resolution mask.
    pub fn mask_side(&self) -> usize {
        self.side
    }

    /// Width and height of the picture, and of full-resolution masks, in pixels; zeros before the first prediction.
    pub fn image_size(&self) -> (usize, usize) {
        let (height, width) = self.upscale.as_ref().map_or((0, 0), |upscale| upscale.size());
        (width, height)
    }

    /// The IoU with the object that the model expects of each mask of a prompt.
    ///
    /// # Panics
    /// If there is no such prompt.
    pub fn iou(&self, prompt: usize) -> &[f32] {
        assert!(prompt < self.prompts, "prompt {prompt} of {}", self.prompts);
        &self.iou[prompt * self.masks..][..self.masks]
    }

    /// The mask of a prompt with the highest expected IoU.
    ///
    /// # Panics
    /// If there is no such prompt.
    pub fn best(&self, prompt: usize) -> usize {
        let iou = self.iou(prompt);
        (1..iou.len()).fold(0, |best, mask| if iou[mask] > iou[best] { mask } else { best })
    }

    /// Logits of a mask of a prompt, `[mask_side, mask_side]`, over the whole input of the model: what a later prompt
    /// may feed back. Those of a SAM 2 are within ±32, as its reference clamps them, and have the holes and islands that
    /// masks of the picture's size do not have.
    ///
    /// # Panics
    /// If there is no such prompt or mask.
    pub fn low_res(&self, prompt: usize, mask: usize) -> &[f32] {
        self.part(&self.low_res, prompt, mask)
    }

    /// The logits from which masks of the picture's size are made.
    pub(super) fn shown(&self, prompt: usize, mask: usize) -> &[f32] {
        self.part(if self.shown.is_empty() { &self.low_res } else { &self.shown }, prompt, mask)
    }

    fn part<'a>(&self, logits: &'a [f32], prompt: usize, mask: usize) -> &'a [f32] {
        assert!(prompt < self.prompts && mask < self.masks, "mask {mask} of prompt {prompt}");
        let len = self.side * self.side;
        &logits[(prompt * self.masks + mask) * len..][..len]
    }

    /// Logits of a mask for every pixel of the picture: `out: [height, width]`.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such prompt or mask, `BufferTooSmall`.
    pub fn logits_into(&self, prompt: usize, mask: usize, out: &mut [f32]) -> Result<()> {
        let (cx, upscale, logits) = self.find(prompt, mask)?;
        let out = pixels(upscale, out)?;
        let mut workspace = cx.workspace(upscale.scratch_len(cx));
        upscale.logits(cx, logits, out, workspace.scratch());
        Ok(())
    }

    /// 1 for every pixel of the picture whose logit is above `threshold` (0 in the reference), otherwise 0:
    /// `out: [height, width]`.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such prompt or mask or the threshold is NaN, `BufferTooSmall`.
    pub fn mask_into(&self, prompt: usize, mask: usize, threshold: f32, out: &mut [u8]) -> Result<()> {
        let (cx, upscale, logits) = self.find(prompt, mask)?;
        let out = pixels(upscale, out)?;
        check_threshold(threshold)?;
        let mut workspace = cx.workspace(upscale.scratch_len(cx));
        upscale.mask(cx, logits, threshold, out, workspace.scratch());
        Ok(())
    }

    /// The mask as run lengths, from which its area, box, outlines and COCO string are to be had.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such prompt or mask or the threshold is NaN, `OutOfMemory`.
    pub fn rle(&self, prompt: usize, mask: usize, threshold: f32) -> Result<Rle> {
        Ok(self.bits(prompt, mask, [threshold])?.0.to_rle())
    }

    /// The stability score: the IoU of the masks at `threshold + offset` and `threshold - offset`; the reference's offset
    /// is 1.
    ///
    /// # Errors
    /// As [`rle`](Self::rle).
    pub fn stability(&self, prompt: usize, mask: usize, threshold: f32, offset: f32) -> Result<f32> {
        let (_, [higher, lower]) = self.bits(prompt, mask, [threshold + offset, threshold - offset])?;
        Ok(stability_score(higher, lower))
    }

    /// The pixels above `thresholds[0]`, and how many are above each.
    fn bits<const N: usize>(
        &self,
        prompt: usize,
        mask: usize,
        thresholds: [f32; N],
    ) -> Result<(BitMask, [u32; N])> {
        let (cx, upscale, logits) = self.find(prompt, mask)?;
        thresholds.into_iter().try_for_each(check_threshold)?;
        let (height, width) = upscale.size();
        let mut bits = BitMask::new(width, height)?;
        let mut workspace = cx.workspace(upscale.scratch_len(cx));
        let counts = upscale.bits(cx, logits, thresholds, bits.words_mut(), workspace.scratch());
        Ok((bits, counts))
    }

    fn find(&self, prompt: usize, mask: usize) -> Result<(&Cx, &Upscale, &[f32])> {
        match self.cx.as_ref().zip(self.upscale.as_ref()) {
            Some((cx, upscale)) if prompt < self.prompts && mask < self.masks => {
                Ok((cx, upscale, self.shown(prompt, mask)))
            }
            _ => Err(err!(
                InvalidArgument,
                "mask {mask} of prompt {prompt}: there are {} of {} prompts",
                self.masks,
                self.prompts
            )),
        }
    }

    /// Makes room for masks of `embedding`'s picture: `[prompts, masks]` IoU values and
    /// `[prompts, masks, side, side]` logits.
    pub(super) fn prepare(
        &mut self,
        cx: &Cx,
        embedding: &Embedding,
        [prompts, masks, side]: [usize; 3],
    ) -> Result<(&mut [f32], &mut [f32])> {
        // Until the new masks are there, there are none.
        self.prompts = 0;
        resize(&mut self.iou, prompts.checked_mul(masks))?;
        resize(&mut self.low_res, prompts.checked_mul(masks * side * side))?;
        self.shown.clear();
        self.cx = Some(cx.clone());
        self.upscale = Some(embedding.upscale.clone());
        (self.masks, self.side) = (masks, side);
        Ok((&mut self.iou, &mut self.low_res))
    }

    /// Says that the masks of `prompts` prompts are there, as logits that are fed back and as logits that are shown.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn finish(&mut self, prompts: usize, options: &PredictOptions, clamps: bool) -> Result<()> {
        if clamps || options.cleans() {
            resize(&mut self.shown, Some(self.low_res.len()))?;
            self.shown.copy_from_slice(&self.low_res);
            self.shown
                .chunks_exact_mut(self.side * self.side)
                .for_each(|mask| options.clean(mask, self.side));
        }
        if clamps {
            self.low_res
                .iter_mut()
                .for_each(|logit| *logit = logit.clamp(*FED_BACK.start(), *FED_BACK.end()));
        }
        self.prompts = prompts;
        Ok(())
    }

    /// The same of masks that are shown only: [`low_res`](Self::low_res) is theirs. Masks that are not made are left as
    /// they are.
    pub(super) fn finish_shown(&mut self, prompts: usize, options: &PredictOptions, least_iou: Option<f32>) {
        if options.cleans() {
            let masks = self.low_res.chunks_exact_mut(self.side * self.side).zip(&self.iou);
            let made = masks.filter(|(_, iou)| least_iou.is_none_or(|least| **iou > least));
            made.for_each(|(mask, _)| options.clean(mask, self.side));
        }
        self.prompts = prompts;
    }
}

/// As many of `out` as the picture has pixels.
fn pixels<'a, T>(upscale: &Upscale, out: &'a mut [T]) -> Result<&'a mut [T]> {
    let (height, width) = upscale.size();
    let (len, needed) = (out.len(), width * height);
    out.get_mut(..needed).ok_or_else(|| err!(BufferTooSmall, "output of {len} pixels, {needed} needed"))
}

fn check_threshold(threshold: f32) -> Result<()> {
    match threshold.is_nan() {
        true => Err(err!(InvalidArgument, "mask threshold is not a number")),
        false => Ok(()),
    }
}

/// Changes the length of `values`, or says that there is no memory for it.
fn resize(values: &mut Vec<f32>, len: Option<usize>) -> Result<()> {
    let more = len.map(|len| len.saturating_sub(values.len()));
    let reserved = more.is_some_and(|more| values.try_reserve_exact(more).is_ok());
    match len {
        Some(len) if reserved => values.resize(len, 0.0),
        _ => return Err(err!(OutOfMemory, "no memory for the masks of so many prompts")),
    }
    Ok(())
}
