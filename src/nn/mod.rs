//! Layers: parameters bound from weights, forward passes over kernels.
#![forbid(unsafe_code)]
