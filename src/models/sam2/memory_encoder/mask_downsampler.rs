//! Mask downsampler: convolutions that halve the sides and quadruple the channels.

use alloc::vec::Vec;

use super::pointwise;
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, TryCollect};
use crate::kernels::activation::{self, Activation};
use crate::kernels::conv::ConvShape;
use crate::kernels::gemm::{Destination, Rows};
use crate::models::sam::Naming;
use crate::nn::{Conv2d, LayerNorm, Linear};
use crate::weights::Scope;

/// Four times a convolution of 3 × 3 with stride 2, layer norm and GELU; then a convolution of 1 × 1.
#[derive(Debug)]
pub(super) struct MaskDownsampler {
    layers: Vec<(Conv2d, LayerNorm)>,
    last: Linear,
}

/// Number of halvings: 16 × 16 pixels become a token.
const LAYERS: usize = 4;
const EPS: f32 = 1e-6;

impl MaskDownsampler {
    pub(super) fn bind(scope: &Scope<'_>, naming: Naming, dim: usize) -> Result<Self> {
        let layer = |i: usize| {
            let [conv, norm] = match naming {
                Naming::HuggingFace => ["conv", "layer_norm"].map(|part| scope.at("layers").at(i).at(part)),
                // A list of convolution, norm, activation, …
                Naming::Original => [3 * i, 3 * i + 1].map(|place| scope.at("encoder").at(place)),
            };
            let [inputs, outputs] = [1 << (2 * i), 4 << (2 * i)];
            let shape = ConvShape::new(inputs, outputs, [3; 2]).with_stride([2; 2]).with_padding([1; 2]);
            Ok((Conv2d::bind(&conv, shape)?, LayerNorm::bind(&norm, outputs, EPS)?))
        };
        let last = match naming {
            Naming::HuggingFace => scope.at("final_conv"),
            Naming::Original => scope.at("encoder").at(3 * LAYERS),
        };
        Ok(Self {
            layers: (0..LAYERS).map(layer).try_values()?,
            last: pointwise(&last, [dim, 1 << (2 * LAYERS)])?,
        })
    }

    /// `out: [side / 16, side / 16, C]` ← `mask: [side, side]`, which is overwritten.
    pub(super) fn forward(
        &self,
        cx: &Cx,
        side: usize,
        mask: &mut [f32],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        // The output of every layer is as long as the mask.
        let (mut from, mut to) = (mask, scratch.take(side * side));
        let mut side = side;
        for (conv, norm) in &self.layers {
            conv.forward(cx, [side; 2], from, Activation::None, to, scratch.frame());
            norm.forward_in_place(cx, to);
            activation::forward_parallel(cx, Activation::Gelu, to);
            core::mem::swap(&mut from, &mut to);
            side /= 2;
        }
        let rows = Rows::new(from, side * side, self.last.inputs());
        let output = Destination::Store { out, stride: self.last.outputs() };
        self.last.forward(cx, &rows, Activation::None, output, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, side: usize) -> ScratchReq {
        let convs = self.layers.iter().enumerate().map(|(i, (conv, _))| conv.scratch_req(cx, [side >> i; 2]));
        let tokens = (side >> LAYERS) * (side >> LAYERS);
        ScratchReq::slice(side * side).and(self.last.scratch_req(cx, tokens).or(ScratchReq::any(convs)))
    }

    pub(super) fn bytes(&self) -> usize {
        self.layers.iter().map(|(conv, norm)| conv.bytes() + norm.bytes()).sum::<usize>() + self.last.bytes()
    }
}
