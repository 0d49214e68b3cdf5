//! Convolutions with batch norms folded into them, and what TinyViT builds of them.

use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::conv::ConvShape;
use crate::kernels::gemm::{Destination, Rows};
use crate::nn::{Conv2d, Linear, bind_folded};
use crate::weights::Scope;

/// Added to the variance in batch norms.
const EPS: f32 = 1e-5;

/// The names of a convolution and its batch norm.
const NAMES: [&str; 2] = ["c", "bn"];

/// A convolution with its batch norm.
pub(super) fn bind_conv(scope: &Scope<'_>, shape: ConvShape) -> Result<Conv2d> {
    let (weight, bias) = bind_folded(scope, NAMES, shape, EPS)?;
    Conv2d::new(scope.packing(), shape, &weight, Some(bias))
}

/// A convolution of 1 × 1 with its batch norm.
fn bind_pointwise(scope: &Scope<'_>, [inputs, outputs]: [usize; 2]) -> Result<Linear> {
    let (weight, bias) = bind_folded(scope, NAMES, ConvShape::new(inputs, outputs, [1, 1]), EPS)?;
    Linear::new(scope.packing(), [outputs, inputs], &weight, Some(bias))
}

/// `conv3(gelu(conv2(gelu(conv1(x)))))`: pointwise, depthwise 3 × 3, pointwise.
///
/// The lines of a picture pass through all three a few at a time, so that little of the wide inner layers exists and
/// stays in cache. The lines that the next window needs again are kept; none is computed twice.
#[derive(Debug)]
pub(super) struct Separable {
    conv1: Linear,
    /// Padded horizontally only: lines of zeros stand for the vertical padding.
    conv2: Conv2d,
    conv3: Linear,
    stride: usize,
}

/// Taps of the depthwise convolution along a side.
const TAPS: usize = 3;

/// f32 of the inner layer that pass at a time, for each thread: half an L2 cache.
const STRIP: usize = 1 << 17;

impl Separable {
    /// Binds `conv1`, `conv2` and `conv3` of `scope`, with `[inputs, inner, outputs]` channels.
    pub(super) fn bind(
        scope: &Scope<'_>,
        [inputs, inner, outputs]: [usize; 3],
        stride: usize,
    ) -> Result<Self> {
        let depthwise = ConvShape::depthwise(inner, [TAPS; 2]).with_stride([stride; 2]).with_padding([0, 1]);
        Ok(Self {
            conv1: bind_pointwise(&scope.at("conv1"), [inputs, inner])?,
            conv2: bind_conv(&scope.at("conv2"), depthwise)?,
            conv3: bind_pointwise(&scope.at("conv3"), [inner, outputs])?,
            stride,
        })
    }

    /// Side of the output for an input of `side × side` pixels.
    pub(super) fn output_side(&self, side: usize) -> usize {
        side.div_ceil(self.stride)
    }

    /// Output pixels times channels.
    pub(super) fn output_len(&self, side: usize) -> usize {
        self.output_side(side) * self.output_side(side) * self.conv3.outputs()
    }

    /// TinyViT's MBConv (Sandler et al., MobileNetV2, 2018), `x ← gelu(x + conv3(…))` for `x: [side, side, channels]`;
    /// or, with an output, its PatchMerging, `out ← conv3(…)` with `out: [output side, output side, outputs]`.
    pub(super) fn forward(
        &self,
        cx: &Cx,
        side: usize,
        x: &mut [f32],
        mut out: Option<&mut [f32]>,
        mut scratch: Scratch<'_>,
    ) {
        let (inputs, inner, outputs) = (self.conv1.inputs(), self.conv1.outputs(), self.conv3.outputs());
        let (line, output_side) = (side * inner, self.output_side(side));
        let strip = self.strip(cx, side);
        let [hidden, filtered] = scratch.take_all(self.buffers(cx, side));

        // The first lines of `hidden` are the last ones of the strip before: here, the padding above.
        hidden[..line].fill(0.0);
        let (mut kept, mut next) = (1, 0);
        for top in (0..output_side).step_by(strip) {
            let lines = strip.min(output_side - top);
            let window = self.window(lines);

            let end = (self.stride * (top + lines - 1) + TAPS - 1).min(side);
            let pixels = (end - next) * side;
            let (new, below) = hidden[kept * line..window * line].split_at_mut(pixels * inner);
            let lhs = Rows::new(&x[next * side * inputs..end * side * inputs], pixels, inputs);
            let output = Destination::Store { out: new, stride: inner };
            self.conv1.forward(cx, &lhs, Activation::Gelu, output, scratch.frame());
            below.fill(0.0);
            next = end;

            let pixels = lines * output_side;
            let filtered = &mut filtered[..pixels * inner];
            let input = &hidden[..window * line];
            self.conv2.forward(cx, [window, side], input, Activation::Gelu, filtered, scratch.frame());

            let range = top * output_side * outputs..(top + lines) * output_side * outputs;
            let (activation, output) = match &mut out {
                None => (Activation::Gelu, Destination::ActivateSum { out: &mut x[range], stride: outputs }),
                Some(out) => (Activation::None, Destination::Store { out: &mut out[range], stride: outputs }),
            };
            self.conv3.forward(cx, &Rows::new(filtered, pixels, inner), activation, output, scratch.frame());

            kept = TAPS - self.stride;
            hidden.copy_within((window - kept) * line..window * line, 0);
        }
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(super) fn scratch_req(&self, cx: &Cx, side: usize) -> ScratchReq {
        let strip = self.strip(cx, side);
        let window = self.window(strip);
        let convs = ScratchReq::any([
            self.conv1.scratch_req(cx, window * side),
            self.conv2.scratch_req(cx, [window, side]),
            self.conv3.scratch_req(cx, strip * self.output_side(side)),
        ]);
        ScratchReq::slices(self.buffers(cx, side)).and(convs)
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.conv1.bytes() + self.conv2.bytes() + self.conv3.bytes()
    }

    /// Lengths of the inner layer before and after the depthwise convolution, for the output lines of a strip.
    fn buffers(&self, cx: &Cx, side: usize) -> [usize; 2] {
        let (inner, strip) = (self.conv1.outputs(), self.strip(cx, side));
        [self.window(strip) * side * inner, strip * self.output_side(side) * inner]
    }

    /// Output lines that are computed at a time.
    fn strip(&self, cx: &Cx, side: usize) -> usize {
        let lines = cx.threads() * STRIP / (self.stride * side * self.conv1.outputs());
        lines.clamp(1, self.output_side(side))
    }

    /// Lines of the inner layer under the windows of `lines` output lines.
    fn window(&self, lines: usize) -> usize {
        self.stride * (lines - 1) + TAPS
    }
}
