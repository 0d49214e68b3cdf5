//! Kernels: slices in, slices out.
//!
//! **Unstable**: may change in any release. Public so that it can be measured and reused.

pub mod activation;
pub mod attention;
pub mod conv;
pub mod convert;
pub mod gemm;
pub mod math;
pub mod memory;
pub mod norm;
pub mod panels;
pub mod pool;
pub mod resize;
mod rows;
pub mod softmax;

#[cfg(test)]
pub(crate) mod testing;
