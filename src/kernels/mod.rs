//! Kernels: slices in, slices out.

pub mod activation;
pub mod convert;
pub mod gemm;
pub mod math;
pub mod resize;

#[cfg(test)]
pub(crate) mod testing;
