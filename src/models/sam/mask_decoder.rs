//! The mask decoder: from an image embedding and a prompt's tokens to masks and their predicted quality.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::attention::Batch;
use super::config::SamConfig;
use super::image_cache::ImageProjections;
use super::mlp::Mlp;
use super::naming::Naming;
use super::prompt_encoder::PromptEncoder;
use super::transformer::{Image, TwoWayTransformer};
use super::upscaling::Upscaling;
use crate::error::Result;
use crate::exec::{AlignedVec, Cx, Scratch, padded};
use crate::kernels::gemm::Rows;
use crate::kernels::panels::{Panels, from_tokens, left_len, pack_left};
use crate::nn::Trace;
use crate::weights::Scope;

/// Image embedding and prompt tokens to masks.
#[derive(Debug)]
pub struct MaskDecoder {
    /// The IoU token, then the mask tokens: `[1 + masks, C]`.
    output_tokens: Vec<f32>,
    transformer: TwoWayTransformer,
    upscaling: Upscaling,
    /// One for every mask token.
    hypernetworks: Vec<Mlp>,
    iou_head: Mlp,
    projections: ImageProjections,
    /// Encodings of the places of the image embedding's tokens, in panels.
    positions: AlignedVec,
    panels: Panels,
    grid: usize,
    dim: usize,
}

impl MaskDecoder {
    /// Binds the decoder.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(
        scope: &Scope<'_>,
        naming: Naming,
        config: &SamConfig,
        prompt_encoder: &PromptEncoder,
    ) -> Result<Self> {
        let scope = scope.at("mask_decoder");
        let (dim, decoder, grid) = (config.dim, &config.decoder, config.grid());
        let masks = decoder.multimask_outputs + 1;
        let mut output_tokens = vec![0.0; (1 + masks) * dim];
        let (iou_token, mask_tokens) = output_tokens.split_at_mut(dim);
        scope.f32_into("iou_token.weight", &[1, dim], iou_token)?;
        scope.f32_into("mask_tokens.weight", &[masks, dim], mask_tokens)?;
        let hypernetworks = scope.at("output_hypernetworks_mlps");
        let transformer = scope.at("transformer");
        let panels = Panels::new(scope.level(), grid * grid);
        let mut positions = AlignedVec::zeroed(panels.len(dim));
        let pe = prompt_encoder.dense_pe();
        let cx = Cx::serial(scope.level());
        from_tokens(&cx, panels, dim, &pe, None, &mut positions[..panels.len(dim)]);
        Ok(Self {
            output_tokens,
            transformer: TwoWayTransformer::bind(&transformer, naming, config)?,
            upscaling: Upscaling::bind(&scope, naming, dim)?,
            hypernetworks: (0..masks)
                .map(|i| Mlp::bind(&hypernetworks.at(i), naming, [dim, dim, dim / 8], 3))
                .collect::<Result<_>>()?,
            iou_head: Mlp::bind(
                &scope.at("iou_prediction_head"),
                naming,
                [dim, decoder.iou_hidden, masks],
                decoder.iou_depth,
            )?,
            projections: ImageProjections::bind(
                &transformer.at("layers.0"),
                dim,
                decoder.heads,
                prompt_encoder.no_mask(),
                panels,
            )?,
            positions,
            panels,
            grid,
            dim,
        })
    }

    /// f32 of what [`cache`](Self::cache) writes: the image as the decoder needs it.
    pub fn cache_len(&self) -> usize {
        self.projections.cache_len()
    }

    /// Prepares an image for [`forward`](Self::forward): `embedding: [grid², C]` to `cache: [cache_len]`.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than
    /// [`cache_scratch_len`](Self::cache_scratch_len).
    pub fn cache(&self, cx: &Cx, embedding: &[f32], cache: &mut [f32], scratch: Scratch<'_>) {
        self.projections.forward(cx, embedding, self.positions(), cache, scratch);
    }

    /// Scratch that [`cache`](Self::cache) needs, in f32.
    pub fn cache_scratch_len(&self, cx: &Cx) -> usize {
        self.projections.scratch_len(cx)
    }

    /// How many masks a prompt gets.
    pub fn masks(&self, multimask: bool) -> usize {
        if multimask { self.hypernetworks.len() - 1 } else { 1 }
    }

    /// Decodes `prompts` prompts of equally many tokens against one image.
    ///
    /// `sparse: [prompts, tokens, C]` are the prompts' tokens. `dense`, if the prompts hold masks, is
    /// `[prompts, grid², C]`; otherwise the no-mask embedding stands for it. Without `multimask`, the mask of the first
    /// mask token is computed, with it those of the others: `masks: [prompts, masks, 4 · grid, 4 · grid]` logits, and
    /// `iou: [prompts, masks]` their predicted quality. With `least_iou`, the masks of a prompt none of which is
    /// predicted to be above it are left as they are: quality needs no masks, and making them is a third of the work.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than [`scratch_len`](Self::scratch_len).
    #[allow(clippy::too_many_arguments, reason = "an image, prompts of two kinds and two outputs")]
    pub fn forward(
        &self,
        cx: &Cx,
        cache: &[f32],
        [prompts, sparse_tokens]: [usize; 2],
        sparse: &[f32],
        dense: Option<&[f32]>,
        multimask: bool,
        least_iou: Option<f32>,
        masks: &mut [f32],
        iou: &mut [f32],
        mut scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
    ) {
        let dim = self.dim;
        let batch = self.batch([prompts, sparse_tokens]);
        assert_eq!(sparse.len(), prompts * sparse_tokens * dim, "tokens of {prompts} prompts");
        assert_eq!(iou.len(), prompts * self.masks(multimask), "predicted quality");

        // Tokens: those of the outputs, then the prompt's.
        let tokens = scratch.take(batch.rows() * dim);
        for (prompt, tokens) in tokens.chunks_exact_mut(batch.tokens * dim).enumerate() {
            let (output, sparse_out) = tokens.split_at_mut(self.output_tokens.len());
            output.copy_from_slice(&self.output_tokens);
            sparse_out.copy_from_slice(&sparse[prompt * sparse_tokens * dim..][..sparse_tokens * dim]);
        }

        // Two-way transformer.
        let cache = self.projections.view(cache);
        let x = scratch.take(prompts * self.panels.len(dim));
        let image = match dense {
            None => Image::Shared(cache),
            Some(dense) => {
                assert_eq!(dense.len(), prompts * self.panels.pixels() * dim, "dense embeddings");
                let dense = dense.chunks_exact(self.panels.pixels() * dim);
                for (x, dense) in x.chunks_exact_mut(self.panels.len(dim)).zip(dense) {
                    from_tokens(cx, self.panels, dim, dense, Some(cache.features), x);
                }
                Image::Each
            }
        };
        // Of its tokens, those of the IoU and of the wanted masks are read.
        let first = usize::from(multimask);
        let wanted = first..first + self.masks(multimask);
        let kept = core::iter::once(0).chain(wanted.clone().map(|mask| 1 + mask));
        let positions = self.positions();
        self.transformer.forward(cx, batch, image, positions, kept, tokens, x, scratch.frame(), trace);
        let count = wanted.len();
        let tokens = &tokens[..prompts * (1 + count) * dim];

        // Quality, from the IoU token.
        self.quality(cx, prompts, wanted.clone(), tokens, iou, scratch.frame());
        trace.stage(format_args!("decoder.iou"), iou);

        // Masks: the product of a token's weights and the upscaled features.
        let weights = self.mask_weights(cx, prompts, wanted, tokens, &mut scratch, trace);
        let is_wanted = |prompt: usize| {
            let mut iou = iou[prompt * count..][..count].iter();
            least_iou.is_none_or(|least| iou.any(|&iou| iou > least))
        };
        let [x_len, weights_len, masks_len] = [x.len(), weights.len(), masks.len()].map(|len| len / prompts);
        let mut start = 0;
        while let Some(from) = (start..prompts).find(|&prompt| is_wanted(prompt)) {
            let to = (from..prompts).find(|&prompt| !is_wanted(prompt)).unwrap_or(prompts);
            let x = &x[from * x_len..to * x_len];
            let weights = &weights[from * weights_len..to * weights_len];
            let masks = &mut masks[from * masks_len..to * masks_len];
            let sizes = [to - from, count];
            self.upscaling.forward(cx, sizes, self.grid, x, weights, masks, scratch.frame(), trace);
            start = to;
        }
        trace.stage(format_args!("decoder.masks"), masks);
    }

    /// The predicted quality of the masks `wanted`, `iou: [prompts, masks]`; `tokens: [prompts, 1 + masks, C]`.
    fn quality(
        &self,
        cx: &Cx,
        prompts: usize,
        wanted: Range<usize>,
        tokens: &[f32],
        iou: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let all = scratch.take(prompts * self.hypernetworks.len());
        let lhs = Rows::strided(tokens, prompts, self.dim, tokens.len() / prompts);
        self.iou_head.forward(cx, &lhs, all, scratch);
        let all = all.chunks_exact(self.hypernetworks.len());
        for (iou, all) in iou.chunks_exact_mut(wanted.len()).zip(all) {
            iou.copy_from_slice(&all[wanted.clone()]);
        }
    }

    /// Scratch that [`forward`](Self::forward) needs, in f32.
    pub fn scratch_len(&self, cx: &Cx, [prompts, sparse_tokens]: [usize; 2], multimask: bool) -> usize {
        let batch = self.batch([prompts, sparse_tokens]);
        let count = self.masks(multimask);
        let channels = self.upscaling.outputs();
        let head = |mlp: &Mlp| mlp.scratch_len(cx, prompts);
        let weights = padded(prompts * left_len(count, channels));
        let rows = padded(prompts * count * channels);
        let hypernetworks =
            padded(prompts * channels) + self.hypernetworks.iter().map(head).fold(0, usize::max);
        let outputs = weights
            + (rows + hypernetworks)
                .max(self.upscaling.scratch_len(cx, self.panels, count))
                .max(padded(prompts * self.hypernetworks.len()) + head(&self.iou_head));
        padded(batch.rows() * self.dim)
            + padded(prompts * self.panels.len(self.dim))
            + self.transformer.scratch_len(cx, batch).max(outputs)
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.output_tokens[..])
            + self.transformer.bytes()
            + self.upscaling.bytes()
            + self.hypernetworks.iter().map(Mlp::bytes).sum::<usize>()
            + self.iou_head.bytes()
            + self.projections.bytes()
            + size_of_val::<[f32]>(&self.positions)
    }

    /// The weights that the hypernetworks `wanted` make of their tokens, packed as left-hand sides `[masks, C / 8]`;
    /// `tokens: [prompts, 1 + masks, C]`.
    fn mask_weights<'s>(
        &self,
        cx: &Cx,
        prompts: usize,
        wanted: Range<usize>,
        tokens: &[f32],
        scratch: &mut Scratch<'s>,
        trace: &mut Trace<'_>,
    ) -> &'s [f32] {
        let (count, channels, stride) = (wanted.len(), self.upscaling.outputs(), tokens.len() / prompts);
        let packed_len = left_len(count, channels);
        let packed = scratch.take(prompts * packed_len);
        let mut scratch = scratch.frame();
        let rows = scratch.take(prompts * count * channels);
        let one = scratch.take(prompts * channels);
        for (i, mlp) in self.hypernetworks[wanted].iter().enumerate() {
            let token = Rows::strided(&tokens[(1 + i) * self.dim..], prompts, self.dim, stride);
            mlp.forward(cx, &token, one, scratch.frame());
            for (prompt, one) in one.chunks_exact(channels).enumerate() {
                rows[(prompt * count + i) * channels..][..channels].copy_from_slice(one);
            }
        }
        trace.stage(format_args!("decoder.mask_weights"), rows);
        for (packed, rows) in packed.chunks_exact_mut(packed_len).zip(rows.chunks_exact(count * channels)) {
            pack_left(cx.level(), &Rows::new(rows, count, channels), packed);
        }
        packed
    }

    fn batch(&self, [prompts, sparse_tokens]: [usize; 2]) -> Batch {
        let output_tokens = self.output_tokens.len() / self.dim;
        Batch { prompts, tokens: output_tokens + sparse_tokens, panels: self.panels }
    }

    fn positions(&self) -> &[f32] {
        &self.positions[..self.panels.len(self.dim)]
    }
}
