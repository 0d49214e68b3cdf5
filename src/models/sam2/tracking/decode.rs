//! From a frame's features to an object's mask and pointer (`_forward_sam_heads`, `_use_mask_as_output`).

use alloc::vec::Vec;

use super::{ATTENTION_SHARE, SharedFrame, Tracking};
use crate::error::Result;
use crate::exec::{Cx, Monitor, ScratchReq, try_with_capacity, try_zeroed};
use crate::kernels::finite;
use crate::kernels::resize::interpolate::{Interpolate, Mode};
use crate::models::sam::mask_decoder::{NO_OBJECT_LOGIT, highest};
use crate::models::sam::{DecodeOptions, Decoded, ImageSource, Label, Point, Prompt, PromptImages, Prompts};
use crate::models::sam2::{FrameFeatures, ObjectMemory};
use crate::nn::Trace;

/// A prompt for the decoder.
#[derive(Clone, Copy, Debug)]
pub struct DecoderPrompt<'a> {
    /// Points, box and the mask to start from.
    pub prompt: Prompt<'a>,
    /// Pixels of the input per pixel of the picture, horizontally and vertically.
    pub scale: [f64; 2],
    /// Whether an unstable single mask gives way to the best of three (`dynamic_multimask_via_stability`).
    pub stability: bool,
}

/// An object on a frame, as the decoder predicts it.
#[derive(Clone, Debug)]
pub struct ObjectPrediction {
    /// The object pointer, `[C]`.
    pub pointer: Vec<f32>,
    /// Logits of the mask, `[mask_side, mask_side]`; −1024 everywhere if the object is not on the frame.
    pub mask: Vec<f32>,
    /// The object score, a logit: the object is on the frame if it is above 0.
    pub object_score: f32,
    /// The predicted IoU of the mask.
    pub iou: f32,
}

/// The point that stands for no prompt.
const NO_PROMPT: [Point; 1] = [Point { x: 0.0, y: 0.0, label: Label::Padding }];

/// Logits of a mask that the caller gives: of the object's pixels, and of others.
const GIVEN: [f32; 2] = [10.0, -10.0];

impl Tracking<'_> {
    /// Follows objects to a frame: predicts each from its memories, without a prompt.
    ///
    /// # Errors
    /// `OutOfMemory`, `Limit`, `NonFinite`, `Cancelled`.
    pub fn track(
        &self,
        cx: &Cx,
        frame: &SharedFrame,
        objects: &[ObjectMemory<'_>],
        stability: bool,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<ObjectPrediction>> {
        let len = objects.len() * self.memory.attention.frame_len();
        let mut workspace = cx.workspace(ScratchReq::slice(len))?;
        let features = workspace.scratch().take(len);
        self.condition(cx, frame, objects, features, monitor)?;
        let prompt = DecoderPrompt { prompt: Prompt::points(&NO_PROMPT), scale: [1.0; 2], stability };
        let multimask = self.uses_multimask(&Prompt::default(), false);
        self.decode(cx, features, &frame.high_res, &prompt, multimask)
    }

    /// Predicts the object that a prompt points at: from the object's memories, or from the frame alone.
    ///
    /// # Errors
    /// `OutOfMemory`, `Limit`, `NonFinite`, `Cancelled`.
    pub fn predict(
        &self,
        cx: &Cx,
        features: &FrameFeatures,
        prompt: &DecoderPrompt<'_>,
        memory: Option<ObjectMemory<'_>>,
        monitor: &Monitor<'_>,
    ) -> Result<ObjectPrediction> {
        let len = self.memory.attention.frame_len();
        let mut workspace = cx.workspace(ScratchReq::slice(len))?;
        let conditioned = workspace.scratch().take(len);
        let multimask = self.uses_multimask(&prompt.prompt, memory.is_none());
        let objects = cx.enter(|| {
            let high_res = match memory {
                Some(memory) => {
                    let shared = self.share(cx, features, &monitor.part(0.0, ATTENTION_SHARE / 4.0))?;
                    let monitor = monitor.part(ATTENTION_SHARE / 4.0, ATTENTION_SHARE);
                    self.condition(cx, &shared, &[memory], conditioned, &monitor)?;
                    shared.high_res
                }
                None => {
                    conditioned.copy_from_slice(&features.top);
                    self.sam2.add_no_memory(conditioned);
                    self.pack_high_res(cx, features)?
                }
            };
            self.decode(cx, conditioned, &high_res, prompt, multimask)
        });
        let object = objects?.swap_remove(0);
        monitor.report(1, 1)?;
        Ok(object)
    }

    /// Takes a `mask` of `[height, width]` for the object's own; the decoder makes its pointer.
    ///
    /// # Errors
    /// `OutOfMemory`, `Limit`, `NonFinite`, `Cancelled`.
    pub fn use_mask(
        &self,
        cx: &Cx,
        features: &FrameFeatures,
        mask: &[u8],
        [height, width]: [usize; 2],
        monitor: &Monitor<'_>,
    ) -> Result<ObjectPrediction> {
        let (size, side) = (self.sam2.config.image_size, self.sam2.config.mask_side());
        let to_input = Interpolate::new((height, width), (size, size), Mode::Bilinear, true)?;
        let to_low_res = Interpolate::new((size, size), (side, side), Mode::Bilinear, true)?;
        let pointers = &self.memory.pointers;
        let lens = [mask.len(), size * size, side * side];
        let mut workspace = cx.workspace(ScratchReq::slices(lens))?;
        let [given, input, prompt] = workspace.scratch().take_all(lens);
        let mut scratch = cx.workspace(ScratchReq::any([
            to_input.scratch_req(cx),
            pointers.mask_prompt_scratch_req(cx, size),
            to_low_res.scratch_req(cx),
        ]))?;

        given.iter_mut().zip(mask).for_each(|(to, &set)| *to = f32::from(set != 0));
        if [height, width] == [size, size] {
            input.copy_from_slice(given);
        } else {
            to_input.run(cx, 1, given, input, scratch.scratch());
            input.iter_mut().for_each(|value| *value = f32::from(*value >= 0.5));
        }
        let is_present = input.contains(&1.0);
        let logit = |is_set: bool| GIVEN[usize::from(!is_set)];
        let object = cx.enter(|| {
            pointers.mask_prompt(cx, size, input, prompt, scratch.scratch());
            input.iter_mut().for_each(|value| *value = logit(*value == 1.0));
            let mut low_res = try_zeroed(side * side)?;
            to_low_res.run(cx, 1, input, &mut low_res, scratch.scratch());
            monitor.report(0, 1)?;

            let prompt = DecoderPrompt {
                prompt: Prompt { points: &NO_PROMPT, mask: Some(prompt), bounding_box: None },
                scale: [1.0; 2],
                stability: false,
            };
            let high_res = self.pack_high_res(cx, features)?;
            let mut object = self.decode(cx, &features.top, &high_res, &prompt, false)?.swap_remove(0);
            pointers.mix(f32::from(is_present), &mut object.pointer);
            Ok(ObjectPrediction { mask: low_res, object_score: logit(is_present), iou: 1.0, ..object })
        });
        let object = object?;
        monitor.report(1, 1)?;
        Ok(object)
    }

    /// Decodes the same prompt for each of the `features: [objects, grid², C]`.
    fn decode(
        &self,
        cx: &Cx,
        features: &[f32],
        high_res: &[f32],
        prompt: &DecoderPrompt<'_>,
        multimask: bool,
    ) -> Result<Vec<ObjectPrediction>> {
        let DecoderPrompt { prompt, scale, stability } = *prompt;
        let config = &self.sam2.config;
        let (encoder, decoder) = (&self.sam2.prompt_encoder, &self.sam2.mask_decoder);
        let count = features.len() / self.memory.attention.frame_len();
        let (tokens, dim, area) = (encoder.tokens(&prompt), config.dim, self.object_lens()[2]);
        let (masks, all) = (decoder.masks(multimask), decoder.masks(true) + 1);
        let stability = config.decoder.extensions.stability.filter(|_| stability);
        let options = DecodeOptions { multimask, stability, least_iou: None };

        let dense_len = if prompt.mask.is_some() { area / 16 * dim } else { 0 };
        let lens = [tokens * dim, dense_len, masks * area, masks, 1, all * dim].map(|len| count * len);
        let mut buffers = cx.workspace(ScratchReq::slices(lens))?;
        let [sparse, dense, logits, iou, object_scores, mask_tokens] = buffers.scratch().take_all(lens);
        let pointers = &self.memory.pointers;
        let mut workspace = cx.workspace(ScratchReq::any([
            encoder.mask_scratch_req(cx),
            decoder.scratch_req(cx, [count, tokens], &options),
            pointers.scratch_req(cx),
        ]))?;

        for sparse in sparse.chunks_exact_mut(tokens * dim) {
            encoder.encode_sparse(&prompt, scale, sparse);
        }
        if let Some(mask) = prompt.mask {
            for dense in dense.chunks_exact_mut(dense_len) {
                encoder.encode_mask(cx, mask, dense, workspace.scratch());
            }
        }
        let prompts = Prompts { count, sparse, dense: prompt.mask.map(|_| &*dense) };
        let images = ImageSource::PerPrompt(PromptImages { embeddings: features, high_res });
        let out = Decoded { masks: logits, iou, object_scores, tokens: mask_tokens };
        decoder.forward(cx, images, prompts, &options, out, workspace.scratch(), &mut Trace::of(cx));

        let mut objects = try_with_capacity(count)?;
        for object in 0..count {
            let iou = &iou[object * masks..][..masks];
            let best = highest(iou);
            let token = if multimask && config.tracking.multimask_pointer { 1 + best } else { 0 };
            let token = &mask_tokens[(object * all + token) * dim..][..dim];
            let object_score = object_scores[object];
            let mut pointer = try_zeroed(dim)?;
            pointers.forward(cx, token, object_score, &mut pointer, workspace.scratch());
            let mut mask = try_zeroed(area)?;
            if object_score > 0.0 {
                mask.copy_from_slice(&logits[(object * masks + best) * area..][..area]);
            } else {
                mask.fill(NO_OBJECT_LOGIT);
            }
            finite::check(cx, &[object_score, iou[best]], "the scores of an object")?;
            finite::check(cx, &mask, "the mask of an object")?;
            finite::check(cx, &pointer, "the pointer of an object")?;
            objects.push(ObjectPrediction { pointer, mask, object_score, iou: iou[best] });
        }
        Ok(objects)
    }

    /// Whether the best of several masks is taken (`_use_multimask`). `is_first` says that the object has no memories.
    fn uses_multimask(&self, prompt: &Prompt<'_>, is_first: bool) -> bool {
        let tracking = &self.sam2.config.tracking;
        let [least, most] = tracking.multimask_points;
        let points = prompt.points.len() + if prompt.bounding_box.is_some() { 2 } else { 0 };
        tracking.multimask
            && (is_first || tracking.multimask_for_tracking)
            && (least..=most).contains(&points)
    }
}
