//! Reading `config.json` of `transformers`' SamModel.

use alloc::vec::Vec;

use super::{
    BlockConfig, DecoderConfig, DecoderExtensions, EncoderConfig, MAX_GRID, MAX_IMAGE, MAX_LAYERS, MAX_MLP,
    MAX_WIDTH, MaskGeneration, SamConfig, VitConfig,
};
use crate::error::Result;
use crate::kernels::activation::Activation;
use crate::models::{activation, model_type};
use crate::weights::{Config, Review};

/// Keys that are absent have the defaults of `SamVisionConfig`, `SamPromptEncoderConfig` and `SamMaskDecoderConfig`:
/// ViT-B. SlimSAM differs in `hidden_size` and `mlp_dim` only.
pub(super) fn read(config: &Config, review: &mut Review) -> Result<SamConfig> {
    model_type(config, &["sam"], review)?;
    let image_size = config.usize_or("vision_config.image_size", 1024, 1..=MAX_IMAGE)?;
    let patch_size = config.usize_or("vision_config.patch_size", 16, 1..=image_size)?;
    let dim = config.usize_or("vision_config.output_channels", 256, 1..=MAX_WIDTH)?;
    for (key, default, expected) in [
        ("vision_config.num_channels", 3, 3),
        ("vision_config.num_pos_feats", 128, dim / 2),
        ("prompt_encoder_config.hidden_size", 256, dim),
        ("prompt_encoder_config.image_size", 1024, image_size),
        ("prompt_encoder_config.patch_size", 16, patch_size),
        ("prompt_encoder_config.num_point_embeddings", 4, 4),
        ("mask_decoder_config.hidden_size", 256, dim),
    ] {
        if config.usize_or(key, default, 0..=MAX_WIDTH)? != expected {
            return Err(config.unusable(key, expected));
        }
    }
    let read = SamConfig {
        image_size,
        encoder: EncoderConfig::Vit(vit(config, image_size, patch_size)?),
        dim,
        decoder: decoder(config)?,
        mask_generation: MaskGeneration::read(config)?,
    };
    review.neutral(config, &[("quantization_config", "{}")])?;
    review.settings(config, &QUIET);
    Ok(read)
}

/// Keys that follow from others, or are not used by `transformers` either.
const QUIET: [&str; 9] = [
    "mask_decoder_config.attention_downsample_rate",
    "vision_config.intermediate_size",
    "vision_config.model_type",
    "vision_config.projection_dim",
    "vision_config.scale",
    "prompt_encoder_config.image_embedding_size",
    "prompt_encoder_config.model_type",
    "mask_decoder_config.model_type",
    "use_rel_pos_zero_init",
];

fn vit(config: &Config, image_size: usize, patch_size: usize) -> Result<VitConfig> {
    let dim = config.usize_or("vision_config.hidden_size", 768, 1..=MAX_WIDTH)?;
    let heads = config.usize_or("vision_config.num_attention_heads", 12, 1..=dim)?;
    if !dim.is_multiple_of(heads) {
        let expected = format_args!("a divisor of hidden_size = {dim}");
        return Err(config.unusable("vision_config.num_attention_heads", expected));
    }
    let ratio = config.f32_or("vision_config.mlp_ratio", 4.0, 0.0..=64.0)?;
    let mlp_dim = config.usize_or("vision_config.mlp_dim", (dim as f32 * ratio) as usize, 1..=MAX_MLP)?;
    let layers = config.usize_or("vision_config.num_hidden_layers", 12, 1..=MAX_LAYERS)?;
    let window = config.usize_or("vision_config.window_size", 14, 0..=MAX_GRID)?;
    let global = global_blocks(config, layers)?;
    let grid = image_size / patch_size;
    let block = |i: usize| {
        let window = (window > 0 && !global.contains(&i)).then_some(window);
        BlockConfig { heads, head_dim: dim / heads, mlp_dim, window, positions: window.unwrap_or(grid) }
    };
    Ok(VitConfig {
        patch_size,
        native_grid: grid,
        dim,
        blocks: (0..layers).map(block).collect(),
        has_positions: config.bool_or("vision_config.use_abs_pos", true)?,
        has_relative_positions: config.bool_or("vision_config.use_rel_pos", true)?,
        has_qkv_bias: config.bool_or("vision_config.qkv_bias", true)?,
        activation: activation(config, "vision_config.hidden_act", Activation::Gelu)?,
        layer_norm_eps: config.f32_or("vision_config.layer_norm_eps", 1e-6, 0.0..=1.0)?,
    })
}

/// The numbers of the blocks that attend globally.
fn global_blocks(config: &Config, layers: usize) -> Result<Vec<usize>> {
    const KEY: &str = "vision_config.global_attn_indexes";
    let Some(value) = config.get(KEY) else {
        return Ok([2, 5, 8, 11].into());
    };
    let index = |value: &serde_json::Value| value.as_u64()?.try_into().ok().filter(|i| *i < layers);
    let indexes = value.as_array().and_then(|indexes| indexes.iter().map(index).collect());
    indexes.ok_or_else(|| config.unusable(KEY, format_args!("a list of integers below {layers}")))
}

fn decoder(config: &Config) -> Result<DecoderConfig> {
    let eps = |key: &str| config.f32_or(key, 1e-6, 0.0..=1.0);
    let width = |key: &str, default: usize| config.usize_or(key, default, 1..=MAX_MLP);
    Ok(DecoderConfig {
        mask_channels: width("prompt_encoder_config.mask_input_channels", 16)?,
        mask_activation: activation(config, "prompt_encoder_config.hidden_act", Activation::Gelu)?,
        mask_norm_eps: eps("prompt_encoder_config.layer_norm_eps")?,
        layers: width("mask_decoder_config.num_hidden_layers", 2)?,
        heads: width("mask_decoder_config.num_attention_heads", 8)?,
        mlp_dim: width("mask_decoder_config.mlp_dim", 2048)?,
        activation: activation(config, "mask_decoder_config.hidden_act", Activation::Relu)?,
        layer_norm_eps: eps("mask_decoder_config.layer_norm_eps")?,
        multimask_outputs: width("mask_decoder_config.num_multimask_outputs", 3)?,
        iou_depth: width("mask_decoder_config.iou_head_depth", 3)?,
        iou_hidden: width("mask_decoder_config.iou_head_hidden_dim", 256)?,
        extensions: DecoderExtensions::default(),
    })
}
