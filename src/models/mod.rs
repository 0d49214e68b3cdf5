//! Models, one file per box of the papers' figures.
//!
//! **Unstable**: may change in any release.
#![forbid(unsafe_code)]

pub mod clip;
mod family;
mod positions;
pub mod sam;
pub mod sam2;

use crate::error::{Result, err};
use crate::kernels::activation::Activation;
use crate::weights::{Config, Review};

/// `Config` unless the size `name` is within `1..=most`.
fn limit(name: &str, value: usize, most: usize) -> Result<()> {
    if value == 0 || value > most {
        return Err(err!(Config, "{name} of {value} is outside 1..={most}"));
    }
    Ok(())
}

/// Refuses the `model_type` of another architecture than those called `expected`.
fn model_type(config: &Config, expected: &[&str], review: &mut Review) -> Result<()> {
    let default = expected.first().copied().unwrap_or_default();
    if expected.contains(&config.str_or("model_type", default)?) {
        return Ok(());
    }
    let error = config.unusable("model_type", format_args!("{}", expected.join(" or ")));
    review.refuse(err!(Unsupported, "{}", error.message()))
}

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
