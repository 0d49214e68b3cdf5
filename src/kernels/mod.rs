//! Kernels: slices in, slices out.
//!
//! **Unstable**: may change in any release. Public so that it can be measured and reused.

pub mod activation;
pub mod attention;
pub mod conv;
pub mod convert;
pub mod feature_panels;
pub mod finite;
pub mod gemm;
pub mod mask_decoder;
pub mod math;
pub mod norm;
pub mod pool;
pub mod resize;
pub mod rotary_attention;
mod rows;
pub mod softmax;

#[cfg(test)]
pub(crate) mod testing;
