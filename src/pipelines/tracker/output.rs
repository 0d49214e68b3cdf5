//! Masks to be had from a tracker, at the decoder's resolution and at the picture's.

use super::Tracker;
use super::bank::Output;
use super::overlap::suppress;
use crate::error::{Result, err};
use crate::exec::padded;
use crate::pipelines::mask::{BitMask, Rle};

impl Tracker {
    /// Whether there is a mask of `object` on `frame`.
    pub fn has_mask(&self, object: u32, frame: u64) -> bool {
        self.result(object, Some(frame)).is_ok()
    }

    /// Logits of the mask of `object` on `frame`, `[mask_side, mask_side]`, over the whole picture; the current frame
    /// for `None`. Small holes are filled. −1024 everywhere if the object is not visible.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such object, or no mask of it on the frame.
    pub fn low_res(&self, object: u32, frame: Option<u64>) -> Result<&[f32]> {
        Ok(&self.result(object, frame)?.mask)
    }

    /// Logits per side of [`low_res`](Self::low_res).
    pub fn mask_side(&self) -> usize {
        self.upscale.side()
    }

    /// Logit of the probability that `object` is visible on `frame`: above 0 if it is more likely than not.
    ///
    /// # Errors
    /// As [`low_res`](Self::low_res).
    pub fn object_score(&self, object: u32, frame: Option<u64>) -> Result<f32> {
        Ok(self.result(object, frame)?.object_score)
    }

    /// The IoU of mask and object that the model predicts; 1 if the mask was given as a prompt.
    ///
    /// # Errors
    /// As [`low_res`](Self::low_res).
    pub fn iou(&self, object: u32, frame: Option<u64>) -> Result<f32> {
        Ok(self.result(object, frame)?.iou)
    }

    /// Logits for every pixel of the picture: `out: [height, width]`.
    ///
    /// # Errors
    /// As [`low_res`](Self::low_res); `BufferTooSmall`.
    pub fn logits_into(&self, object: u32, frame: Option<u64>, out: &mut [f32]) -> Result<()> {
        let logits = self.result(object, frame)?;
        let out = self.pixels(out)?;
        self.upscale_into(&logits.mask, out);
        if self.options.non_overlap_output {
            self.exclude(object, logits.frame, out);
        }
        Ok(())
    }

    /// 1 for every pixel of the picture whose logit is above `threshold` (0 in the reference), otherwise 0:
    /// `out: [height, width]`.
    ///
    /// # Errors
    /// As [`logits_into`](Self::logits_into); `InvalidArgument` if the threshold is NaN.
    pub fn mask_into(&self, object: u32, frame: Option<u64>, threshold: f32, out: &mut [u8]) -> Result<()> {
        let logits = self.result(object, frame)?;
        check_threshold(threshold)?;
        let out = self.pixels(out)?;
        let cx = self.sam.cx();
        if self.options.non_overlap_output {
            let mut workspace = cx.workspace(padded(out.len()));
            let pixels = workspace.scratch().take(out.len());
            self.upscale_into(&logits.mask, pixels);
            self.exclude(object, logits.frame, pixels);
            out.iter_mut().zip(pixels).for_each(|(out, logit)| *out = u8::from(*logit > threshold));
        } else {
            let mut workspace = cx.workspace(self.upscale.scratch_len(cx));
            self.upscale.mask(cx, &logits.mask, threshold, out, workspace.scratch());
        }
        Ok(())
    }

    /// The mask as run lengths, from which its area, box, outlines and COCO string are to be had.
    ///
    /// # Errors
    /// As [`mask_into`](Self::mask_into); `OutOfMemory`.
    pub fn rle(&self, object: u32, frame: Option<u64>, threshold: f32) -> Result<Rle> {
        let logits = self.result(object, frame)?;
        check_threshold(threshold)?;
        let [height, width] = self.size();
        if self.options.non_overlap_output {
            let mut mask = crate::exec::try_zeroed(height * width)?;
            self.mask_into(object, frame, threshold, &mut mask)?;
            return Ok(BitMask::from_mask(&mask, width, height)?.to_rle());
        }
        let mut bits = BitMask::new(width, height)?;
        let cx = self.sam.cx();
        let mut workspace = cx.workspace(self.upscale.scratch_len(cx));
        self.upscale.bits(cx, &logits.mask, [threshold], bits.words_mut(), workspace.scratch());
        Ok(bits.to_rle())
    }

    /// The latest output of `object` on `frame`.
    fn result(&self, object: u32, frame: Option<u64>) -> Result<&Output> {
        let place = self.find(object)?;
        let frame =
            frame.or(self.frame()).ok_or_else(|| err!(InvalidArgument, "no frame has been pushed"))?;
        let output = self.objects[place].output(frame).filter(|output| !output.mask.is_empty());
        output.ok_or_else(|| err!(InvalidArgument, "there is no mask of object {object} on frame {frame}"))
    }

    /// As many of `out` as the picture has pixels.
    fn pixels<'a, T>(&self, out: &'a mut [T]) -> Result<&'a mut [T]> {
        let [height, width] = self.size();
        let (len, needed) = (out.len(), width * height);
        out.get_mut(..needed).ok_or_else(|| err!(BufferTooSmall, "output of {len} pixels, {needed} needed"))
    }

    fn upscale_into(&self, logits: &[f32], out: &mut [f32]) {
        let cx = self.sam.cx();
        let mut workspace = cx.workspace(self.upscale.scratch_len(cx));
        self.upscale.logits(cx, logits, out, workspace.scratch());
    }

    /// Takes the pixels of others from `out`, the logits of an object on a frame.
    fn exclude(&self, object: u32, frame: u64, out: &mut [f32]) {
        let cx = self.sam.cx();
        let mut workspace = cx.workspace(2 * padded(out.len()));
        let mut scratch = workspace.scratch();
        let (own, other) = (scratch.take(out.len()), scratch.take(out.len()));
        own.copy_from_slice(out);
        let place = self.ids.iter().position(|&id| id == object);
        for (i, rival) in self.objects.iter().enumerate().filter(|&(i, _)| Some(i) != place) {
            let Some(rival) = rival.output(frame).filter(|rival| !rival.mask.is_empty()) else { continue };
            self.upscale_into(&rival.mask, other);
            suppress(out, own, other, Some(i) < place);
        }
    }
}

fn check_threshold(threshold: f32) -> Result<()> {
    match threshold.is_nan() {
        true => Err(err!(InvalidArgument, "mask threshold is not a number")),
        false => Ok(()),
    }
}
