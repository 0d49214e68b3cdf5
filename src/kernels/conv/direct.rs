//! Convolution from tokens or planes to tokens.

use super::depthwise::depthwise;
use super::packed::Weights;
use super::windows::Windows;
use super::{ConvShape, Layout, PackedConv, winograd};
use crate::exec::{Cx, Scratch, ScratchReq};
use crate::kernels::activation::Activation;
use crate::kernels::gemm::{self, Destination};
use crate::kernels::len::len_of;

/// Scratch that [`conv2d`] needs for an input of `[height, width]` pixels.
///
/// # Panics
/// If the input is too small: see [`ConvShape::output_size`](super::ConvShape::output_size).
pub fn scratch_req(cx: &Cx, conv: &PackedConv, [height, width]: [usize; 2]) -> ScratchReq {
    batch_scratch_req(cx, conv, [1, height, width])
}

/// Scratch that [`conv2d_batch`] needs for inputs of `[batches, height, width]` pixels.
///
/// # Panics
/// As [`scratch_req`].
pub fn batch_scratch_req(cx: &Cx, conv: &PackedConv, [batches, height, width]: [usize; 3]) -> ScratchReq {
    let outputs = conv.shape().output_size([height, width]).expect("an input of possible size");
    match conv.weights() {
        Weights::Groups(groups) => {
            let product = gemm::scratch_req(cx, batches * outputs[0] * outputs[1], &groups[0]);
            let rounded =
                rounds_first(conv).then(|| len_of([batches, height, width, conv.shape().inputs / 2]));
            ScratchReq::slice(rounded.unwrap_or(0)).and(product)
        }
        // Such a map is as large as its input.
        Weights::Winograd(places) => {
            winograd::scratch_req(cx, conv.shape(), places, [batches, height, width])
        }
        Weights::Depthwise(_) => ScratchReq::NONE,
    }
}

/// Whether the input is rounded to bfloat16 as a whole, and not again for every window.
fn rounds_first(conv: &PackedConv) -> bool {
    let &ConvShape { inputs, kernel, layout, .. } = conv.shape();
    match conv.weights() {
        Weights::Groups(groups) => {
            groups.len() == 1
                && layout == Layout::Tokens
                && kernel != [1, 1]
                && gemm::takes_pairs(&groups[0], inputs)
        }
        _ => false,
    }
}

/// `out[y][x][o] = activation(bias[o] + Σ input[y·stride + i − padding][x·stride + j − padding][c] · weight[o][c][i][j])`
/// over the taps `(i, j)` and the channels `c` of the group of `o`; outside, the input is 0.
///
/// `input` has `size = [height, width]` pixels in the shape's [`Layout`](super::Layout), `bias: [outputs]`, and
/// `out: [output height, output width, outputs]`.
///
/// # Panics
/// If a slice does not have its size, the input is too small for the kernel, the scratch is smaller than [`scratch_req`],
/// or `conv` was packed for another level than `cx` has.
#[allow(clippy::too_many_arguments, reason = "weights, an input, an output and what happens in between")]
pub fn conv2d(
    cx: &Cx,
    conv: &PackedConv,
    [height, width]: [usize; 2],
    input: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    out: &mut [f32],
    scratch: Scratch<'_>,
) {
    conv2d_batch(cx, conv, [1, height, width], input, bias, activation, out, scratch);
}

/// [`conv2d`] of several images, one after the other in `input` and `out`: in one product, so that weights are read once
/// for all.
///
/// # Panics
/// As [`conv2d`].
#[allow(clippy::too_many_arguments, reason = "weights, an input, an output and what happens in between")]
pub fn conv2d_batch(
    cx: &Cx,
    conv: &PackedConv,
    [batches, height, width]: [usize; 3],
    input: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    out: &mut [f32],
    mut scratch: Scratch<'_>,
) {
    let (shape, size) = (conv.shape(), [height, width]);
    let outputs = shape.output_size(size).expect("an input of possible size");
    let (input_len, out_len) = (height * width * shape.inputs, outputs[0] * outputs[1] * shape.outputs);
    assert_eq!(input.len(), len_of([batches, input_len]), "{batches} inputs of size {size:?}, {shape:?}");
    assert_eq!(out.len(), len_of([batches, out_len]), "{batches} outputs of size {outputs:?}, {shape:?}");
    assert!(bias.is_none_or(|bias| bias.len() == shape.outputs), "bias of {shape:?}");
    match conv.weights() {
        Weights::Groups(groups) if rounds_first(conv) => {
            let words = scratch.take(input.len() / 2);
            gemm::pair_up(cx, &groups[0], input, words);
            let shape_of_words = ConvShape { inputs: shape.inputs / 2, ..*shape };
            let windows = Windows::batch(&shape_of_words, [batches, height, width], words, 0);
            let output = Destination::Store { out, stride: shape.outputs };
            gemm::gemm(cx, &gemm::Paired(windows), &groups[0], bias, activation, output, scratch);
        }
        Weights::Groups(groups) => {
            let columns = shape.outputs / shape.groups;
            for (group, weights) in groups.iter().enumerate() {
                let first = group * columns;
                gemm::gemm(
                    cx,
                    &Windows::batch(shape, [batches, height, width], input, group),
                    weights,
                    bias.map(|bias| &bias[first..][..columns]),
                    activation,
                    Destination::Store { out: &mut out[first..], stride: shape.outputs },
                    scratch.frame(),
                );
            }
        }
        Weights::Winograd(places) => {
            winograd::conv2d(
                cx,
                shape,
                places,
                [batches, height, width],
                input,
                bias,
                activation,
                out,
                scratch,
            );
        }
        Weights::Depthwise(weights) => {
            for (input, out) in input.chunks_exact(input_len).zip(out.chunks_exact_mut(out_len)) {
                depthwise(cx, shape, size, input, weights, bias, activation, out);
            }
        }
    }
}
