//! What a prediction holds, and the masks to be had from it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::PredictOptions;
use super::embedding::Embedding;
use crate::error::{Result, err};
use crate::exec::Cx;
use crate::kernels::resize::upscale::Upscale;
use crate::models::sam::mask_decoder::highest;
use crate::pipelines::mask::{MaskView, Rle, clamp_prompt};

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

    /// The mask of a prompt with the highest expected IoU, of which NaN is the lowest.
    ///
    /// # Panics
    /// If there is no such prompt.
    pub fn best(&self, prompt: usize) -> usize {
        highest(self.iou(prompt))
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

    /// A mask of a prompt, to be read at the picture's size.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such prompt or mask.
    pub fn view(&self, prompt: usize, mask: usize) -> Result<MaskView<'_>> {
        match self.cx.as_ref().zip(self.upscale.as_ref()) {
            Some((cx, upscale)) if prompt < self.prompts && mask < self.masks => {
                Ok(MaskView::new(cx, upscale, self.shown(prompt, mask), Vec::new()))
            }
            _ => Err(err!(
                InvalidArgument,
                "mask {mask} of prompt {prompt}: there are {} of {} prompts",
                self.masks,
                self.prompts
            )),
        }
    }

    /// [`MaskView::logits_into`] of a mask of a prompt.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such prompt or mask, `BufferTooSmall`.
    pub fn logits_into(&self, prompt: usize, mask: usize, out: &mut [f32]) -> Result<()> {
        self.view(prompt, mask)?.logits_into(out)
    }

    /// [`MaskView::mask_into`] of a mask of a prompt.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such prompt or mask or the threshold is NaN, `BufferTooSmall`.
    pub fn mask_into(&self, prompt: usize, mask: usize, threshold: f32, out: &mut [u8]) -> Result<()> {
        self.view(prompt, mask)?.mask_into(threshold, out)
    }

    /// [`MaskView::rle`] of a mask of a prompt.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such prompt or mask or the threshold is NaN, `OutOfMemory`.
    pub fn rle(&self, prompt: usize, mask: usize, threshold: f32) -> Result<Rle> {
        self.view(prompt, mask)?.rle(threshold)
    }

    /// [`MaskView::stability`] of a mask of a prompt.
    ///
    /// # Errors
    /// As [`rle`](Self::rle).
    pub fn stability(&self, prompt: usize, mask: usize, threshold: f32, offset: f32) -> Result<f32> {
        self.view(prompt, mask)?.stability(threshold, offset)
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

    /// Finishes the masks of `prompts` prompts: cleans the logits that are shown, clamps those that are fed back.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn finish(&mut self, prompts: usize, options: &PredictOptions, clamps: bool) -> Result<()> {
        if clamps || options.cleans() {
            resize(&mut self.shown, Some(self.low_res.len()))?;
            self.shown.copy_from_slice(&self.low_res);
            self.shown
                .chunks_exact_mut(self.side * self.side)
                .try_for_each(|mask| options.clean(mask, self.side))?;
        }
        if clamps {
            clamp_prompt(&mut self.low_res);
        }
        self.prompts = prompts;
        Ok(())
    }

    /// Finishes masks that are never fed back: [`low_res`](Self::low_res) are the logits that are shown. Masks with an
    /// expected IoU up to `least_iou` were not computed.
    pub(super) fn finish_shown(
        &mut self,
        prompts: usize,
        options: &PredictOptions,
        least_iou: Option<f32>,
    ) -> Result<()> {
        if options.cleans() {
            let masks = self.low_res.chunks_exact_mut(self.side * self.side).zip(&self.iou);
            let mut made = masks.filter(|(_, iou)| least_iou.is_none_or(|least| **iou > least));
            made.try_for_each(|(mask, _)| options.clean(mask, self.side))?;
        }
        self.prompts = prompts;
        Ok(())
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
