//! Layers: parameters bound from weights, forward passes over kernels.
