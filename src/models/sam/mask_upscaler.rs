//! The mask upscaler: image features to four times their side, and their product with the masks' weights.

use alloc::vec;
use alloc::vec::Vec;

use super::naming::DecoderNames;
use crate::error::Result;
use crate::exec::{Cx, Scratch, ScratchReq, try_zeroed};
use crate::kernels::feature_panels::{LhsWeights, PanelLayout};
use crate::kernels::gemm::Rows;
use crate::kernels::mask_decoder::{
    HighResLayout, LayerNormParams, UpscaleInputs, UpscaleWeights, upscale, upscale_scratch_req,
};
use crate::nn::Trace;
use crate::weights::Scope;

/// Added to the variance in the norm, in every published model.
const EPS: f32 = 1e-6;

/// Transposed convolution, norm, GELU, transposed convolution, GELU (`output_upscaling`): `C → C / 4 → C / 8` channels, four
/// times the side.
#[derive(Debug)]
pub struct MaskUpscaler {
    conv1: LhsWeights,
    bias1: Vec<f32>,
    norm_weight: Vec<f32>,
    norm_bias: Vec<f32>,
    conv2: LhsWeights,
    bias2: Vec<f32>,
}

impl MaskUpscaler {
    /// Binds the layers of the mask decoder `scope`.
    ///
    /// # Errors
    /// As [`Scope::f32`].
    pub fn bind(scope: &Scope<'_>, names: &DecoderNames, dim: usize) -> Result<Self> {
        let [conv1, norm, conv2] = names.upscaling.map(|name| scope.at(name));
        let (half, quarter) = (dim / 4, dim / 8);
        Ok(Self {
            conv1: bind_transposed(&conv1, [dim, half])?,
            bias1: conv1.f32("bias", &[half])?,
            norm_weight: norm.f32("weight", &[half])?,
            norm_bias: norm.f32("bias", &[half])?,
            conv2: bind_transposed(&conv2, [half, quarter])?,
            bias2: conv2.f32("bias", &[quarter])?,
        })
    }

    /// `out: [prompts, masks, 4 · grid, 4 · grid] ← mask_weights · upscaled(features)`.
    ///
    /// # Panics
    /// As [`upscale`].
    pub fn forward(
        &self,
        cx: &Cx,
        inputs: &UpscaleInputs<'_>,
        out: &mut [f32],
        scratch: Scratch<'_>,
        trace: &mut Trace<'_>,
    ) {
        let weights = self.weights();
        if trace.is_on() {
            let pixels = inputs.prompts * 16 * inputs.grid * inputs.grid;
            let mut upscaled = vec![0.0; pixels * self.outputs()];
            upscale(cx, &weights, inputs, out, Some(&mut upscaled), scratch);
            trace.stage(format_args!("decoder.upscaled"), &upscaled);
        } else {
            upscale(cx, &weights, inputs, out, None, scratch);
        }
    }

    /// Scratch that [`forward`](Self::forward) needs.
    pub fn scratch_req(&self, cx: &Cx, panels: PanelLayout, masks: usize) -> ScratchReq {
        upscale_scratch_req(cx, &self.weights(), panels, masks)
    }

    /// The layout of the maps of higher resolution that SAM 2 adds.
    pub fn high_res_layout(&self, panels: PanelLayout, grid: usize) -> HighResLayout {
        HighResLayout::new(panels, grid, [self.bias1.len(), self.bias2.len()])
    }

    /// Channels of the upscaled features.
    pub fn outputs(&self) -> usize {
        self.bias2.len()
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        let vectors = [&self.bias1, &self.norm_weight, &self.norm_bias, &self.bias2];
        self.conv1.bytes()
            + self.conv2.bytes()
            + vectors.iter().map(|vector| size_of_val(&vector[..])).sum::<usize>()
    }

    fn weights(&self) -> UpscaleWeights<'_> {
        UpscaleWeights {
            conv1: self.conv1.lhs(),
            bias1: &self.bias1,
            norm: LayerNormParams { weight: &self.norm_weight, bias: &self.norm_bias, eps: EPS },
            conv2: self.conv2.lhs(),
            bias2: &self.bias2,
        }
    }
}

/// Packs the `weight: [inputs, outputs, 2, 2]` of a transposed convolution as a left-hand side `[2 · 2 · outputs, inputs]`.
fn bind_transposed(scope: &Scope<'_>, [inputs, outputs]: [usize; 2]) -> Result<LhsWeights> {
    let weight = scope.f32("weight", &[inputs, outputs, 2, 2])?;
    let mut rows = try_zeroed(weight.len())?;
    for (i, row) in rows.chunks_exact_mut(inputs).enumerate() {
        let (tap, output) = (i / outputs, i % outputs);
        let column = weight[output * 4 + tap..].iter().step_by(outputs * 4);
        row.iter_mut().zip(column).for_each(|(to, from)| *to = *from);
    }
    LhsWeights::pack(scope.level(), &Rows::new(&rows, 4 * outputs, inputs))
}
