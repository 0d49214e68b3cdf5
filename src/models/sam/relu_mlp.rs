//! The perceptron that reads a token, of any depth and without a residual: hypernetworks, IoU head, object score head and
//! object pointer. ([`nn::Mlp`](crate::nn::Mlp) is the MLP of transformer blocks.)

use alloc::vec::Vec;

use super::naming::DecoderNames;
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, TryCollect};
use crate::kernels::activation::Activation;
use crate::kernels::gemm::{Destination, Rows};
use crate::nn::Linear;
use crate::weights::Scope;

/// Linear layers with ReLU between them (`MLP` in `mask_decoder.py` of `segment-anything`).
#[derive(Debug)]
pub struct ReluMlp {
    layers: Vec<Linear>,
}

impl ReluMlp {
    /// Binds `depth` layers from `inputs` over `hidden` to `outputs` features.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    ///
    /// # Panics
    /// If `depth` is 0.
    pub fn bind(
        scope: &Scope<'_>,
        names: &DecoderNames,
        [inputs, hidden, outputs]: [usize; 3],
        depth: usize,
    ) -> Result<Self> {
        assert!(depth > 0, "a perceptron without layers");
        let layer = |i: usize| {
            let inputs = if i == 0 { inputs } else { hidden };
            let outputs = if i + 1 == depth { outputs } else { hidden };
            Linear::bind(&scope.at(names.mlp_layer(i, depth)), [outputs, inputs])
        };
        Ok(Self { layers: (0..depth).map(layer).try_values()? })
    }

    /// Binds a perceptron of one layer, which is at `scope` itself.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn linear(scope: &Scope<'_>, [inputs, outputs]: [usize; 2]) -> Result<Self> {
        Ok(Self { layers: alloc::vec![Linear::bind(scope, [outputs, inputs])?] })
    }

    /// `out ← layers(x)`, for `out: [rows, outputs]`.
    pub fn forward(&self, cx: &Cx, x: &Rows<'_>, out: &mut [f32], mut scratch: Scratch<'_>) {
        let rows = out.len() / self.outputs();
        let [mut from, mut to] = scratch.take_all(self.buffers(rows));
        let (last, hidden) = self.layers.split_last().expect("`bind` makes at least one");
        let mut lhs = *x;
        for layer in hidden {
            let stride = layer.outputs();
            let output = Destination::Store { out: &mut to[..rows * stride], stride };
            layer.forward(cx, &lhs, Activation::Relu, output, scratch.frame());
            core::mem::swap(&mut from, &mut to);
            lhs = Rows::new(&from[..rows * stride], rows, stride);
        }
        let output = Destination::Store { out, stride: last.outputs() };
        last.forward(cx, &lhs, Activation::None, output, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs for `rows` rows.
    pub fn scratch_req(&self, cx: &Cx, rows: usize) -> ScratchReq {
        let layers = self.layers.iter().map(|layer| layer.scratch_req(cx, rows));
        ScratchReq::slices(self.buffers(rows)).and(ScratchReq::any(layers))
    }

    /// Features of the output.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, Linear::outputs)
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.layers.iter().map(Linear::bytes).sum()
    }

    /// Lengths of what a layer reads and of what it writes, between the layers.
    fn buffers(&self, rows: usize) -> [usize; 2] {
        [rows * self.layers[0].outputs(); 2]
    }
}
