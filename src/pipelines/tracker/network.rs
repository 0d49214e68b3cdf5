//! The model as a tracker uses it: a frame's features, what objects remember, and the memories of their masks.

mod decode;

pub(super) use decode::Asked;

use alloc::vec::Vec;

use super::TrackerOptions;
use super::bank::Output;
use super::overlap::suppress;
use super::selection::Rules;
use crate::error::{Result, err};
use crate::exec::{Monitor, padded, try_zeroed};
use crate::image::ImageView;
use crate::kernels::resize::upscale::Upscale;
use crate::models::sam2::{FrameMemory, Memory, ObjectMemory, Pointer, Sam2Model};
use crate::nn::Trace;
use crate::pipelines::sam::Sam;

/// What an object remembers for a frame.
#[derive(Debug)]
pub(super) struct Attended<'a> {
    /// Memories, with their rows of `maskmem_tpos_enc`.
    pub(super) memories: Vec<(&'a Output, usize)>,
    /// Pointers, with their temporal distances.
    pub(super) pointers: Vec<(&'a Output, f32)>,
}

/// Masks of objects on a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Masks<'a> {
    /// Logits, each `[mask_side, mask_side]`. No pixel belongs to more than one of these.
    pub(super) logits: &'a [&'a [f32]],
    /// The one in question.
    pub(super) wanted: usize,
}

/// What depends on a frame alone.
#[derive(Debug)]
pub(super) struct Shared {
    /// The first self-attention of the memory attention, `[grid², C]`.
    attended: Vec<f32>,
    /// The larger maps, as the decoder adds them.
    high_res: Vec<f32>,
}

/// A SAM 2 with memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network<'a> {
    sam: &'a Sam,
    model: &'a Sam2Model,
    memory: &'a Memory,
}

impl<'a> Network<'a> {
    /// The network of `sam`.
    ///
    /// # Errors
    /// `Unsupported` if it cannot track.
    pub(super) fn of(sam: &'a Sam) -> Result<Self> {
        let model = sam.sam2().ok_or_else(|| err!(Unsupported, "the model is no SAM 2 and cannot track"))?;
        let memory = model.memory.as_ref();
        let memory =
            memory.ok_or_else(|| err!(Unsupported, "the checkpoint has no memory and cannot track"))?;
        Ok(Self { sam, model, memory })
    }

    /// How frames attend to others.
    pub(super) fn rules(&self, options: &TrackerOptions) -> Rules {
        let tracking = &self.model.config.tracking;
        let memory = self.model.config.memory.as_ref();
        Rules {
            memories: memory.map_or(0, |memory| memory.count) as u64,
            stride: tracking.memory_stride as u64,
            conditioning: tracking.max_prompted_frames,
            pointers: tracking.max_pointers as u64,
            only_past_pointers: tracking.past_pointers_only,
            signed_distances: memory
                .and_then(|memory| memory.pointer_times)
                .is_some_and(|times| times.signed),
            frames: options.num_frames,
        }
    }

    /// Side of the decoder's masks.
    pub(super) fn mask_side(&self) -> usize {
        self.model.config.mask_side()
    }

    /// Side of the input.
    pub(super) fn image_size(&self) -> usize {
        self.model.config.image_size
    }

    /// Elements of an output's memory, pointer and mask.
    pub(super) fn output_lens(&self) -> [usize; 3] {
        let grid = self.model.config.grid();
        [grid * grid * self.memory.encoder.dim(), self.model.config.dim, self.mask_side() * self.mask_side()]
    }

    /// Bytes of the same.
    pub(super) fn output_bytes(&self) -> [usize; 3] {
        let [memory, pointer, mask] = self.output_lens();
        [memory * size_of::<u16>(), pointer * size_of::<f32>(), mask * size_of::<f32>()]
    }

    /// f32 of a frame's features.
    pub(super) fn features_len(&self) -> usize {
        self.model.image_encoder.features_len()
    }

    /// The image encoder's output for a frame.
    ///
    /// # Errors
    /// `Image`, `OutOfMemory`, `Cancelled`.
    pub(super) fn encode(&self, image: &ImageView<'_>, monitor: &Monitor<'_>) -> Result<Vec<f32>> {
        let (cx, encoder) = (self.sam.cx(), &self.model.image_encoder);
        let mut features = try_zeroed(self.features_len())?;
        let pixels = 3 * self.image_size() * self.image_size();
        let mut input = cx.workspace(padded(pixels));
        let mut workspace = cx.workspace(encoder.scratch_len(cx));
        cx.enter(|| {
            let input = input.scratch().take(pixels);
            self.sam.video_preprocess().run(cx, image, input)?;
            encoder.forward(cx, input, &mut features, workspace.scratch(), Trace::off(), monitor)
        })?;
        Ok(features)
    }

    /// What all objects have in common on a frame of these features.
    ///
    /// # Errors
    /// `OutOfMemory`, `Cancelled`.
    pub(super) fn share(&self, features: &[f32], monitor: &Monitor<'_>) -> Result<Shared> {
        let (cx, attention) = (self.sam.cx(), &self.memory.attention);
        let mut attended = try_zeroed(attention.frame_len())?;
        let mut workspace = cx.workspace(attention.scratch_len(cx, [0, 0]));
        let top = self.model.image_encoder.layout().split(features).top;
        attention.shared(cx, top, &mut attended, workspace.scratch(), monitor)?;
        Ok(Shared { attended, high_res: self.high_res(features)? })
    }

    /// The larger maps as the decoder adds them.
    fn high_res(&self, features: &[f32]) -> Result<Vec<f32>> {
        let decoder = &self.model.mask_decoder;
        let mut packed = try_zeroed(decoder.high_res_len())?;
        let features = self.model.image_encoder.layout().split(features);
        decoder.pack_high_res(self.sam.cx(), [features.s1, features.s0], &mut packed);
        Ok(packed)
    }

    /// A frame's features as objects with these memories see them: `out: [objects, grid², C]`.
    fn condition(
        &self,
        shared: &[f32],
        objects: &[Attended<'_>],
        out: &mut [f32],
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let (cx, attention) = (self.sam.cx(), &self.memory.attention);
        let spatial: Vec<Vec<FrameMemory<'_>>> = objects.iter().map(Attended::spatial).collect();
        let pointers: Vec<Vec<Pointer<'_>>> = objects.iter().map(Attended::pointers).collect();
        let memories: Vec<ObjectMemory<'_>> = spatial
            .iter()
            .zip(&pointers)
            .map(|(spatial, pointers)| ObjectMemory { spatial, pointers })
            .collect();
        let most = |lists: &mut dyn Iterator<Item = usize>| lists.fold(0, usize::max);
        let counts = [most(&mut spatial.iter().map(Vec::len)), most(&mut pointers.iter().map(Vec::len))];
        let mut workspace = cx.workspace(attention.scratch_len(cx, counts));
        attention.forward(cx, shared, &memories, out, workspace.scratch(), &mut Trace::off(), monitor)
    }

    /// The memory of a mask on a frame.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn remember(
        &self,
        features: &[f32],
        masks: Masks<'_>,
        binarize: bool,
        appears: bool,
    ) -> Result<Vec<u16>> {
        let (cx, encoder) = (self.sam.cx(), &self.memory.encoder);
        let (side, size) = (self.mask_side(), self.image_size());
        let upscale = Upscale::new(side, side, (side, side), (size, size))?;
        let overlaps = masks.logits.len() > 1;
        let planes = if overlaps { 3 } else { 1 };
        let mut planes = cx.workspace(planes * padded(size * size));
        let mut planes = planes.scratch();
        let mask = planes.take(size * size);
        let mut workspace = cx.workspace(upscale.scratch_len(cx).max(encoder.scratch_len(cx)));
        upscale.logits(cx, masks.logits[masks.wanted], mask, workspace.scratch());
        if overlaps {
            let (own, rival) = (planes.take(size * size), planes.take(size * size));
            own.copy_from_slice(mask);
            for (i, logits) in masks.logits.iter().enumerate().filter(|&(i, _)| i != masks.wanted) {
                upscale.logits(cx, logits, rival, workspace.scratch());
                suppress(mask, own, rival, i < masks.wanted);
            }
        }
        let mut memory = try_zeroed(self.output_lens()[0])?;
        let top = self.model.image_encoder.layout().split(features).top;
        let (scratch, trace) = (workspace.scratch(), &mut Trace::off());
        encoder.forward(cx, top, mask, binarize, appears, &mut memory, scratch, trace);
        Ok(memory)
    }
}

impl<'a> Attended<'a> {
    fn spatial(&self) -> Vec<FrameMemory<'a>> {
        let memory = |&(output, time): &(&'a Output, usize)| FrameMemory { features: &output.memory, time };
        self.memories.iter().map(memory).collect()
    }

    fn pointers(&self) -> Vec<Pointer<'a>> {
        let pointer = |&(output, distance): &(&'a Output, f32)| Pointer { values: &output.pointer, distance };
        self.pointers.iter().map(pointer).collect()
    }
}
