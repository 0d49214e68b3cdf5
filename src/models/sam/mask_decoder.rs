//! The mask decoder: an image embedding and the tokens of a prompt to masks and their predicted IoU.

mod masks;
mod output_mlps;

use alloc::vec::Vec;
use core::ops::Range;

use self::masks::MaskInputs;
pub(crate) use self::masks::highest;
use self::output_mlps::{OutputMlps, OutputTokens};
use super::attention::Batch;
use super::config::{PromptHeadConfig, Stability};
use super::image_cache::{ImageCache, ImageProjections};
use super::mask_upscaler::MaskUpscaler;
use super::prompt_encoder::PromptEncoder;
use super::transformer::{ImageStream, TwoWayTransformer};
use crate::error::Result;
use crate::exec::{AlignedVec, Cx, Scratch, ScratchReq, try_copied, try_zeroed};
use crate::kernels::feature_panels::{PanelLayout, Plus, from_tokens};
use crate::kernels::mask_decoder::{HighResLayout, ImageSource};
use crate::nn::Trace;
use crate::weights::Scope;

/// The logit of every pixel of an object that is not there, in the reference's tracker (`NO_OBJ_SCORE`).
pub const NO_OBJECT_LOGIT: f32 = -1024.0;

/// Image embeddings and prompt tokens to masks.
#[derive(Debug)]
pub struct MaskDecoder {
    /// The object score token (SAM 2), the IoU token and the mask tokens, `[output tokens, C]`.
    output_tokens: Vec<f32>,
    transformer: TwoWayTransformer,
    upscaler: MaskUpscaler,
    outputs: OutputMlps,
    projections: ImageProjections,
    /// Position encodings of the tokens of the image embedding, in panels.
    positions: AlignedVec,
    /// The embedding that stands for a missing mask prompt, `[C]`.
    no_mask: Vec<f32>,
    has_high_res: bool,
    panels: PanelLayout,
    grid: usize,
    dim: usize,
}

/// An image embedding for each prompt, as the objects of a video have: memory attention conditions the features of a frame
/// on each of them.
#[derive(Clone, Copy, Debug)]
pub struct PromptImages<'a> {
    /// `[prompts, grid², C]`
    pub embeddings: &'a [f32],
    /// The frame's maps of higher resolution, as [`MaskDecoder::pack_high_res`] packs them.
    pub high_res: &'a [f32],
}

/// Encoded prompts, all with the same number of tokens.
#[derive(Clone, Copy, Debug)]
pub struct Prompts<'a> {
    /// Number of prompts.
    pub count: usize,
    /// Tokens, `[count, tokens, C]`.
    pub sparse: &'a [f32],
    /// Encoded mask prompts, `[count, grid², C]`; `None` stands for the no-mask embedding.
    pub dense: Option<&'a [f32]>,
}

/// Which masks the decoder makes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DecodeOptions {
    /// All masks of an ambiguous prompt, which are those of the mask tokens after the first; otherwise the mask of the
    /// first mask token alone.
    pub multimask: bool,
    /// If set, a single mask that is not stable is replaced by the mask of `multimask` with the highest predicted IoU.
    pub stability: Option<Stability>,
    /// If set, a prompt gets masks only if the predicted IoU of one of them is above this value; otherwise its part of
    /// [`Decoded::masks`] is not written. The IoU is predicted without masks, and making masks is a third of the work.
    pub least_iou: Option<f32>,
}

/// The outputs of the decoder.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// Logits, `[prompts, masks, 4 · grid, 4 · grid]`.
    pub masks: &'a mut [f32],
    /// The predicted IoU, `[prompts, masks]`.
    pub iou: &'a mut [f32],
    /// The logit that the object is visible, `[prompts]`; or an empty slice, if it is not needed.
    pub object_scores: &'a mut [f32],
    /// All mask tokens, `[prompts, 1 + multimask outputs, C]`, of which object pointers are made; or an empty slice, if
    /// they are not needed.
    pub tokens: &'a mut [f32],
}

impl MaskDecoder {
    /// Binds the decoder.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(
        scope: &Scope<'_>,
        config: &PromptHeadConfig<'_>,
        prompt_encoder: &PromptEncoder,
    ) -> Result<Self> {
        let PromptHeadConfig { names, dim, grid, decoder, .. } = *config;
        let scope = scope.at(names.mask_decoder);
        let outputs = OutputMlps::bind(&scope, config)?;
        let mut output_tokens = try_zeroed((outputs.first_mask_token() + outputs.masks()) * dim)?;
        let (score_tokens, mask_tokens) = output_tokens.split_at_mut(outputs.first_mask_token() * dim);
        let (object_token, iou_token) = score_tokens.split_at_mut(score_tokens.len() - dim);
        if !object_token.is_empty() {
            scope.f32_into("obj_score_token.weight", &[1, dim], object_token)?;
        }
        scope.f32_into("iou_token.weight", &[1, dim], iou_token)?;
        scope.f32_into("mask_tokens.weight", &[outputs.masks(), dim], mask_tokens)?;
        let transformer = scope.at("transformer");
        let panels = PanelLayout::new(scope.level(), grid * grid);
        let mut positions = AlignedVec::try_zeroed(panels.len(dim))?;
        let pe = prompt_encoder.dense_pe()?;
        let cx = Cx::serial(scope.level());
        from_tokens(&cx, panels, dim, &pe, Plus::Nothing, &mut positions[..panels.len(dim)]);
        let no_mask = prompt_encoder.no_mask();
        let first = transformer.at("layers.0");
        Ok(Self {
            output_tokens,
            transformer: TwoWayTransformer::bind(&transformer, config)?,
            upscaler: MaskUpscaler::bind(&scope, &names, dim)?,
            outputs,
            projections: ImageProjections::bind(&first, &names, dim, decoder.heads, no_mask, panels)?,
            positions,
            no_mask: try_copied(no_mask)?,
            has_high_res: decoder.extensions.high_res,
            panels,
            grid,
            dim,
        })
    }

    /// Length of what [`cache`](Self::cache) writes, in f32.
    pub fn cache_len(&self) -> usize {
        self.projections.cache_len() + self.high_res_len()
    }

    /// Prepares an image for many prompts ([`ImageSource::Shared`]): projects its `embedding: [grid², C]` and, in SAM 2,
    /// [packs](Self::pack_high_res) its maps of higher resolution into `cache: [cache_len]`.
    ///
    /// # Panics
    /// If a slice does not have its size, there are maps though the model adds none or the other way round, or the scratch
    /// is shorter than [`cache_scratch_req`](Self::cache_scratch_req).
    pub fn cache(
        &self,
        cx: &Cx,
        embedding: &[f32],
        high_res: Option<[&[f32]; 2]>,
        cache: &mut [f32],
        scratch: Scratch<'_>,
    ) {
        assert_eq!(cache.len(), self.cache_len(), "cache of an image");
        let (cache, packed) = cache.split_at_mut(self.projections.cache_len());
        self.projections.forward(cx, embedding, self.positions(), cache, scratch);
        assert_eq!(high_res.is_some(), self.has_high_res, "maps of higher resolution");
        if let Some(maps) = high_res {
            self.pack_high_res(cx, maps, packed);
        }
    }

    /// Scratch that [`cache`](Self::cache) needs.
    pub fn cache_scratch_req(&self, cx: &Cx) -> ScratchReq {
        self.projections.scratch_req(cx)
    }

    /// Length of what [`pack_high_res`](Self::pack_high_res) writes, in f32; 0 in SAM.
    pub fn high_res_len(&self) -> usize {
        self.maps().map_or(0, |maps| maps.packed_len())
    }

    /// The layout of the maps of higher resolution, `[(2 · grid)², C / 4]` and `[(4 · grid)², C / 8]`; `None` in SAM, which
    /// has no such maps. The packed maps are the end of a [`cache`](Self::cache).
    pub fn maps(&self) -> Option<HighResLayout> {
        self.has_high_res.then(|| self.high_res_layout())
    }

    /// Packs the maps of an image into `out: [high_res_len]`, in the order in which they are added. [`maps`](Self::maps) has
    /// their sizes.
    ///
    /// # Panics
    /// If a slice does not have its size.
    pub fn pack_high_res(&self, cx: &Cx, maps: [&[f32]; 2], out: &mut [f32]) {
        self.high_res_layout().pack(cx, maps, out);
    }

    /// Number of masks of a prompt.
    pub fn masks(&self, multimask: bool) -> usize {
        if multimask { self.outputs.masks() - 1 } else { 1 }
    }

    /// Decodes prompts, all with the same number of tokens.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than [`scratch_req`](Self::scratch_req).
    #[allow(clippy::too_many_arguments, reason = "images, prompts, options, outputs and a trace")]
    pub fn forward(
        &self,
        cx: &Cx,
        images: ImageSource<&[f32], PromptImages<'_>>,
        prompts: Prompts<'_>,
        options: &DecodeOptions,
        out: Decoded<'_>,
        mut scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
    ) {
        let (dim, Prompts { count, sparse, .. }) = (self.dim, prompts);
        let sparse_len = sparse.len() / count;
        assert_eq!(sparse.len(), count * (sparse_len / dim * dim), "tokens of {count} prompts");
        assert_eq!(out.iou.len(), count * self.masks(options.multimask), "predicted quality");
        let batch = self.batch([count, sparse_len / dim]);

        // Tokens: the output tokens, then those of the prompt.
        let [tokens, x] = scratch.take_all(self.buffers(batch));
        for (prompt, tokens) in tokens.chunks_exact_mut(batch.tokens * dim).enumerate() {
            let (output, sparse_out) = tokens.split_at_mut(self.output_tokens.len());
            output.copy_from_slice(&self.output_tokens);
            sparse_out.copy_from_slice(&sparse[prompt * sparse_len..][..sparse_len]);
        }

        // Two-way transformer. It keeps only the output tokens that are read.
        let (source, high_res) = self.image(cx, images, prompts, x);
        let wanted = self.wanted(options);
        let kept_masks = if out.tokens.is_empty() { wanted.clone() } else { 0..self.outputs.masks() };
        let (before_masks, first_mask) = (self.outputs.first_mask_token(), kept_masks.start);
        let kept = (0..before_masks).chain(kept_masks.clone().map(|mask| before_masks + mask));
        let image = ImageStream { source, features: &mut *x, positions: self.positions() };
        self.transformer.forward(cx, batch, image, kept, tokens, scratch.frame(), trace);
        let kept_len = (before_masks + kept_masks.len()) * dim;
        let tokens = OutputTokens { values: &tokens[..count * kept_len], prompts: count, dim };
        if !out.tokens.is_empty() {
            let masks_len = self.outputs.masks() * dim;
            assert_eq!(out.tokens.len(), count * masks_len, "mask tokens");
            let from = tokens.values.chunks_exact(kept_len);
            from.zip(out.tokens.chunks_exact_mut(masks_len))
                .for_each(|(from, to)| to.copy_from_slice(&from[before_masks * dim..]));
        }

        // Object score and predicted IoU.
        if !out.object_scores.is_empty() {
            assert_eq!(out.object_scores.len(), count, "object scores");
            self.outputs.object_scores(cx, tokens, out.object_scores, scratch.frame());
            trace.stage(format_args!("decoder.object_score"), out.object_scores);
        }
        let [quality, weights] = scratch.take_all(self.output_buffers(count, options));
        self.outputs.quality(cx, tokens, quality, scratch.frame());
        let of_prompts = quality.chunks_exact(self.outputs.masks());
        for (iou, all) in out.iou.chunks_exact_mut(self.masks(options.multimask)).zip(of_prompts) {
            iou.copy_from_slice(&all[wanted.start..][..iou.len()]);
        }

        // Masks: products of the weights that are made of mask tokens, and the upscaled features.
        self.outputs.mask_weights(cx, wanted, tokens, first_mask, weights, scratch.frame());
        trace.stage(format_args!("decoder.mask_weights"), weights);
        let least_iou = options.least_iou;
        let inputs = MaskInputs { prompts: count, features: x, high_res, weights, quality, least_iou };
        match options.stability {
            Some(stability) if !options.multimask => {
                self.stable_masks(cx, &inputs, stability, out.masks, out.iou, scratch, trace);
            }
            _ => self.all_masks(cx, &inputs, out.iou, out.masks, scratch, trace),
        }
        trace.stage(format_args!("decoder.iou"), out.iou);
        trace.stage(format_args!("decoder.masks"), out.masks);
    }

    /// Scratch that [`forward`](Self::forward) needs for `prompts` prompts of `sparse_tokens` tokens.
    pub fn scratch_req(
        &self,
        cx: &Cx,
        [prompts, sparse_tokens]: [usize; 2],
        options: &DecodeOptions,
    ) -> ScratchReq {
        let batch = self.batch([prompts, sparse_tokens]);
        let parts = self.outputs.scratch_req(cx, prompts).or(self.masks_scratch_req(cx, prompts, options));
        let outputs = ScratchReq::slices(self.output_buffers(prompts, options)).and(parts);
        ScratchReq::slices(self.buffers(batch)).and(self.transformer.scratch_req(cx, batch).or(outputs))
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.output_tokens[..])
            + self.transformer.bytes()
            + self.upscaler.bytes()
            + self.outputs.bytes()
            + self.projections.bytes()
            + size_of_val::<[f32]>(&self.positions)
            + size_of_val(&self.no_mask[..])
    }

    /// Where the first layer of the transformer finds the image, and the packed maps of higher resolution, if the model
    /// has such. Features that are not shared, because prompts have images or masks of their own, are written to `x`.
    fn image<'a>(
        &'a self,
        cx: &Cx,
        images: ImageSource<&'a [f32], PromptImages<'a>>,
        prompts: Prompts<'_>,
        x: &mut [f32],
    ) -> (ImageSource<ImageCache<'a>>, Option<&'a [f32]>) {
        let (panels, dim) = (self.panels, self.dim);
        let image_len = panels.pixels() * dim;
        assert!(prompts.dense.is_none_or(|dense| dense.len() == prompts.count * image_len), "encoded masks");
        let (image, high_res) = match images {
            ImageSource::Shared(cache) => {
                let (cache, high_res) = cache.split_at(self.projections.cache_len());
                let cache = self.projections.view(cache);
                let Some(dense) = prompts.dense else {
                    return (ImageSource::Shared(cache), self.has_high_res.then_some(high_res));
                };
                for (x, dense) in x.chunks_exact_mut(panels.len(dim)).zip(dense.chunks_exact(image_len)) {
                    from_tokens(cx, panels, dim, dense, Plus::Panels(cache.features), x);
                }
                (ImageSource::PerPrompt(()), high_res)
            }
            ImageSource::PerPrompt(PromptImages { embeddings, high_res }) => {
                assert_eq!(embeddings.len(), prompts.count * image_len, "an image for each prompt");
                let embeddings = embeddings.chunks_exact(image_len).enumerate();
                for (x, (i, embedding)) in x.chunks_exact_mut(panels.len(dim)).zip(embeddings) {
                    let plus = match prompts.dense {
                        None => Plus::Channels(&self.no_mask),
                        Some(dense) => Plus::Tokens(&dense[i * image_len..][..image_len]),
                    };
                    from_tokens(cx, panels, dim, embedding, plus, x);
                }
                (ImageSource::PerPrompt(()), high_res)
            }
        };
        (image, self.has_high_res.then_some(high_res))
    }

    /// The masks for which weights are made.
    fn wanted(&self, options: &DecodeOptions) -> Range<usize> {
        match (options.multimask, options.stability) {
            (true, _) => 1..self.outputs.masks(),
            (false, None) => 0..1,
            (false, Some(_)) => 0..self.outputs.masks(),
        }
    }

    /// Lengths of the tokens and of the image features of every prompt.
    fn buffers(&self, batch: Batch) -> [usize; 2] {
        [batch.rows() * self.dim, batch.prompts * self.panels.len(self.dim)]
    }

    /// Lengths of the predicted IoU of all masks and of the weights of those wanted.
    fn output_buffers(&self, prompts: usize, options: &DecodeOptions) -> [usize; 2] {
        let weights = prompts * self.wanted(options).len() * self.upscaler.outputs();
        [prompts * self.outputs.masks(), weights]
    }

    fn batch(&self, [prompts, sparse_tokens]: [usize; 2]) -> Batch {
        let output_tokens = self.output_tokens.len() / self.dim;
        Batch { prompts, tokens: output_tokens + sparse_tokens, panels: self.panels }
    }

    fn high_res_layout(&self) -> HighResLayout {
        self.upscaler.high_res_layout(self.panels, self.grid)
    }

    fn positions(&self) -> &[f32] {
        &self.positions[..self.panels.len(self.dim)]
    }
}
