//! Layers: parameters bound from weights, forward passes over kernels.
//!
//! **Unstable**: may change in any release.
#![forbid(unsafe_code)]

mod conv2d;
mod layer_norm;
mod linear;
mod mlp;
mod trace;

pub use conv2d::{Conv2d, ConvTranspose2d};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use mlp::Mlp;
pub use trace::Trace;
