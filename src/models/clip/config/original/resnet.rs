//! The sizes of a ResNet image tower.

use alloc::format;

use super::{VISION, agrees, unsupported};
use crate::error::{Result, err};
use crate::models::clip::config::{
    EncoderConfig, MAX_IMAGE, MAX_LAYERS, MAX_WIDTH, ResNetConfig, VisionConfig,
};
use crate::models::clip::vision::REDUCTION;
use crate::weights::{Config, Review, Scope};

/// Settings of OpenCLIP's Vision Transformers, which its ResNet does not look at.
const OF_VIT: [&str; 19] = [
    "attentional_pool",
    "attn_pooler_heads",
    "attn_pooler_queries",
    "block_type",
    "final_ln_after_pool",
    "ls_init_value",
    "mlp_ratio",
    "no_ln_pre",
    "output_tokens",
    "patch_dropout",
    "patch_size",
    "pool_type",
    "pos_embed_type",
    "qk_norm",
    "scale_attn",
    "scale_attn_inner",
    "scale_fc",
    "scale_heads",
    "scaled_cosine_attn",
];

pub(super) fn read(scope: &Scope<'_>, config: Option<&Config>, review: &mut Review) -> Result<VisionConfig> {
    let visual = scope.at("visual");
    let [width, ..]: [usize; 4] = visual.dims("layer1.0.conv1.weight")?;
    let attnpool = visual.at("attnpool");
    let [tokens, features] = attnpool.dims("positional_embedding")?;
    if width == 0 || !width.is_multiple_of(2) || REDUCTION * width > MAX_WIDTH {
        return Err(err!(Config, "visual: a ResNet of width {width} is not supported"));
    }
    if features != REDUCTION * width {
        let name = "visual.attnpool.positional_embedding";
        return Err(err!(TensorShape, "tensor \"{name}\": {features} features, of a tower of width {width}"));
    }
    let most = MAX_IMAGE / REDUCTION;
    let grid = (1..=most).find(|grid| grid * grid + 1 == tokens).ok_or_else(|| {
        err!(
            Config,
            "tensor \"visual.attnpool.positional_embedding\": {tokens} positions are not those of a square of at most \
             {most}x{most} and its mean"
        )
    })?;
    let mut blocks = [0; 4];
    for (i, blocks) in (1..).zip(&mut blocks) {
        let layer = visual.at(format_args!("layer{i}"));
        *blocks = (0..=MAX_LAYERS).take_while(|j| layer.at(j).contains("conv1.weight")).count();
        if !(1..=MAX_LAYERS).contains(blocks) {
            return Err(err!(Config, "visual.layer{i}: the number of blocks is outside 1..={MAX_LAYERS}"));
        }
    }
    let head_width = match config {
        Some(config) => config.usize_or(&format!("{VISION}.head_width"), 64, 1..=MAX_WIDTH)?,
        None => 64,
    };
    let heads = features / head_width;
    if heads == 0 || !features.is_multiple_of(heads) {
        return Err(err!(Config, "visual.attnpool: {heads} heads do not divide {features} features"));
    }
    let [embed_dim, _] = attnpool.dims("c_proj.weight")?;
    let image_size = grid * REDUCTION;
    if let Some(config) = config {
        let key = |name: &str| format!("{VISION}.{name}");
        review.neutral(config, &[(&key("timm_model_name"), "null")])?;
        agrees(config, &key("width"), width)?;
        agrees(config, &key("image_size"), image_size)?;
        let layers = key("layers");
        if let Some(value) = config.get(&layers)
            && value
                .as_array()
                .is_none_or(|values| !values.iter().map(|n| n.as_u64()).eq(blocks.map(|n| Some(n as u64))))
        {
            return Err(unsupported(config, &layers, &format!("{blocks:?}, as the tensors have")));
        }
        OF_VIT.iter().for_each(|name| _ = config.get(&key(name)));
    }
    let encoder = EncoderConfig::ResNet(ResNetConfig { width, blocks, heads, embed_dim });
    Ok(VisionConfig { image_size, encoder })
}
