//! The predictor: prompts to masks, through the prompt encoder and the mask decoder.

use super::attention::MAX_TOKENS;
use super::config::Stability;
use super::mask_decoder::{DecodeOptions, Decoded, MaskDecoder, Prompts};
use super::prompt::Prompt;
use super::prompt_encoder::PromptEncoder;
use crate::error::Result;
use crate::exec::{Cx, Monitor, Scratch, ScratchReq};
use crate::kernels::mask_decoder::ImageSource;
use crate::nn::Trace;

/// Most prompts that are decoded together, so that weights are read once for all of them. They have the same number of
/// tokens and no mask. Each needs its own image features, which bounds the number: 4 MiB in the released models.
const BATCH: usize = 4;

/// The two parts of a SAM that run for every prompt.
#[derive(Clone, Copy, Debug)]
pub struct Predictor<'a> {
    /// Prompts to tokens.
    pub prompt_encoder: &'a PromptEncoder,
    /// Tokens to masks.
    pub mask_decoder: &'a MaskDecoder,
    /// If set, a prompt gets masks only if the predicted IoU of one of them is above this value; otherwise its part of the
    /// output is not written.
    pub least_iou: Option<f32>,
    /// If set, a single mask that is not stable is replaced by the best of several.
    pub stability: Option<Stability>,
}

impl Predictor<'_> {
    /// Predicts masks and their IoU for independent prompts on one image, which [`MaskDecoder::cache`] has prepared.
    ///
    /// Coordinates are multiplied by `scale` (horizontal, vertical) to become pixels of the input. The result of a prompt
    /// does not depend on the other prompts. `masks: [prompts, masks, mask_side, mask_side]` are logits; `iou:
    /// [prompts, masks]`. [`MaskDecoder::masks`] tells the number of masks.
    ///
    /// # Errors
    /// `Cancelled` by the monitor, which is asked after every few prompts.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than [`scratch_req`](Self::scratch_req).
    #[allow(
        clippy::too_many_arguments,
        reason = "an image, prompts, how to take them, two outputs, a monitor"
    )]
    pub fn forward(
        &self,
        cx: &Cx,
        cache: &[f32],
        prompts: &[Prompt<'_>],
        scale: [f64; 2],
        multimask: bool,
        masks: &mut [f32],
        iou: &mut [f32],
        mut scratch: Scratch<'_>,
        mut trace: Trace<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let count = self.mask_decoder.masks(multimask);
        let dim = self.prompt_encoder.no_mask().len();
        let mask_len = self.prompt_encoder.mask_side() * self.prompt_encoder.mask_side();
        assert_eq!(masks.len(), prompts.len() * count * mask_len, "masks of {} prompts", prompts.len());
        assert_eq!(iou.len(), prompts.len() * count, "predicted quality");
        let (mut masks, mut iou) = (masks, iou);
        let options = self.options(multimask);
        let mut done = 0;
        for batch in self.batches(prompts) {
            monitor.report(done, prompts.len())?;
            done += batch.len();
            let tokens = self.prompt_encoder.tokens(&batch[0]);
            let mut scratch = scratch.frame();
            let sparse = scratch.take(self.sparse_len(batch));
            for (i, prompt) in batch.iter().enumerate() {
                let out = &mut sparse[i * tokens * dim..][..tokens * dim];
                self.prompt_encoder.encode_sparse(prompt, scale, out);
            }
            trace.stage(format_args!("prompt.sparse"), sparse);
            let dense = batch[0].mask.map(|mask| {
                let dense = scratch.take(self.dense_len());
                self.prompt_encoder.encode_mask(cx, mask, dense, scratch.frame());
                trace.stage(format_args!("prompt.dense"), dense);
                &*dense
            });
            let masks = masks.split_off_mut(..batch.len() * count * mask_len).expect("asserted above");
            let iou = iou.split_off_mut(..batch.len() * count).expect("asserted above");
            let batch = Prompts { count: batch.len(), sparse, dense };
            let out = Decoded { masks, iou, object_scores: &mut [], tokens: &mut [] };
            let image = ImageSource::Shared(cache);
            self.mask_decoder.forward(cx, image, batch, &options, out, scratch, &mut trace);
        }
        Ok(())
    }

    /// Scratch that [`forward`](Self::forward) needs for `prompts`. In the released models with two threads, it is
    /// 5.5 MiB for one click and 21 MiB for any number of prompts of one click. A prompt of many points takes 34 KiB more for
    /// each of them.
    pub fn scratch_req(&self, cx: &Cx, prompts: &[Prompt<'_>], multimask: bool) -> ScratchReq {
        ScratchReq::any(self.batches(prompts).map(|batch| {
            let shape = [batch.len(), self.prompt_encoder.tokens(&batch[0])];
            let decoder = self.mask_decoder.scratch_req(cx, shape, &self.options(multimask));
            let parts = match batch[0].mask {
                Some(_) => {
                    let encoder = self.prompt_encoder.mask_scratch_req(cx);
                    ScratchReq::slice(self.dense_len()).and(encoder.or(decoder))
                }
                None => decoder,
            };
            ScratchReq::slice(self.sparse_len(batch)).and(parts)
        }))
    }

    /// Length of the tokens of a batch.
    fn sparse_len(&self, batch: &[Prompt<'_>]) -> usize {
        batch.len() * self.prompt_encoder.tokens(&batch[0]) * self.prompt_encoder.no_mask().len()
    }

    /// Length of an encoded mask prompt.
    fn dense_len(&self) -> usize {
        let grid = self.prompt_encoder.mask_side() / 4;
        grid * grid * self.prompt_encoder.no_mask().len()
    }

    fn options(&self, multimask: bool) -> DecodeOptions {
        DecodeOptions { multimask, stability: self.stability, least_iou: self.least_iou }
    }

    /// Cuts `prompts` into batches of neighbours that can be decoded together.
    fn batches<'p, 'a>(&self, prompts: &'p [Prompt<'a>]) -> impl Iterator<Item = &'p [Prompt<'a>]> {
        let encoder = self.prompt_encoder;
        let alike = |a: &Prompt<'_>, b: &Prompt<'_>| {
            let tokens = encoder.tokens(a);
            tokens == encoder.tokens(b)
                && BATCH * tokens <= MAX_TOKENS
                && a.mask.is_none()
                && b.mask.is_none()
        };
        prompts.chunk_by(alike).flat_map(|alike| alike.chunks(BATCH))
    }
}
