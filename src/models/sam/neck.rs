//! The neck of the image encoder: from the features of a transformer to those of an embedding.

use super::naming::Naming;
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::conv::ConvShape;
use crate::nn::{Conv2d, LayerNorm};
use crate::weights::Scope;

/// `norm2(conv2(norm1(conv1(x))))`: a convolution of 1 × 1, one of 3 × 3, both without bias, and norms over channels.
#[derive(Debug)]
pub(super) struct Neck {
    conv1: Conv2d,
    norm1: LayerNorm,
    conv2: Conv2d,
    norm2: LayerNorm,
}

/// `LayerNorm2d`'s, whatever the configuration says for other norms.
const EPS: f32 = 1e-6;

impl Neck {
    /// Binds the neck of the encoder `scope`, from `inputs` to `outputs` channels.
    pub(super) fn bind(scope: &Scope<'_>, naming: Naming, [inputs, outputs]: [usize; 2]) -> Result<Self> {
        let [conv1, norm1, conv2, norm2] = naming.encoder().neck.map(|name| scope.at(name));
        let shape = ConvShape::new(outputs, outputs, [3, 3]).with_padding([1, 1]);
        Ok(Self {
            conv1: Conv2d::bind_without_bias(&conv1, ConvShape::new(inputs, outputs, [1, 1]))?,
            norm1: LayerNorm::bind(&norm1, outputs, EPS)?,
            conv2: Conv2d::bind_without_bias(&conv2, shape)?,
            norm2: LayerNorm::bind(&norm2, outputs, EPS)?,
        })
    }

    /// `x: [grid, grid, inputs]` to `out: [grid, grid, outputs]`.
    pub(super) fn forward(&self, cx: &Cx, grid: usize, x: &[f32], out: &mut [f32], mut scratch: Scratch<'_>) {
        let y = scratch.take(self.buffer_len(grid));
        self.conv1.forward(cx, [grid; 2], x, Activation::None, y, scratch.frame());
        self.norm1.forward_in_place(cx, y);
        self.conv2.forward(cx, [grid; 2], y, Activation::None, out, scratch);
        self.norm2.forward_in_place(cx, out);
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, grid: usize) -> ScratchReq {
        let convs = [&self.conv1, &self.conv2].map(|conv| conv.scratch_req(cx, [grid; 2]));
        ScratchReq::slice(self.buffer_len(grid)).and(ScratchReq::any(convs))
    }

    pub(super) fn bytes(&self) -> usize {
        self.conv1.bytes() + self.norm1.bytes() + self.conv2.bytes() + self.norm2.bytes()
    }

    /// Length of what the first convolution makes.
    fn buffer_len(&self, grid: usize) -> usize {
        grid * grid * self.conv1.shape().outputs
    }
}
