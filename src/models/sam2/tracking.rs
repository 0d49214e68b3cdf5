//! An object on one frame of a video: the frame's features conditioned on the object's memories, its mask and pointer,
//! and the memory of that mask (`track_step` of `SAM2Base`).
//!
//! Nothing is kept here from frame to frame. Which memories a frame attends to, and what becomes of a result, is the
//! tracker's to decide.

mod decode;

pub use decode::{DecoderPrompt, ObjectPrediction};

use alloc::vec::Vec;

use super::overlap::suppress;
use super::{FrameFeatures, Memory, ObjectMemory, Sam2Model};
use crate::error::Result;
use crate::exec::{Cx, Monitor, ScratchReq, try_zeroed};
use crate::kernels::finite;
use crate::kernels::resize::upscale::Upscale;
use crate::nn::Trace;

/// The share of the work on a frame that attention to memories is, for progress reports.
pub const ATTENTION_SHARE: f32 = 0.9;

/// A SAM 2 that has a memory.
#[derive(Clone, Copy, Debug)]
pub struct Tracking<'a> {
    sam2: &'a Sam2Model,
    memory: &'a Memory,
}

/// What all objects on a frame share.
#[derive(Debug)]
pub struct SharedFrame {
    /// The first self-attention of the memory attention, `[grid², C]`.
    attended: Vec<f32>,
    /// The high-resolution features, packed for the decoder.
    high_res: Vec<f32>,
}

/// Masks of objects on a frame, one of which is to be remembered.
#[derive(Clone, Copy, Debug)]
pub struct FrameMasks<'a> {
    /// Logits of each object, `[mask_side, mask_side]`. A pixel goes to the object with the highest logit.
    pub logits: &'a [&'a [f32]],
    /// The index of the mask to be remembered.
    pub wanted: usize,
}

impl Sam2Model {
    /// The model as a tracker uses it; `None` if the checkpoint has no memory.
    pub fn tracking(&self) -> Option<Tracking<'_>> {
        Some(Tracking { sam2: self, memory: self.memory.as_ref()? })
    }
}

impl<'a> Tracking<'a> {
    /// The whole model.
    pub fn sam2(&self) -> &'a Sam2Model {
        self.sam2
    }

    /// Lengths of the memory, the pointer and the mask of an object on a frame.
    pub fn object_lens(&self) -> [usize; 3] {
        let (grid, side) = (self.sam2.config.grid(), self.sam2.config.mask_side());
        [grid * grid * self.memory.encoder.dim(), self.sam2.config.dim, side * side]
    }

    /// What all objects share on a frame of these features.
    ///
    /// # Errors
    /// `OutOfMemory`, `Limit`, `Cancelled`.
    pub fn share(&self, cx: &Cx, features: &FrameFeatures, monitor: &Monitor<'_>) -> Result<SharedFrame> {
        let attention = &self.memory.attention;
        let mut attended = try_zeroed(attention.frame_len())?;
        let mut workspace = cx.workspace(attention.scratch_req(cx, [0, 0]))?;
        attention.shared(cx, &features.top, &mut attended, workspace.scratch(), monitor)?;
        Ok(SharedFrame { attended, high_res: self.pack_high_res(cx, features)? })
    }

    /// The high-resolution features, packed for the decoder.
    fn pack_high_res(&self, cx: &Cx, features: &FrameFeatures) -> Result<Vec<f32>> {
        let decoder = &self.sam2.mask_decoder;
        let mut packed = try_zeroed(decoder.high_res_len())?;
        decoder.pack_high_res(cx, features.high_res(), &mut packed);
        Ok(packed)
    }

    /// `out: [objects, grid², C]` ← the frame's features, conditioned on the memories of each object
    /// (`_prepare_memory_conditioned_features`).
    fn condition(
        &self,
        cx: &Cx,
        frame: &SharedFrame,
        objects: &[ObjectMemory<'_>],
        out: &mut [f32],
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let attention = &self.memory.attention;
        let reqs = objects.iter().map(|object| attention.scratch_req(cx, object.counts()));
        let mut workspace = cx.workspace(ScratchReq::any(reqs))?;
        let (scratch, trace) = (workspace.scratch(), &mut Trace::of(cx));
        attention.forward(cx, &frame.attended, objects, out, scratch, trace, monitor)
    }

    /// The memory of an object's mask on a frame, bfloat16, `[grid², D]` (`_encode_new_memory`). With `binarize`, the
    /// mask is remembered as black and white. `is_present` says whether the object can be seen.
    ///
    /// # Errors
    /// `OutOfMemory`, `Limit`, `NonFinite`.
    pub fn encode_memory(
        &self,
        cx: &Cx,
        features: &FrameFeatures,
        masks: FrameMasks<'_>,
        binarize: bool,
        is_present: bool,
    ) -> Result<Vec<u16>> {
        let (encoder, config) = (&self.memory.encoder, &self.sam2.config);
        let (side, size) = (config.mask_side(), config.image_size);
        let upscale = Upscale::new(side, side, (side, side), (size, size))?;
        let overlaps = masks.logits.len() > 1;
        // The mask, and, where others may take from it, its own logits and a rival's.
        let lens = if overlaps { [size * size; 3] } else { [size * size, 0, 0] };
        let mut planes = cx.workspace(ScratchReq::slices(lens))?;
        let [mask, own, rival] = planes.scratch().take_all(lens);
        let mut workspace = cx.workspace(upscale.scratch_req(cx).or(encoder.scratch_req(cx)))?;
        upscale.logits(cx, masks.logits[masks.wanted], mask, workspace.scratch());
        if overlaps {
            own.copy_from_slice(mask);
            for (i, logits) in masks.logits.iter().enumerate().filter(|&(i, _)| i != masks.wanted) {
                upscale.logits(cx, logits, rival, workspace.scratch());
                suppress(mask, own, rival, i < masks.wanted);
            }
        }
        let mut memory = try_zeroed(self.object_lens()[0])?;
        let (scratch, trace) = (workspace.scratch(), &mut Trace::of(cx));
        encoder.forward(cx, &features.top, mask, binarize, is_present, &mut memory, scratch, trace);
        finite::check_bf16(cx, &memory, "the memory of an object")?;
        Ok(memory)
    }
}
