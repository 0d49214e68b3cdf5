//! The block of convolutions that mixes pixels, or the tokens of a text.

use super::Names;
use super::fold::{bind_conv, scale_of, token_mixer};
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::conv::ConvShape;
use crate::nn::{Conv2d, Linear, Mlp};
use crate::weights::Scope;

/// `x ← mixer(x); x += γ ∘ mlp(x)`: FastViT's RepMixer block (Vasu et al., 2023).
#[derive(Debug)]
pub(in crate::models::clip) struct MixerBlock {
    mixer: Conv2d,
    mlp: ConvMlp,
}

/// `γ ∘ fc2(gelu(fc1(conv(x))))` with a depthwise convolution.
#[derive(Debug)]
pub(in crate::models::clip) struct ConvMlp {
    conv: Conv2d,
    mlp: Mlp,
}

impl MixerBlock {
    /// Binds the block `scope` of `[channels, inner]` features, whose mixer and MLP have kernels of these sizes.
    pub(in crate::models::clip) fn bind(
        scope: &Scope<'_>,
        names: &Names,
        widths: [usize; 2],
        [mixer, mlp]: [[usize; 2]; 2],
    ) -> Result<Self> {
        let shape = depthwise(widths[0], mixer);
        let [weight, bias] = token_mixer(&scope.at("token_mixer"), names, shape)?;
        Ok(Self {
            mixer: Conv2d::new(scope.packing(), shape, &weight, Some(bias))?,
            mlp: ConvMlp::bind(scope, names, "layer_scale", widths, mlp)?,
        })
    }

    /// `out: [images, height, width, channels]` ← the block of `x`, which is overwritten.
    pub(in crate::models::clip) fn forward(
        &self,
        cx: &Cx,
        size: [usize; 3],
        x: &mut [f32],
        out: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        self.mixer.forward_batch(cx, size, x, Activation::None, out, scratch.frame());
        self.mlp.forward_add(cx, size, out, x, scratch);
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub(in crate::models::clip) fn scratch_req(&self, cx: &Cx, size: [usize; 3]) -> ScratchReq {
        self.mixer.batch_scratch_req(cx, size).or(self.mlp.scratch_req(cx, size))
    }

    pub(in crate::models::clip) fn bytes(&self) -> usize {
        self.mixer.bytes() + self.mlp.bytes()
    }
}

impl ConvMlp {
    /// Binds the MLP of the block `scope`, whose scale is called `scale`.
    pub(in crate::models::clip) fn bind(
        scope: &Scope<'_>,
        names: &Names,
        scale: &str,
        [channels, inner]: [usize; 2],
        kernel: [usize; 2],
    ) -> Result<Self> {
        let mlp = scope.at(names.mlp);
        let fc1 = mlp.at("fc1");
        let weight =
            fc1.pack("weight", [inner, channels], || fc1.matrix("weight", &[inner, channels, 1, 1]))?;
        let fc1 = Linear::of(weight, Some(fc1.f32("bias", &[inner])?));
        let scale = scale_of(scope, names, scale, channels)?;
        let fc2 = bind_scaled(&mlp.at("fc2"), &[channels, inner, 1, 1], &scale)?;
        Ok(Self {
            conv: bind_conv(&mlp.at("conv"), depthwise(channels, kernel))?,
            mlp: Mlp::new(fc1, fc2, Activation::Gelu),
        })
    }

    /// `x += γ ∘ mlp(x)`, by way of `y`, which is as large.
    pub(in crate::models::clip) fn forward_add(
        &self,
        cx: &Cx,
        size: [usize; 3],
        x: &mut [f32],
        y: &mut [f32],
        mut scratch: Scratch<'_>,
    ) {
        self.conv.forward_batch(cx, size, x, Activation::None, y, scratch.frame());
        self.mlp.add(cx, y, x, scratch);
    }

    /// Scratch that [`forward_add`](Self::forward_add) needs.
    pub(in crate::models::clip) fn scratch_req(&self, cx: &Cx, size: [usize; 3]) -> ScratchReq {
        let tokens = size.into_iter().product();
        self.conv.batch_scratch_req(cx, size).or(self.mlp.scratch_req(cx, tokens))
    }

    pub(in crate::models::clip) fn bytes(&self) -> usize {
        self.conv.bytes() + self.mlp.bytes()
    }
}

/// A depthwise convolution that keeps the size.
fn depthwise(channels: usize, kernel: [usize; 2]) -> ConvShape {
    ConvShape::depthwise(channels, kernel).with_padding(kernel.map(|taps| taps / 2))
}

/// The layer `scope` with its outputs scaled: `γ ∘ (W x + b)`. Its weight has `shape`: two dimensions, or those of a convolution
/// of one tap.
pub(in crate::models::clip) fn bind_scaled(
    scope: &Scope<'_>,
    shape: &[usize],
    scale: &[f32],
) -> Result<Linear> {
    let [outputs, inputs] = [shape[0], shape[1]];
    let mut bias = scope.f32("bias", &[outputs])?;
    bias.iter_mut().zip(scale).for_each(|(bias, scale)| *bias *= scale);
    let weight = scope.pack("weight", [outputs, inputs], || {
        let mut weight = scope.matrix("weight", shape)?;
        for (row, scale) in weight.chunks_exact_mut(inputs).zip(scale) {
            row.iter_mut().for_each(|weight| *weight *= scale);
        }
        Ok(weight)
    })?;
    Ok(Linear::of(weight, Some(bias)))
}
