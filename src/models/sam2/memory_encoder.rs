//! Memory encoder: makes a memory of the features of a frame and the mask of an object.

mod fuser;
mod mask_downsampler;

use alloc::vec::Vec;

use self::fuser::Fuser;
use self::mask_downsampler::MaskDownsampler;
use super::{MemoryConfig, Sam2Config, naming};
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::{self, Activation};
use crate::kernels::convert::f32_to_bf16;
use crate::kernels::gemm::{Destination, Rows};
use crate::models::sam::Naming;
use crate::nn::{Linear, Trace};
use crate::weights::Scope;

/// `memory = out_proj(fuser(pix_feat_proj(features) + mask_downsampler(mask)))`.
#[derive(Debug)]
pub struct MemoryEncoder {
    grid: usize,
    mask_downsampler: MaskDownsampler,
    pix_feat_proj: Linear,
    fuser: Fuser,
    /// `None` if a memory has as many channels as the features.
    out_proj: Option<Linear>,
    /// `no_obj_embed_spatial`, `[D]`: added to the memory of a frame in which the object is not visible.
    no_object: Option<Vec<f32>>,
    scale: f32,
    bias: f32,
}

impl MemoryEncoder {
    pub(super) fn bind(
        scope: &Scope<'_>,
        naming: Naming,
        config: &Sam2Config,
        memory: &MemoryConfig,
    ) -> Result<Self> {
        let encoder = scope.at("memory_encoder");
        let [features, fuser, out] = match naming {
            Naming::HuggingFace => ["feature_projection", "memory_fuser", "projection"],
            Naming::Original => ["pix_feat_proj", "fuser", "out_proj"],
        };
        let (dim, out) = (config.dim, encoder.at(out));
        let no_object = naming::memory(naming).no_object_spatial;
        Ok(Self {
            grid: config.grid(),
            mask_downsampler: MaskDownsampler::bind(&encoder.at("mask_downsampler"), naming, dim)?,
            pix_feat_proj: pointwise(&encoder.at(features), [dim, dim])?,
            fuser: Fuser::bind(&encoder.at(fuser), naming, dim)?,
            out_proj: if memory.dim != dim || out.contains("weight") {
                Some(pointwise(&out, [memory.dim, dim])?)
            } else {
                None
            },
            no_object: memory
                .no_object_spatial
                .then(|| scope.f32(no_object, &[1, memory.dim]))
                .transpose()?,
            scale: memory.sigmoid_scale,
            bias: memory.sigmoid_bias,
        })
    }

    /// `out: [g², D]`, bfloat16 ← the memory of a frame with the features `top: [g², C]` and an object with the logits
    /// `mask: [16 g, 16 g]`.
    ///
    /// Logits become probabilities, or 0 and 1 with `binarize`, and are then scaled. Memories are rounded to bfloat16, as
    /// in the reference, which does so even if it computes in f32.
    ///
    /// # Panics
    /// If a slice does not have its size, or the scratch is shorter than [`scratch_req`](Self::scratch_req).
    #[allow(clippy::too_many_arguments, reason = "two inputs, two flags, an output and a trace")]
    pub fn forward(
        &self,
        cx: &Cx,
        top: &[f32],
        mask: &[f32],
        binarize: bool,
        object_appears: bool,
        out: &mut [u16],
        mut scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
    ) {
        let (side, tokens, dim) = (16 * self.grid, self.grid * self.grid, self.pix_feat_proj.outputs());
        assert_eq!((top.len(), out.len()), (tokens * dim, tokens * self.dim()), "features and memory");
        assert_eq!(mask.len(), side * side, "a mask");
        let x = scratch.take(tokens * dim);
        {
            let mut scratch = scratch.frame();
            let scaled = scratch.take(side * side);
            if binarize {
                let values = [self.bias, self.scale + self.bias];
                scaled.iter_mut().zip(mask).for_each(|(to, &logit)| *to = values[usize::from(logit > 0.0)]);
            } else {
                activation::scaled_sigmoid(cx, mask, self.scale, self.bias, scaled);
            }
            self.mask_downsampler.forward(cx, side, scaled, x, scratch);
        }
        trace.stage(format_args!("memory_encoder.mask_downsampler"), x);
        let sum = Destination::Add { out: x, stride: dim };
        let features = Rows::new(top, tokens, dim);
        self.pix_feat_proj.forward(cx, &features, Activation::None, sum, scratch.frame());
        self.fuser.forward(cx, self.grid, x, scratch.frame(), trace);

        let memory = match &self.out_proj {
            Some(out_proj) => {
                let memory = scratch.take(tokens * out_proj.outputs());
                let output = Destination::Store { out: memory, stride: out_proj.outputs() };
                out_proj.forward(cx, &Rows::new(x, tokens, dim), Activation::None, output, scratch);
                memory
            }
            None => x,
        };
        if let Some(no_object) = self.no_object.as_ref().filter(|_| !object_appears) {
            for memory in memory.chunks_exact_mut(no_object.len()) {
                memory.iter_mut().zip(no_object).for_each(|(to, no_object)| *to += no_object);
            }
        }
        trace.stage(format_args!("memory_encoder"), memory);
        f32_to_bf16(memory, out);
    }

    /// Channels of a memory.
    pub fn dim(&self) -> usize {
        self.out_proj.as_ref().map_or(self.pix_feat_proj.outputs(), Linear::outputs)
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx) -> ScratchReq {
        let (side, tokens, dim) = (16 * self.grid, self.grid * self.grid, self.pix_feat_proj.outputs());
        let out_proj = self.out_proj.as_ref().map_or(ScratchReq::NONE, |out_proj| {
            ScratchReq::slice(tokens * out_proj.outputs()).and(out_proj.scratch_req(cx, tokens))
        });
        ScratchReq::slice(tokens * dim).and(ScratchReq::any([
            ScratchReq::slice(side * side).and(self.mask_downsampler.scratch_req(cx, side)),
            self.pix_feat_proj.scratch_req(cx, tokens),
            self.fuser.scratch_req(cx, self.grid),
            out_proj,
        ]))
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.mask_downsampler.bytes()
            + self.pix_feat_proj.bytes()
            + self.fuser.bytes()
            + self.out_proj.as_ref().map_or(0, Linear::bytes)
            + self.no_object.as_ref().map_or(0, |values| size_of_val(&values[..]))
    }
}

/// A convolution of 1 × 1: a linear layer of every pixel.
fn pointwise(scope: &Scope<'_>, [outputs, inputs]: [usize; 2]) -> Result<Linear> {
    let weight = scope.f32("weight", &[outputs, inputs, 1, 1])?;
    Linear::new(scope.packing(), [outputs, inputs], &weight, Some(scope.f32("bias", &[outputs])?))
}
