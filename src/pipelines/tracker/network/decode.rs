//! From features to an object's mask and pointer (`_forward_sam_heads`, `_use_mask_as_output`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Attended, Network, Shared};
use crate::error::Result;
use crate::exec::{Monitor, padded, try_zeroed};
use crate::kernels::resize::interpolate::{Interpolate, Mode};
use crate::models::sam::mask_decoder::NO_OBJECT_LOGIT;
use crate::models::sam::{DecodeOptions, Decoded, ImageSource, Label, Point, Prompt, PromptImages, Prompts};
use crate::nn::Trace;
use crate::pipelines::tracker::bank::Output;
use crate::pipelines::tracker::frames::Frame;

/// A prompt for the decoder.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipelines::tracker) struct Asked<'a> {
    /// Points, box and the mask to start from.
    pub(in crate::pipelines::tracker) prompt: Prompt<'a>,
    /// Pixels of the input per pixel of the picture, horizontally and vertically.
    pub(in crate::pipelines::tracker) scale: [f64; 2],
    /// Whether the best of three masks may take the place of one that is not stable.
    pub(in crate::pipelines::tracker) stability: bool,
}

/// What stands for a prompt where there is none.
const NOTHING: [Point; 1] = [Point { x: 0.0, y: 0.0, label: Label::Padding }];

/// Logits of the pixels of a given mask: those of the object, and others.
const GIVEN: [f32; 2] = [10.0, -10.0];

/// Part of the work of answering a prompt that attention to memories is.
const ATTENTION: f32 = 0.9;

impl Network<'_> {
    /// The outputs of objects that are followed on `frame`, in their order, still without memories.
    ///
    /// # Errors
    /// `OutOfMemory`, `Cancelled`.
    pub(in crate::pipelines::tracker) fn track(
        &self,
        frame: &Frame,
        shared: &Shared,
        attended: &[Attended<'_>],
        stability: bool,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<Output>> {
        let len = attended.len() * self.memory.attention.frame_len();
        let mut workspace = self.sam.cx().workspace(padded(len));
        let features = workspace.scratch().take(len);
        self.condition(&shared.attended, attended, features, monitor)?;
        let asked = Asked { prompt: Prompt::points(&NOTHING), scale: [1.0; 2], stability };
        let multimask = self.is_ambiguous(&Prompt::default(), false);
        self.decode(frame.index, features, &shared.high_res, &asked, multimask)
    }

    /// The output of an object on `frame` that a prompt asks for: with what the object remembers, or without.
    ///
    /// # Errors
    /// `OutOfMemory`, `Cancelled`.
    pub(in crate::pipelines::tracker) fn answer(
        &self,
        frame: &Frame,
        asked: &Asked<'_>,
        attended: Option<Attended<'_>>,
        monitor: &Monitor<'_>,
    ) -> Result<Output> {
        let cx = self.sam.cx();
        let len = self.memory.attention.frame_len();
        let mut workspace = cx.workspace(padded(len));
        let features = workspace.scratch().take(len);
        let multimask = self.is_ambiguous(&asked.prompt, attended.is_none());
        let outputs = cx.enter(|| {
            let high_res = match attended {
                Some(attended) => {
                    let shared = self.share(&frame.features, &monitor.part(0.0, ATTENTION / 4.0))?;
                    let monitor = monitor.part(ATTENTION / 4.0, ATTENTION);
                    self.condition(&shared.attended, &[attended], features, &monitor)?;
                    shared.high_res
                }
                None => {
                    features.copy_from_slice(self.model.image_encoder.layout().split(&frame.features).top);
                    for token in features.chunks_exact_mut(self.model.no_memory.len()) {
                        token.iter_mut().zip(&self.model.no_memory).for_each(|(x, none)| *x += none);
                    }
                    self.high_res(&frame.features)?
                }
            };
            self.decode(frame.index, features, &high_res, asked, multimask)
        });
        let output = outputs?.swap_remove(0);
        monitor.report(1, 1)?;
        Ok(output)
    }

    /// The output of an object whose `mask`, of `size` (height, width), is given. The decoder is asked for the pointer
    /// alone.
    ///
    /// # Errors
    /// `OutOfMemory`, `Cancelled`, `Limit`.
    pub(in crate::pipelines::tracker) fn adopt(
        &self,
        frame: &Frame,
        mask: &[u8],
        [height, width]: [usize; 2],
        monitor: &Monitor<'_>,
    ) -> Result<Output> {
        let cx = self.sam.cx();
        let (size, side) = (self.image_size(), self.mask_side());
        let to_input = Interpolate::new((height, width), (size, size), Mode::Bilinear, true)?;
        let to_low_res = Interpolate::new((size, size), (side, side), Mode::Bilinear, true)?;
        let pointers = &self.memory.pointers;
        let lens = [padded(mask.len()), padded(size * size), padded(side * side)];
        let mut workspace = cx.workspace(lens.iter().sum());
        let mut scratch = workspace.scratch();
        let (given, input) = (scratch.take(mask.len()), scratch.take(size * size));
        let prompt = scratch.take(side * side);
        let scratch_len = to_input.scratch_len(cx).max(to_low_res.scratch_len(cx));
        let mut scratch = cx.workspace(scratch_len.max(pointers.mask_prompt_scratch_len(cx, size)));

        given.iter_mut().zip(mask).for_each(|(to, &set)| *to = f32::from(set != 0));
        if [height, width] == [size, size] {
            input.copy_from_slice(given);
        } else {
            to_input.run(cx, 1, given, input, scratch.scratch());
            input.iter_mut().for_each(|value| *value = f32::from(*value >= 0.5));
        }
        let is_there = input.contains(&1.0);
        let shown = |seen: bool| GIVEN[usize::from(!seen)];
        let output = cx.enter(|| {
            pointers.mask_prompt(cx, size, input, prompt, scratch.scratch());
            input.iter_mut().for_each(|value| *value = shown(*value == 1.0));
            let mut low_res = try_zeroed(side * side)?;
            to_low_res.run(cx, 1, input, &mut low_res, scratch.scratch());
            monitor.report(0, 1)?;

            let asked = Asked {
                prompt: Prompt { points: &NOTHING, mask: Some(prompt), bounding_box: None },
                scale: [1.0; 2],
                stability: false,
            };
            let top = self.model.image_encoder.layout().split(&frame.features).top;
            let high_res = self.high_res(&frame.features)?;
            let mut output = self.decode(frame.index, top, &high_res, &asked, false)?.swap_remove(0);
            pointers.mix(f32::from(is_there), &mut Arc::make_mut(&mut output.pointer)[..]);
            Ok(Output { mask: Arc::new(low_res), object_score: shown(is_there), iou: 1.0, ..output })
        });
        let output = output?;
        monitor.report(1, 1)?;
        Ok(output)
    }

    /// Decodes the same prompt for each of the `features: [objects, grid², C]`.
    fn decode(
        &self,
        frame: u64,
        features: &[f32],
        high_res: &[f32],
        asked: &Asked<'_>,
        multimask: bool,
    ) -> Result<Vec<Output>> {
        let (cx, config) = (self.sam.cx(), &self.model.config);
        let (encoder, decoder) = (&self.model.prompt_encoder, &self.model.mask_decoder);
        let count = features.len() / self.memory.attention.frame_len();
        let (tokens, dim, area) = (encoder.tokens(&asked.prompt), config.dim, self.output_lens()[2]);
        let (masks, all) = (decoder.masks(multimask), decoder.masks(true) + 1);
        let stability = config.decoder.extensions.stability.filter(|_| asked.stability);
        let options = DecodeOptions { multimask, stability, least_iou: None };

        let dense_len = if asked.prompt.mask.is_some() { area / 16 * dim } else { 0 };
        let lens = [count * tokens * dim, count * dense_len, count * masks * area, count * masks, count];
        let lens = lens.map(padded).iter().sum::<usize>() + padded(count * all * dim);
        let mut workspace = cx.workspace(lens);
        let mut scratch = workspace.scratch();
        let sparse = scratch.take(count * tokens * dim);
        let dense = scratch.take(count * dense_len);
        let logits = scratch.take(count * masks * area);
        let iou = scratch.take(count * masks);
        let object_scores = scratch.take(count);
        let mask_tokens = scratch.take(count * all * dim);
        let scratch_len = decoder.scratch_len(cx, [count, tokens], &options);
        let pointers = &self.memory.pointers;
        let scratch_len = scratch_len.max(encoder.mask_scratch_len(cx)).max(pointers.scratch_len(cx));
        let mut workspace = cx.workspace(scratch_len);

        for sparse in sparse.chunks_exact_mut(tokens * dim) {
            encoder.encode_sparse(&asked.prompt, asked.scale, sparse);
        }
        if let Some(mask) = asked.prompt.mask {
            for dense in dense.chunks_exact_mut(dense_len) {
                encoder.encode_mask(cx, mask, dense, workspace.scratch());
            }
        }
        let prompts = Prompts { count, sparse, dense: asked.prompt.mask.map(|_| &*dense) };
        let images = ImageSource::PerPrompt(PromptImages { embeddings: features, high_res });
        let out = Decoded { masks: logits, iou, object_scores, tokens: mask_tokens };
        decoder.forward(cx, images, prompts, &options, out, workspace.scratch(), &mut Trace::off());

        let mut outputs = Vec::with_capacity(count);
        for object in 0..count {
            let iou = &iou[object * masks..][..masks];
            let best = (1..masks).fold(0, |best, mask| if iou[mask] > iou[best] { mask } else { best });
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
            let (pointer, mask) = (Arc::new(pointer), Arc::new(mask));
            outputs.push(Output {
                frame,
                memory: Arc::default(),
                pointer,
                mask,
                object_score,
                iou: iou[best],
            });
        }
        Ok(outputs)
    }

    /// Whether a prompt gets several masks (`_use_multimask`): one `is_first` if memories do not answer it.
    fn is_ambiguous(&self, prompt: &Prompt<'_>, is_first: bool) -> bool {
        let tracking = &self.model.config.tracking;
        let [least, most] = tracking.multimask_points;
        let points = prompt.points.len() + if prompt.bounding_box.is_some() { 2 } else { 0 };
        tracking.multimask
            && (is_first || tracking.multimask_for_tracking)
            && (least..=most).contains(&points)
    }
}
