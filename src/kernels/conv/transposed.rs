//! Transposed convolution whose stride is its kernel: every token becomes a square of pixels.

use crate::exec::{Cx, Scratch, padded};
use crate::kernels::activation::Activation;
use crate::kernels::gemm::{self, Output, PackedWeights, Rows};
use crate::simd::Level;

/// The weights of a transposed convolution with kernel and stride `factor`, packed for a level.
///
/// No two windows overlap, so it is one product `[height · width, inputs] · [factor² · outputs, inputs]ᵀ` whose
/// results are scattered.
#[derive(Clone, Debug)]
pub struct PackedConvTranspose {
    /// `[factor, factor, outputs] × [inputs]`
    matrix: PackedWeights,
    outputs: usize,
    factor: usize,
}

impl PackedConvTranspose {
    /// Packs `weights: [inputs, outputs, factor, factor]`, the order of checkpoints.
    ///
    /// # Panics
    /// If `weights` does not have that shape, or it has a 0.
    pub fn pack(level: Level, [inputs, outputs]: [usize; 2], factor: usize, weights: &[f32]) -> Self {
        let taps = factor * factor;
        assert_eq!(
            weights.len(),
            inputs * outputs * taps,
            "weights [{inputs}, {outputs}, {factor}, {factor}]"
        );
        let matrix = PackedWeights::pack_with(level, taps * outputs, inputs, |row, out| {
            let (tap, output) = (row / outputs, row % outputs);
            let column = weights[output * taps + tap..].iter().step_by(outputs * taps);
            out.iter_mut().zip(column).for_each(|(to, from)| *to = *from);
        });
        Self { matrix, outputs, factor }
    }

    /// Channels of the input.
    pub fn inputs(&self) -> usize {
        self.matrix.cols()
    }

    /// Channels of the output.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// How much higher and wider the output is.
    pub fn factor(&self) -> usize {
        self.factor
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.matrix.bytes()
    }
}

/// Scratch that [`conv_transpose2d`] needs for an input of `[height, width]` tokens, in f32.
pub fn scratch_len(cx: &Cx, conv: &PackedConvTranspose, [height, width]: [usize; 2]) -> usize {
    padded(conv.matrix.rows()) + gemm::scratch_len(cx, height * width, &conv.matrix)
}

/// `out[y·f + i][x·f + j][o] = activation(bias[o] + Σ input[y][x][c] · weight[c][o][i][j])` over the channels `c`,
/// for the taps `(i, j)` of a kernel of `f × f`.
///
/// `input: [height, width, inputs]` with `size = [height, width]`, `bias: [outputs]`,
/// `out: [f · height, f · width, outputs]`. `scratch` holds at least [`scratch_len`] f32.
///
/// # Panics
/// If a slice does not have its size, the scratch is too small, or `conv` was packed for another level than `cx` has.
#[allow(clippy::too_many_arguments, reason = "weights, an input, an output and what happens in between")]
pub fn conv_transpose2d(
    cx: &Cx,
    conv: &PackedConvTranspose,
    [height, width]: [usize; 2],
    input: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    out: &mut [f32],
    mut scratch: Scratch<'_>,
) {
    let tokens = height * width;
    assert_eq!(out.len(), tokens * conv.matrix.rows(), "output of {height}x{width} tokens");
    // A bias for every tap.
    let bias = bias.map(|bias| {
        assert_eq!(bias.len(), conv.outputs, "bias of a transposed convolution");
        let repeated = scratch.take(conv.matrix.rows());
        repeated.chunks_exact_mut(bias.len()).for_each(|to| to.copy_from_slice(bias));
        &*repeated
    });
    gemm::gemm(
        cx,
        &Rows::new(input, tokens, conv.inputs()),
        &conv.matrix,
        bias,
        activation,
        Output::Squares { out, width, factor: conv.factor },
        scratch,
    );
}
