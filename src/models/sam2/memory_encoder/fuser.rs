//! Fuser: ConvNeXt blocks (Liu et al., 2022).

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, TryCollect};
use crate::kernels::activation::Activation;
use crate::kernels::conv::ConvShape;
use crate::kernels::gemm::{Destination, Rows};
use crate::models::sam::Naming;
use crate::nn::{Conv2d, LayerNorm, Linear, Trace};
use crate::weights::Scope;

/// A stack of ConvNeXt blocks.
#[derive(Debug)]
pub(super) struct Fuser {
    layers: Vec<CxBlock>,
}

/// `x += γ · pwconv2(gelu(pwconv1(norm(dwconv(x)))))`; the layer scale `γ` is multiplied into `pwconv2`.
#[derive(Debug)]
struct CxBlock {
    dwconv: Conv2d,
    norm: LayerNorm,
    pwconv1: Linear,
    pwconv2: Linear,
}

const EPS: f32 = 1e-6;
/// Most blocks of a checkpoint; those of SAM 2 have two.
const MAX_LAYERS: usize = 64;
/// Tokens that pass through both linear layers at a time, which bounds the memory of their inner features.
const TOKENS: usize = 512;

impl CxBlock {
    fn bind(scope: &Scope<'_>, naming: Naming, dim: usize) -> Result<Self> {
        let [dwconv, norm, pwconv1, pwconv2, gamma] = match naming {
            Naming::HuggingFace => {
                ["depthwise_conv", "layer_norm", "pointwise_conv1", "pointwise_conv2", "scale"]
            }
            Naming::Original => ["dwconv", "norm", "pwconv1", "pwconv2", "gamma"],
        };
        let [inner, _] = scope.at(pwconv1).dims("weight")?;
        let last = scope.at(pwconv2);
        let mut weight = last.f32("weight", &[dim, inner])?;
        let mut bias = last.f32("bias", &[dim])?;
        // Checkpoints that were trained without layer scale have none.
        if scope.contains(gamma) {
            let gamma = scope.f32(gamma, &[dim])?;
            for ((weight, bias), gamma) in weight.chunks_exact_mut(inner).zip(&mut bias).zip(gamma) {
                weight.iter_mut().for_each(|weight| *weight *= gamma);
                *bias *= gamma;
            }
        }
        Ok(Self {
            dwconv: Conv2d::bind(&scope.at(dwconv), ConvShape::depthwise(dim, [7; 2]).with_padding([3; 2]))?,
            norm: LayerNorm::bind(&scope.at(norm), dim, EPS)?,
            pwconv1: Linear::bind(&scope.at(pwconv1), [inner, dim])?,
            pwconv2: Linear::new(scope.packing(), [dim, inner], &weight, Some(bias))?,
        })
    }

    /// For `x: [grid, grid, C]`.
    fn forward(&self, cx: &Cx, grid: usize, x: &mut [f32], mut scratch: Scratch<'_>) {
        let (dim, inner) = (self.pwconv1.inputs(), self.pwconv1.outputs());
        let y = scratch.take(grid * grid * dim);
        self.dwconv.forward(cx, [grid; 2], x, Activation::None, y, scratch.frame());
        self.norm.forward_in_place(cx, y);
        for (x, y) in x.chunks_mut(TOKENS * dim).zip(y.chunks(TOKENS * dim)) {
            let tokens = x.len() / dim;
            let mut scratch = scratch.frame();
            let h = scratch.take(tokens * inner);
            let hidden = Destination::Store { out: h, stride: inner };
            self.pwconv1.forward(cx, &Rows::new(y, tokens, dim), Activation::Gelu, hidden, scratch.frame());
            let residual = Destination::Add { out: x, stride: dim };
            self.pwconv2.forward(cx, &Rows::new(h, tokens, inner), Activation::None, residual, scratch);
        }
    }

    fn scratch_req(&self, cx: &Cx, grid: usize) -> ScratchReq {
        let (dim, inner) = (self.pwconv1.inputs(), self.pwconv1.outputs());
        let tokens = TOKENS.min(grid * grid);
        let products = self.pwconv1.scratch_req(cx, tokens).or(self.pwconv2.scratch_req(cx, tokens));
        let layers = ScratchReq::slice(tokens * inner).and(products);
        ScratchReq::slice(grid * grid * dim).and(self.dwconv.scratch_req(cx, [grid; 2]).or(layers))
    }

    fn bytes(&self) -> usize {
        self.dwconv.bytes() + self.norm.bytes() + self.pwconv1.bytes() + self.pwconv2.bytes()
    }
}

impl Fuser {
    pub(super) fn bind(scope: &Scope<'_>, naming: Naming, dim: usize) -> Result<Self> {
        let layers = scope.at("layers");
        let first = match naming {
            Naming::HuggingFace => "depthwise_conv.weight",
            Naming::Original => "dwconv.weight",
        };
        let present = (0..MAX_LAYERS).take_while(|i| layers.at(i).contains(first));
        Ok(Self { layers: present.map(|i| CxBlock::bind(&layers.at(i), naming, dim)).try_values()? })
    }

    /// For `x: [grid, grid, C]`, in place.
    pub(super) fn forward(
        &self,
        cx: &Cx,
        grid: usize,
        x: &mut [f32],
        mut scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
    ) {
        for (i, layer) in self.layers.iter().enumerate() {
            layer.forward(cx, grid, x, scratch.frame());
            trace.stage(format_args!("memory_encoder.fuser.layers.{i}"), x);
        }
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, grid: usize) -> ScratchReq {
        ScratchReq::any(self.layers.iter().map(|layer| layer.scratch_req(cx, grid)))
    }

    pub(super) fn bytes(&self) -> usize {
        self.layers.iter().map(CxBlock::bytes).sum()
    }
}
