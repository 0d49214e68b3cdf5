//! Checkpoints and configurations of SAM that claim absurd sizes are refused before memory is taken for them.
#![cfg(feature = "parallel")]

mod common;

use std::fs;

use safetensors::SafeTensors;
use safetensors::tensor::{TensorView, serialize};
use vitrum::models::sam::{Naming, SamConfig};
use vitrum::simd::Level;
use vitrum::weights::{Bundle, BundleParts, Review};
use vitrum::{ErrorCode, Result};

fn config(parts: BundleParts<'_>) -> Result<SamConfig> {
    let bundle = Bundle::from_memory(parts)?;
    let (naming, scope) = Naming::detect(&bundle.scope(Level::detect()))?;
    SamConfig::of(&bundle, &scope, naming, &mut Review::default())
}

/// The checkpoint `file` with zeros of another shape for the tensors whose names start with `prefix`.
fn reshaped(file: &str, prefix: &str, shape: &[usize]) -> Vec<u8> {
    let bytes = fs::read(common::path(file)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let zeros = vec![0; if shape.contains(&0) { 0 } else { 4 * shape.iter().product::<usize>() }];
    let replace = |(name, view): (String, TensorView<'_>)| match name.starts_with(prefix) {
        true => (name, view.dtype(), shape.to_vec(), zeros.clone()),
        false => (name, view.dtype(), view.shape().to_vec(), view.data().to_vec()),
    };
    let tensors: Vec<_> = tensors.tensors().into_iter().map(replace).collect();
    assert!(tensors.iter().any(|(name, ..)| name.starts_with(prefix)), "no {prefix}");
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        // A replaced tensor has f32, whatever was there before.
        let dtype = if name.starts_with(prefix) { safetensors::Dtype::F32 } else { *dtype };
        (name.as_str(), TensorView::new(dtype, shape.clone(), data).unwrap())
    });
    serialize(views, None).unwrap()
}

#[test]
fn attention_biases_that_would_fill_the_memory() {
    // A quarter of a megabyte that would become 16 GiB for every block.
    let name = "image_encoder.layers.1.blocks.0.attn.attention_biases";
    let file = reshaped("sam_encoder/tiny-vit/model.safetensors", name, &[1, 256 * 256]);
    let error = config(BundleParts::new(&file)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Config, "{error}");
    assert!(error.message().contains("attention biases"), "{error}");
}

#[test]
fn heads_of_as_many_features_as_fit_no_number() {
    let name = "image_encoder.blocks.0.attn.rel_pos_h";
    let file = reshaped("sam_predictor/model.safetensors", name, &[0, 1 << (usize::BITS - 1)]);
    let error = config(BundleParts::new(&file)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Config, "{error}");
}

#[test]
fn patches_too_small_for_masks() {
    let directory = common::path("sam_decoder/huggingface");
    let weights = fs::read(directory.join("model.safetensors")).unwrap();
    let json = fs::read_to_string(directory.join("config.json")).unwrap();
    assert!(config(BundleParts::new(&weights).with_file("config.json", json.as_bytes())).is_ok());
    let json = json.replace("\"patch_size\": 16", "\"patch_size\": 2");
    let error = config(BundleParts::new(&weights).with_file("config.json", json.as_bytes())).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Config, "{error}");
    assert!(error.message().contains("too small for masks"), "{error}");
}
