//! Layers: parameters bound from weights, forward passes over kernels.
//!
//! **Unstable**: may change in any release.
#![forbid(unsafe_code)]

mod attention;
mod batch_norm;
mod conv2d;
mod fused_qkv;
mod layer_norm;
mod linear;
mod mlp;
mod trace;

pub use attention::{WindowAttention, attention_scale};
pub use batch_norm::{BatchNorm, bind_folded};
pub use conv2d::{Conv2d, bind_weight};
pub use fused_qkv::bind_fused;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use mlp::Mlp;
pub use trace::Trace;
