//! Kernels: slices in, slices out.

pub mod resize;
