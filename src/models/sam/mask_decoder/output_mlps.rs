//! What the mask decoder reads from its output tokens: quality, presence of the object, and the masks' weights.

use alloc::vec::Vec;
use core::ops::Range;

use crate::error::Result;
use crate::exec::{Cx, Scratch, padded};
use crate::kernels::gemm::Rows;
use crate::models::sam::config::PromptHeadConfig;
use crate::models::sam::relu_mlp::ReluMlp;
use crate::weights::Scope;

/// The heads of the output tokens, which are, of every prompt: in SAM 2 the object score token, the IoU token, and mask
/// tokens.
#[derive(Debug)]
pub(super) struct OutputMlps {
    /// Whether the object is there, of its own token; SAM 2.
    pred_obj_score_head: Option<ReluMlp>,
    /// The IoU of all masks, of the IoU token.
    iou_prediction_head: ReluMlp,
    /// Whether a sigmoid follows.
    iou_sigmoid: bool,
    /// One for every mask token.
    output_hypernetworks_mlps: Vec<ReluMlp>,
}

/// Tokens of some prompts as the transformer leaves them: `[prompts, others + masks, C]`.
#[derive(Clone, Copy)]
pub(super) struct OutputTokens<'a> {
    pub(super) values: &'a [f32],
    pub(super) prompts: usize,
    pub(super) dim: usize,
}

impl<'a> OutputTokens<'a> {
    /// Token `index` of every prompt, as rows.
    fn rows(&self, index: usize) -> Rows<'a> {
        let stride = self.values.len() / self.prompts;
        Rows::strided(&self.values[index * self.dim..], self.prompts, self.dim, stride)
    }
}

impl OutputMlps {
    /// Binds the heads of the mask decoder `scope`.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub(super) fn bind(scope: &Scope<'_>, config: &PromptHeadConfig<'_>) -> Result<Self> {
        let PromptHeadConfig { names, dim, decoder, .. } = config;
        let (dim, masks) = (*dim, decoder.multimask_outputs + 1);
        let object_score = scope.at("pred_obj_score_head");
        let hypernetworks = scope.at("output_hypernetworks_mlps");
        let iou = scope.at("iou_prediction_head");
        Ok(Self {
            pred_obj_score_head: match decoder.extensions.object_score_layers {
                0 => None,
                1 => Some(ReluMlp::linear(&object_score, [dim, 1])?),
                layers => Some(ReluMlp::bind(&object_score, names, [dim, dim, 1], layers)?),
            },
            iou_prediction_head: ReluMlp::bind(
                &iou,
                names,
                [dim, decoder.iou_hidden, masks],
                decoder.iou_depth,
            )?,
            iou_sigmoid: decoder.extensions.iou_sigmoid,
            output_hypernetworks_mlps: (0..masks)
                .map(|i| ReluMlp::bind(&hypernetworks.at(i), names, [dim, dim, dim / 8], 3))
                .collect::<Result<_>>()?,
        })
    }

    /// Mask tokens.
    pub(super) fn masks(&self) -> usize {
        self.output_hypernetworks_mlps.len()
    }

    /// Index of the first mask token: there are as many output tokens before it.
    pub(super) fn first_mask_token(&self) -> usize {
        1 + usize::from(self.pred_obj_score_head.is_some())
    }

    /// Whether the object of each prompt is there, as logits: `out: [prompts]`. 10 if the model has no such head, as in
    /// the reference.
    pub(super) fn object_scores(
        &self,
        cx: &Cx,
        tokens: OutputTokens<'_>,
        out: &mut [f32],
        scratch: Scratch<'_>,
    ) {
        match &self.pred_obj_score_head {
            Some(head) => head.forward(cx, &tokens.rows(0), out, scratch),
            None => out.fill(10.0),
        }
    }

    /// The predicted quality of all masks, `out: [prompts, masks]`.
    pub(super) fn quality(&self, cx: &Cx, tokens: OutputTokens<'_>, out: &mut [f32], scratch: Scratch<'_>) {
        self.iou_prediction_head.forward(cx, &tokens.rows(self.first_mask_token() - 1), out, scratch);
        if self.iou_sigmoid {
            out.iter_mut().for_each(|iou| *iou = 1.0 / (1.0 + libm::expf(-*iou)));
        }
    }

    /// The weights that the hypernetworks `wanted` make of their tokens, of which the first is mask token
    /// `first_token`: `out: [prompts, wanted, C / 8]`.
    pub(super) fn mask_weights(
        &self,
        cx: &Cx,
        wanted: Range<usize>,
        tokens: OutputTokens<'_>,
        first_token: usize,
        out: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let (count, channels) = (wanted.len(), self.channels());
        let one = scratch.take(tokens.prompts * channels);
        for (i, mask) in wanted.enumerate() {
            let token = tokens.rows(self.first_mask_token() + mask - first_token);
            self.output_hypernetworks_mlps[mask].forward(cx, &token, one, scratch.frame());
            for (prompt, one) in one.chunks_exact(channels).enumerate() {
                out[(prompt * count + i) * channels..][..channels].copy_from_slice(one);
            }
        }
    }

    /// Scratch that any of the heads needs for `prompts` prompts, in f32.
    pub(super) fn scratch_len(&self, cx: &Cx, prompts: usize) -> usize {
        let of_quality = self.iter().map(|mlp| mlp.scratch_len(cx, prompts)).fold(0, usize::max);
        padded(prompts * self.channels()) + of_quality
    }

    /// Bytes of weights held.
    pub(super) fn bytes(&self) -> usize {
        self.iter().map(ReluMlp::bytes).sum()
    }

    /// Weights of a mask.
    fn channels(&self) -> usize {
        self.output_hypernetworks_mlps[0].outputs()
    }

    fn iter(&self) -> impl Iterator<Item = &ReluMlp> {
        self.pred_obj_score_head
            .iter()
            .chain([&self.iou_prediction_head])
            .chain(&self.output_hypernetworks_mlps)
    }
}
