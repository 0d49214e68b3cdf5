//! The residual block.

use super::{bind_conv, bind_pointwise};
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::conv::ConvShape;
use crate::kernels::gemm::{Destination, Rows};
use crate::kernels::pool::avg_pool;
use crate::nn::{Conv2d, Linear};
use crate::weights::Scope;

/// `relu(x' + conv3(avgpool(relu(conv2(relu(conv1(x)))))))`: 1 × 1, 3 × 3, 1 × 1 (He et al., 2016), where the first block of a
/// layer has `x' = downsample(avgpool(x))`, and others `x' = x` and no pool. The pools are there where the resolution is halved.
#[derive(Debug)]
pub(super) struct Bottleneck {
    conv1: Linear,
    conv2: Conv2d,
    conv3: Linear,
    downsample: Option<Linear>,
    halves: bool,
}

impl Bottleneck {
    /// Output channels for each of the inner layer.
    pub(super) const EXPANSION: usize = 4;

    /// Binds the block with `[inputs, planes]` channels. The first block of a layer tells whether it `halves` the resolution.
    pub(super) fn bind(
        scope: &Scope<'_>,
        [inputs, planes]: [usize; 2],
        halves: Option<bool>,
    ) -> Result<Self> {
        let outputs = Self::EXPANSION * planes;
        let downsample =
            halves.map(|_| bind_pointwise(&scope.at("downsample"), ["0", "1"], [inputs, outputs]));
        Ok(Self {
            conv1: bind_pointwise(scope, ["conv1", "bn1"], [inputs, planes])?,
            conv2: bind_conv(
                scope,
                ["conv2", "bn2"],
                ConvShape::new(planes, planes, [3, 3]).with_padding([1, 1]),
            )?,
            conv3: bind_pointwise(scope, ["conv3", "bn3"], [planes, outputs])?,
            downsample: downsample.transpose()?,
            halves: halves == Some(true),
        })
    }

    /// Updates `x: [images, height, width, outputs]`: a block that is not the first of a layer.
    pub(super) fn forward(&self, cx: &Cx, size: [usize; 3], x: &mut [f32], mut scratch: Scratch<'_>) {
        let [y, z] = scratch.take_all(self.buffers(size));
        self.filter(cx, size, x, [y, z], scratch.frame());
        self.add(cx, z, x, scratch);
    }

    /// `x: [images, height, width, inputs]` to `out: [images, height', width', outputs]` by the first block of a layer.
    ///
    /// # Panics
    /// If it is no first block.
    pub(super) fn forward_first(
        &self,
        cx: &Cx,
        size: [usize; 3],
        x: &[f32],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        let downsample = self.downsample.as_ref().expect("the first block of a layer");
        let inputs = downsample.inputs();
        let [y, z] = scratch.take_all(self.buffers(size));
        self.filter(cx, size, x, [y, z], scratch.frame());
        let [images, height, width] = size;
        let pixels = self.output_size(size).into_iter().product();
        let output = Destination::Store { out, stride: self.outputs() };
        if self.halves {
            // Images of even height, one below the other. What was filtered makes room for the pooled input.
            let lines = [images * height, width];
            let pooled = &mut y[..pixels * self.planes()];
            avg_pool(cx, lines, self.planes(), z, pooled);
            let identity = &mut z[..pixels * inputs];
            avg_pool(cx, lines, inputs, x, identity);
            let identity = Rows::new(identity, pixels, inputs);
            downsample.forward(cx, &identity, Activation::None, output, scratch.frame());
            self.add(cx, pooled, out, scratch);
        } else {
            let identity = Rows::new(x, pixels, inputs);
            downsample.forward(cx, &identity, Activation::None, output, scratch.frame());
            self.add(cx, z, out, scratch);
        }
    }

    /// `z ← relu(conv2(relu(conv1(x))))`, by way of `y`.
    fn filter(
        &self,
        cx: &Cx,
        size: [usize; 3],
        x: &[f32],
        [y, z]: [&mut [f32]; 2],
        mut scratch: Scratch<'_>,
    ) {
        let rows = Rows::new(x, size.into_iter().product(), self.conv1.inputs());
        let output = Destination::Store { out: y, stride: self.planes() };
        self.conv1.forward(cx, &rows, Activation::Relu, output, scratch.frame());
        self.conv2.forward_batch(cx, size, y, Activation::Relu, z, scratch);
    }

    /// `out ← relu(out + conv3(z))`.
    fn add(&self, cx: &Cx, z: &[f32], out: &mut [f32], scratch: Scratch<'_>) {
        let rows = Rows::new(z, z.len() / self.planes(), self.planes());
        let residual = Destination::ActivateSum { out, stride: self.outputs() };
        self.conv3.forward(cx, &rows, Activation::Relu, residual, scratch);
    }

    /// Scratch that the forward passes need.
    pub(super) fn scratch_req(&self, cx: &Cx, size: [usize; 3]) -> ScratchReq {
        let (inner, outer) = (size.into_iter().product(), self.output_size(size).into_iter().product());
        ScratchReq::slices(self.buffers(size)).and(ScratchReq::any([
            self.conv1.scratch_req(cx, inner),
            self.conv2.batch_scratch_req(cx, size),
            self.conv3.scratch_req(cx, outer),
            self.downsample.as_ref().map_or(ScratchReq::NONE, |layer| layer.scratch_req(cx, outer)),
        ]))
    }

    /// `[images, height, width]` of the output.
    pub(super) fn output_size(&self, [images, height, width]: [usize; 3]) -> [usize; 3] {
        if self.halves { [images, height / 2, width / 2] } else { [images, height, width] }
    }

    /// Channels of the output.
    pub(super) fn outputs(&self) -> usize {
        self.conv3.outputs()
    }

    pub(super) fn bytes(&self) -> usize {
        let downsample = self.downsample.as_ref().map_or(0, Linear::bytes);
        self.conv1.bytes() + self.conv2.bytes() + self.conv3.bytes() + downsample
    }

    fn planes(&self) -> usize {
        self.conv1.outputs()
    }

    /// Lengths of what the first two convolutions make; the second one also holds the input at a quarter of its pixels.
    fn buffers(&self, size: [usize; 3]) -> [usize; 2] {
        let pixels: usize = size.into_iter().product();
        let filtered = pixels * self.planes();
        let identity = if self.halves { pixels / 4 * self.conv1.inputs() } else { 0 };
        [filtered, filtered.max(identity)]
    }
}
