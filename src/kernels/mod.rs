//! Kernels: slices in, slices out.

pub mod activation;
pub mod gemm;
pub mod resize;
