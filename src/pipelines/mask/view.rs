//! Reading a mask: from the decoder's logits to pixels of the picture.

use alloc::vec::Vec;

use super::{BitMask, Rle, stability_score};
use crate::error::{Result, err};
use crate::exec::{Cx, ScratchReq, try_zeroed};
use crate::kernels::resize::upscale::Upscale;
use crate::models::sam2::overlap::suppress;

/// A predicted mask, to be read at the picture's size.
#[derive(Clone, Debug)]
pub struct MaskView<'a> {
    cx: &'a Cx,
    upscale: &'a Upscale,
    logits: &'a [f32],
    rivals: Vec<Rival<'a>>,
}

/// The mask of another object that takes the pixels where its logit is higher.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipelines) struct Rival<'a> {
    /// Logits of the decoder.
    pub(in crate::pipelines) logits: &'a [f32],
    /// Whether the other object also takes the pixels of equal logits.
    pub(in crate::pipelines) is_earlier: bool,
}

impl<'a> MaskView<'a> {
    /// The mask of the decoder's `logits`. Pixels of `rivals` are taken from it.
    pub(in crate::pipelines) fn new(
        cx: &'a Cx,
        upscale: &'a Upscale,
        logits: &'a [f32],
        rivals: Vec<Rival<'a>>,
    ) -> Self {
        Self { cx, upscale, logits, rivals }
    }

    /// Width and height of the picture, in pixels.
    pub fn size(&self) -> (usize, usize) {
        let (height, width) = self.upscale.size();
        (width, height)
    }

    /// Logits for every pixel of the picture: `out: [height, width]`.
    ///
    /// # Errors
    /// `BufferTooSmall`, `Limit`, `OutOfMemory`.
    pub fn logits_into(&self, out: &mut [f32]) -> Result<()> {
        let out = self.pixels(out)?;
        self.upscale(self.logits, out)?;
        if !self.rivals.is_empty() {
            self.exclude(out)?;
        }
        Ok(())
    }

    /// 1 for every pixel of the picture whose logit is above `threshold` (0 in the reference), otherwise 0:
    /// `out: [height, width]`.
    ///
    /// # Errors
    /// `InvalidArgument` if the threshold is NaN, `BufferTooSmall`, `Limit`, `OutOfMemory`.
    pub fn mask_into(&self, threshold: f32, out: &mut [u8]) -> Result<()> {
        let out = self.pixels(out)?;
        check_threshold(threshold)?;
        if self.rivals.is_empty() {
            let mut workspace = self.cx.workspace(self.upscale.scratch_req(self.cx))?;
            self.upscale.mask(self.cx, self.logits, threshold, out, workspace.scratch());
            return Ok(());
        }
        let mut workspace = self.cx.workspace(ScratchReq::slice(out.len()))?;
        let logits = workspace.scratch().take(out.len());
        self.logits_into(logits)?;
        out.iter_mut().zip(logits).for_each(|(out, logit)| *out = u8::from(*logit > threshold));
        Ok(())
    }

    /// The mask as run lengths, from which its area, box, outlines and COCO string are to be had.
    ///
    /// # Errors
    /// `InvalidArgument` if the threshold is NaN, `Limit`, `OutOfMemory`.
    pub fn rle(&self, threshold: f32) -> Result<Rle> {
        if self.rivals.is_empty() {
            return self.bits([threshold])?.0.to_rle();
        }
        let (width, height) = self.size();
        let mut mask = try_zeroed(height * width)?;
        self.mask_into(threshold, &mut mask)?;
        BitMask::from_mask(&mask, width, height)?.to_rle()
    }

    /// How little the mask depends on its threshold: the IoU of the masks at `threshold ± offset` (1 in the
    /// reference), whatever other objects take from it.
    ///
    /// # Errors
    /// As [`rle`](Self::rle).
    pub fn stability(&self, threshold: f32, offset: f32) -> Result<f32> {
        let (_, [higher, lower]) = self.bits([threshold + offset, threshold - offset])?;
        Ok(stability_score(higher, lower))
    }

    /// The pixels above `thresholds[0]`, and how many are above each.
    fn bits<const N: usize>(&self, thresholds: [f32; N]) -> Result<(BitMask, [u32; N])> {
        thresholds.into_iter().try_for_each(check_threshold)?;
        let (width, height) = self.size();
        let mut bits = BitMask::new(width, height)?;
        let mut workspace = self.cx.workspace(self.upscale.scratch_req(self.cx))?;
        let counts =
            self.upscale.bits(self.cx, self.logits, thresholds, bits.words_mut(), workspace.scratch());
        Ok((bits, counts))
    }

    /// Takes the pixels of rivals from `out`, the logits of the mask.
    fn exclude(&self, out: &mut [f32]) -> Result<()> {
        let lens = [out.len(); 2];
        let mut workspace = self.cx.workspace(ScratchReq::slices(lens))?;
        let [own, other] = workspace.scratch().take_all(lens);
        own.copy_from_slice(out);
        for rival in &self.rivals {
            self.upscale(rival.logits, other)?;
            suppress(out, own, other, rival.is_earlier);
        }
        Ok(())
    }

    fn upscale(&self, logits: &[f32], out: &mut [f32]) -> Result<()> {
        let mut workspace = self.cx.workspace(self.upscale.scratch_req(self.cx))?;
        self.upscale.logits(self.cx, logits, out, workspace.scratch());
        Ok(())
    }

    /// As many of `out` as the picture has pixels.
    fn pixels<'o, T>(&self, out: &'o mut [T]) -> Result<&'o mut [T]> {
        let (width, height) = self.size();
        let (len, needed) = (out.len(), width * height);
        out.get_mut(..needed).ok_or_else(|| err!(BufferTooSmall, "output of {len} pixels, {needed} needed"))
    }
}

fn check_threshold(threshold: f32) -> Result<()> {
    match threshold.is_nan() {
        true => Err(err!(InvalidArgument, "mask threshold is not a number")),
        false => Ok(()),
    }
}
