//! Masks to be had from a tracker, at the decoder's resolution and at the picture's.

use alloc::vec::Vec;

use super::Tracker;
use super::object_state::FrameResult;
use crate::error::{Result, err};
use crate::exec::TryCollect;
use crate::pipelines::mask::{MaskView, Rival, Rle};

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

    /// The mask of `object` on `frame`, to be read at the picture's size; the current frame for `None`.
    ///
    /// # Errors
    /// As [`low_res`](Self::low_res).
    pub fn view(&self, object: u32, frame: Option<u64>) -> Result<MaskView<'_>> {
        let result = self.result(object, frame)?;
        let rivals = match self.options.non_overlap_output {
            true => self.rivals(object, result.frame)?,
            false => Vec::new(),
        };
        Ok(MaskView::new(self.sam.cx(), &self.upscale, &result.mask, rivals))
    }

    /// [`MaskView::logits_into`] of an object's mask.
    ///
    /// # Errors
    /// As [`low_res`](Self::low_res); `BufferTooSmall`.
    pub fn logits_into(&self, object: u32, frame: Option<u64>, out: &mut [f32]) -> Result<()> {
        self.view(object, frame)?.logits_into(out)
    }

    /// [`MaskView::mask_into`] of an object's mask.
    ///
    /// # Errors
    /// As [`logits_into`](Self::logits_into); `InvalidArgument` if the threshold is NaN.
    pub fn mask_into(&self, object: u32, frame: Option<u64>, threshold: f32, out: &mut [u8]) -> Result<()> {
        self.view(object, frame)?.mask_into(threshold, out)
    }

    /// [`MaskView::rle`] of an object's mask.
    ///
    /// # Errors
    /// As [`mask_into`](Self::mask_into); `OutOfMemory`.
    pub fn rle(&self, object: u32, frame: Option<u64>, threshold: f32) -> Result<Rle> {
        self.view(object, frame)?.rle(threshold)
    }

    /// The latest result of `object` on `frame`.
    fn result(&self, object: u32, frame: Option<u64>) -> Result<&FrameResult> {
        let place = self.find(object)?;
        let frame =
            frame.or(self.frame()).ok_or_else(|| err!(InvalidArgument, "no frame has been pushed"))?;
        let result = self.objects[place].result(frame).filter(|result| !result.mask.is_empty());
        result.ok_or_else(|| err!(InvalidArgument, "there is no mask of object {object} on frame {frame}"))
    }

    /// The masks of all other objects on `frame`.
    fn rivals(&self, object: u32, frame: u64) -> Result<Vec<Rival<'_>>> {
        let place = self.ids.iter().position(|&id| id == object);
        let others = self.objects.iter().enumerate().filter(|&(i, _)| Some(i) != place);
        let rivals = others.filter_map(|(i, other)| {
            let result = other.result(frame).filter(|result| !result.mask.is_empty())?;
            Some(Rival { logits: &result.mask, is_earlier: Some(i) < place })
        });
        rivals.try_to_vec()
    }
}
