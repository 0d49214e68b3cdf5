//! Convolutions.
//!
//! A convolution is a product of the matrix of windows (im2col) with the weights. That matrix never exists as a whole:
//! a left-hand side of [`gemm`](super::gemm) packs the pixels under the kernel a block at a time, in runs of
//! neighbouring channels. Depthwise convolutions, which would be products of one column, have a kernel of their own.
//!
//! Activations are tokens, `[height, width, channels]`; the input may also be planar.

mod depthwise;
mod direct;
mod packed;
mod patches;
mod shape;
#[cfg(test)]
mod tests;
mod windows;

pub use direct::{conv2d, scratch_req};
pub use packed::PackedConv;
pub use patches::Patches;
pub use shape::{ConvShape, Layout};
pub use windows::Windows;
