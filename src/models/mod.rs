//! Models, one file per box of the papers' figures.
#![forbid(unsafe_code)]

pub mod clip;
mod positions;
pub mod sam;
pub mod sam2;

use crate::error::Result;
use crate::kernels::activation::Activation;
use crate::weights::Config;

/// The activation that `config` calls by one of `transformers`' names, or `default`.
fn activation(config: &Config, key: &str, default: Activation) -> Result<Activation> {
    if !config.has(key) {
        return Ok(default);
    }
    match config.str(key)? {
        "quick_gelu" => Ok(Activation::QuickGelu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        "silu" | "swish" => Ok(Activation::Silu),
        _ => Err(config.unusable(key, "quick_gelu, gelu, gelu_new, gelu_pytorch_tanh, relu, silu or swish")),
    }
}
