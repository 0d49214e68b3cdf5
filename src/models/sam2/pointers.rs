//! Object pointers: vectors that describe an object on a frame, made of an output token of the mask decoder.

use alloc::vec::Vec;

use super::Sam2Config;
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::conv::Patches;
use crate::kernels::gemm::{Destination, Rows};
use crate::models::sam::relu_mlp::ReluMlp;
use crate::models::sam::{DecoderNames, Naming};
use crate::nn::Linear;
use crate::weights::Scope;

/// Makes object pointers of output tokens, and mask prompts of given masks, from which the decoder then makes a token.
#[derive(Debug)]
pub struct ObjectPointers {
    /// `obj_ptr_proj`
    projection: Projection,
    /// `no_obj_ptr`, `[C]`; `None` in models without object scores.
    no_object: Option<Vec<f32>>,
    /// Whether `no_object` replaces the pointer of an object that is not visible; otherwise it is added to it.
    fixed: bool,
    /// Whether the probability that the object is visible weighs `no_object`; otherwise it is 0 or 1.
    soft: bool,
    /// A convolution of 4 × 4 pixels with stride 4.
    mask_downsample: Linear,
}

#[derive(Debug)]
enum Projection {
    Mlp(ReluMlp),
    Linear(Linear),
}

/// Side of the patches of `mask_downsample`.
const PATCH: usize = 4;
/// Layers of `obj_ptr_proj`.
const DEPTH: usize = 3;

impl ObjectPointers {
    pub(super) fn bind(scope: &Scope<'_>, naming: Naming, config: &Sam2Config) -> Result<Self> {
        let (projection, no_object) = match naming {
            Naming::HuggingFace => ("object_pointer_proj", "no_object_pointer"),
            Naming::Original => ("obj_ptr_proj", "no_obj_ptr"),
        };
        let dim = config.dim;
        let projection = scope.at(projection);
        let mask = scope.at("mask_downsample");
        let weight = mask.f32("weight", &[1, 1, PATCH, PATCH])?;
        let bias = mask.f32("bias", &[1])?;
        Ok(Self {
            projection: if projection.contains("weight") {
                Projection::Linear(Linear::bind(&projection, [dim, dim])?)
            } else {
                Projection::Mlp(ReluMlp::bind(&projection, &DecoderNames::sam2(naming), [dim; 3], DEPTH)?)
            },
            no_object: scope.contains(no_object).then(|| scope.f32(no_object, &[1, dim])).transpose()?,
            fixed: config.tracking.fixed_no_object_pointer,
            soft: config.tracking.soft_no_object_pointer,
            mask_downsample: Linear::new(scope.packing(), [1, PATCH * PATCH], &weight, Some(bias))?,
        })
    }

    /// `out ← pointer` of the output token `token: [C]`; `object_score` is the logit that the object is visible.
    pub fn forward(&self, cx: &Cx, token: &[f32], object_score: f32, out: &mut [f32], scratch: Scratch<'_>) {
        let row = Rows::new(token, 1, token.len());
        match &self.projection {
            Projection::Mlp(mlp) => mlp.forward(cx, &row, out, scratch),
            Projection::Linear(linear) => {
                let stride = out.len();
                linear.forward(cx, &row, Activation::None, Destination::Store { out, stride }, scratch);
            }
        }
        let seen = match self.soft {
            true => 1.0 / (1.0 + libm::expf(-object_score)),
            false => f32::from(object_score > 0.0),
        };
        self.mix(seen, out);
    }

    /// `pointer ← seen · pointer + (1 − seen) · no_object`, where `seen` is the probability that the object is visible. The
    /// reference repeats this for a given mask, with `seen` 0 if the mask is empty and 1 if not.
    pub fn mix(&self, seen: f32, pointer: &mut [f32]) {
        let Some(no_object) = &self.no_object else { return };
        let kept = if self.fixed { seen } else { 1.0 };
        for (to, no_object) in pointer.iter_mut().zip(no_object) {
            *to = kept * *to + (1.0 - seen) * no_object;
        }
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx) -> ScratchReq {
        match &self.projection {
            Projection::Mlp(mlp) => mlp.scratch_req(cx, 1),
            Projection::Linear(linear) => linear.scratch_req(cx, 1),
        }
    }

    /// `out: [side / 4, side / 4]` ← the mask prompt with which the decoder makes the output token of a given
    /// `mask: [side, side]` of zeros and ones.
    pub fn mask_prompt(&self, cx: &Cx, side: usize, mask: &[f32], out: &mut [f32], scratch: Scratch<'_>) {
        let patches = Patches::new(mask, 1, side, side, PATCH);
        let output = Destination::Store { out, stride: 1 };
        self.mask_downsample.forward(cx, &patches, Activation::None, output, scratch);
    }

    /// Scratch that [`mask_prompt`](Self::mask_prompt) needs.
    pub fn mask_prompt_scratch_req(&self, cx: &Cx, side: usize) -> ScratchReq {
        self.mask_downsample.scratch_req(cx, (side / PATCH) * (side / PATCH))
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        let projection = match &self.projection {
            Projection::Mlp(mlp) => mlp.bytes(),
            Projection::Linear(linear) => linear.bytes(),
        };
        let no_object = self.no_object.as_ref().map_or(0, |values| size_of_val(&values[..]));
        projection + no_object + self.mask_downsample.bytes()
    }
}
