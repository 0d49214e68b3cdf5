//! Convolutions.
//!
//! A convolution is a product of the matrix of windows (im2col) with the weights. That matrix never exists as a whole:
//! a left-hand side of [`gemm`](super::gemm) packs the pixels under the kernel a block at a time, in runs of
//! neighbouring channels. Depthwise convolutions, which would be products of one column, have a kernel of their own; dense ones of
//! 3 × 3 at stride 1 have fewer multiplications (`winograd`).
//!
//! Activations are tokens, `[height, width, channels]`; the input may also be planar.
//!
//! # Soundness
//!
//! A shape is checked for overflow when weights are packed for it, and [`ConvShape::output_size`] checks those of input
//! and output. The depthwise kernel touches taps that lie on the image only, for all outputs of a strip: `depthwise`
//! says which.
//!
//! Tests: `conv::kernels_strides_and_paddings`, `conv::images_of_a_batch_are_convolved_alone`,
//! `conv::depthwise_kernels_strides_and_paddings`,
//! `conv::depthwise_channels_of_every_tail`, `shape::impossible_sizes_are_errors`.

mod depthwise;
mod direct;
mod packed;
mod patches;
mod shape;
#[cfg(test)]
mod tests;
mod windows;
mod winograd;

pub use direct::{batch_scratch_req, conv2d, conv2d_batch, scratch_req};
pub use packed::PackedConv;
pub use patches::Patches;
pub use shape::{ConvShape, Layout};
pub use windows::Windows;
