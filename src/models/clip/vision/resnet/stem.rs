//! The stem: from pixels to a map at a quarter of their resolution.

use super::bind_conv;
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::conv::ConvShape;
use crate::kernels::pool::avg_pool;
use crate::nn::Conv2d;
use crate::weights::Scope;

/// `avgpool(relu(conv3(relu(conv2(relu(conv1(x)))))))`, all of 3 × 3, the first with a stride of 2.
#[derive(Debug)]
pub(super) struct Stem {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
}

impl Stem {
    /// Binds the stem of the tower `scope`, which makes `width` channels.
    pub(super) fn bind(scope: &Scope<'_>, width: usize) -> Result<Self> {
        let conv = |inputs, outputs| ConvShape::new(inputs, outputs, [3, 3]).with_padding([1, 1]);
        let half = width / 2;
        Ok(Self {
            conv1: bind_conv(scope, ["conv1", "bn1"], conv(3, half).with_stride([2, 2]).planar())?,
            conv2: bind_conv(scope, ["conv2", "bn2"], conv(half, half))?,
            conv3: bind_conv(scope, ["conv3", "bn3"], conv(half, width))?,
        })
    }

    /// `pixels: [3, side, side]` to `out: [side / 4, side / 4, width]`.
    pub(super) fn forward(
        &self,
        cx: &Cx,
        side: usize,
        pixels: &[f32],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let [x, y, z] = scratch.take_all(self.buffers(side));
        let half = [side / 2; 2];
        self.conv1.forward(cx, [side; 2], pixels, Activation::Relu, x, scratch.frame());
        self.conv2.forward(cx, half, x, Activation::Relu, y, scratch.frame());
        self.conv3.forward(cx, half, y, Activation::Relu, z, scratch);
        avg_pool(cx, half, self.conv3.shape().outputs, z, out);
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, side: usize) -> ScratchReq {
        let half = [side / 2; 2];
        ScratchReq::slices(self.buffers(side)).and(ScratchReq::any([
            self.conv1.scratch_req(cx, [side; 2]),
            self.conv2.scratch_req(cx, half),
            self.conv3.scratch_req(cx, half),
        ]))
    }

    /// Length of the output.
    pub(super) fn output_len(&self, side: usize) -> usize {
        (side / 4) * (side / 4) * self.conv3.shape().outputs
    }

    pub(super) fn bytes(&self) -> usize {
        self.conv1.bytes() + self.conv2.bytes() + self.conv3.bytes()
    }

    /// Lengths of what the convolutions make.
    fn buffers(&self, side: usize) -> [usize; 3] {
        [&self.conv1, &self.conv2, &self.conv3].map(|conv| (side / 2) * (side / 2) * conv.shape().outputs)
    }
}
