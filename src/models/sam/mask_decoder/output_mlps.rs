//! The perceptrons that read the output tokens: object score, predicted IoU, and the weights of the masks.

use alloc::vec::Vec;
use core::ops::Range;

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, TryCollect};
use crate::kernels::gemm::Rows;
use crate::models::sam::config::PromptHeadConfig;
use crate::models::sam::relu_mlp::ReluMlp;
use crate::weights::Scope;

/// One perceptron for every output token. The output tokens of a prompt are the object score token (SAM 2), the IoU token
/// and the mask tokens.
#[derive(Debug)]
pub(super) struct OutputMlps {
    /// The object score token to the logit that the object is visible; SAM 2.
    pred_obj_score_head: Option<ReluMlp>,
    /// The IoU token to the IoU of all masks.
    iou_prediction_head: ReluMlp,
    /// Whether a sigmoid follows the IoU head.
    iou_sigmoid: bool,
    /// Each mask token to the weights of its mask.
    output_hypernetworks_mlps: Vec<ReluMlp>,
}

/// The output tokens as the transformer leaves them.
#[derive(Clone, Copy)]
pub(super) struct OutputTokens<'a> {
    /// `[prompts, first_mask_token + kept masks, C]`
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
    /// Binds the perceptrons of the mask decoder at `scope`.
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
                .try_values()?,
        })
    }

    /// Number of mask tokens.
    pub(super) fn masks(&self) -> usize {
        self.output_hypernetworks_mlps.len()
    }

    /// Index of the first mask token among the output tokens.
    pub(super) fn first_mask_token(&self) -> usize {
        1 + usize::from(self.pred_obj_score_head.is_some())
    }

    /// The logit that the object of each prompt is visible, `out: [prompts]`; 10 if the model has no object score head, as
    /// in the reference.
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

    /// The predicted IoU of all masks, `out: [prompts, masks]`.
    pub(super) fn quality(&self, cx: &Cx, tokens: OutputTokens<'_>, out: &mut [f32], scratch: Scratch<'_>) {
        self.iou_prediction_head.forward(cx, &tokens.rows(self.first_mask_token() - 1), out, scratch);
        if self.iou_sigmoid {
            out.iter_mut().for_each(|iou| *iou = 1.0 / (1.0 + libm::expf(-*iou)));
        }
    }

    /// The weights of the masks `wanted`, `out: [prompts, wanted, C / 8]`. `first_token` is the first mask that has a token
    /// in `tokens`.
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
        let one = scratch.take(self.weights_len(tokens.prompts));
        for (i, mask) in wanted.enumerate() {
            let token = tokens.rows(self.first_mask_token() + mask - first_token);
            self.output_hypernetworks_mlps[mask].forward(cx, &token, one, scratch.frame());
            for (prompt, one) in one.chunks_exact(channels).enumerate() {
                out[(prompt * count + i) * channels..][..channels].copy_from_slice(one);
            }
        }
    }

    /// Scratch that any of the perceptrons needs for `prompts` prompts.
    pub(super) fn scratch_req(&self, cx: &Cx, prompts: usize) -> ScratchReq {
        let mlps = self.iter().map(|mlp| mlp.scratch_req(cx, prompts));
        ScratchReq::slice(self.weights_len(prompts)).and(ScratchReq::any(mlps))
    }

    /// Bytes of weights held.
    pub(super) fn bytes(&self) -> usize {
        self.iter().map(ReluMlp::bytes).sum()
    }

    /// Number of weights of a mask.
    fn channels(&self) -> usize {
        self.output_hypernetworks_mlps[0].outputs()
    }

    /// Length of the weights of one mask of each of `prompts` prompts.
    fn weights_len(&self, prompts: usize) -> usize {
        prompts * self.channels()
    }

    fn iter(&self) -> impl Iterator<Item = &ReluMlp> {
        self.pred_obj_score_head
            .iter()
            .chain([&self.iou_prediction_head])
            .chain(&self.output_hypernetworks_mlps)
    }
}
