//! The sizes of a MobileCLIP in Apple's naming: from the shapes of its tensors, and from the configuration of Apple's program for
//! what shapes do not tell, where it lies beside the weights as `config.json`.

use super::{
    ClassToken, ClipConfig, EncoderConfig, MAX_IMAGE, MAX_LAYERS, MAX_WIDTH, OtherSizes, PatchStem, Pooling,
    TextConfig, TowerConfig, VisionConfig, VitConfig, fast_vit,
};
use crate::error::{Result, err};
use crate::kernels::activation::Activation;
use crate::models::clip::naming::Naming;
use crate::weights::{Config, Review, Scope};

/// Layers of a text tower, which has blocks of convolutions if it is MobileCLIP S0's.
const TEXT: &str = "text_encoder.transformer";

pub(super) fn read(scope: &Scope<'_>, config: Option<&Config>, review: &mut Review) -> Result<ClipConfig> {
    let naming = Naming::MobileClip;
    let (has_vision, has_text) = (naming.has_image_tower(scope), naming.has_text_tower(scope));
    if !(has_vision && has_text) {
        review.warn(format_args!(
            "the weights hold only the {} tower",
            if has_vision { "image" } else { "text" }
        ));
    }
    let read = ClipConfig {
        vision: has_vision.then(|| vision(scope, config)).transpose()?,
        text: has_text.then(|| text(scope, config, review)).transpose()?,
    };
    if let Some(config) = config {
        super::original::agrees(config, "embed_dim", read.embed_dim())?;
        let absent = [("image_cfg", has_vision), ("text_cfg", has_text)];
        let absent = absent.into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| name);
        // What the configuration calls the towers follows from their tensors.
        let quiet = ["model_name", "norm_layer", "embed_dropout", "ffn_multiplier_per_layer"];
        review.settings(config, &quiet.into_iter().chain(absent).collect::<alloc::vec::Vec<_>>());
    }
    Ok(read)
}

/// Whether the image tower is the Vision Transformer of MobileCLIP-B.
fn is_vit(scope: &Scope<'_>) -> bool {
    scope.at(Naming::MobileClip.vit().patch_embedding).names().next().is_some()
}

fn vision(scope: &Scope<'_>, config: Option<&Config>) -> Result<VisionConfig> {
    let side = |default| match config {
        Some(config) => config.usize_or("image_cfg.image_size", default, 1..=MAX_IMAGE),
        None => Ok(default),
    };
    if !is_vit(scope) {
        let image_size = side(256)?;
        let net = fast_vit::read(scope, Naming::MobileClip)?;
        return Ok(VisionConfig { image_size, encoder: EncoderConfig::FastVit(net) });
    }
    let names = Naming::MobileClip.vit();
    let [_, _, patches, dim]: [usize; 4] = scope.dims(names.positions)?;
    let grid = (1..=MAX_IMAGE / PATCH).find(|grid| grid * grid == patches).ok_or_else(|| {
        err!(Config, "tensor \"{}\": {patches} positions are not those of a square", names.positions)
    })?;
    let image_size = side(grid * PATCH)?;
    if image_size != grid * PATCH {
        return Err(err!(Config, "image_cfg.image_size is {image_size}, expected {}", grid * PATCH));
    }
    let tower = tower(scope, names.layers, dim, 12, 0)?;
    let [_, projection] = scope.dims(names.projection)?;
    let [width, ..]: [usize; 4] = scope.at(names.patch_embedding).dims("0.block.conv.weight")?;
    super::limit("width of the stem", width, MAX_WIDTH)?;
    let vit = VitConfig {
        stem: PatchStem::Convolutions { width },
        class_token: ClassToken::Unplaced,
        has_pre_norm: false,
        other_sizes: OtherSizes::Refused,
        ..VitConfig::clip(TowerConfig { projection: Some(projection), ..tower }, PATCH)
    };
    Ok(VisionConfig { image_size, encoder: EncoderConfig::Vit(vit) })
}

/// Pixels along a side of a token of MobileCLIP-B.
const PATCH: usize = 16;

fn text(scope: &Scope<'_>, config: Option<&Config>, review: &mut Review) -> Result<TextConfig> {
    let names = Naming::MobileClip.text();
    let [_, _, context_length, dim]: [usize; 4] = scope.dims(names.positions)?;
    let [vocab_size, _] = scope.dims(names.token_embedding)?;
    let [_, projection] = scope.dims(names.projection)?;
    let has_mixers = scope.at(TEXT).at("0.token_mixer").names().next().is_some();
    let heads = match config {
        Some(config) => config.usize_or("text_cfg.n_heads_per_layer", 8, 1..=MAX_WIDTH)?,
        None => dim / 64,
    };
    let tower = tower(scope, names.layers, dim, heads, usize::from(has_mixers))?;
    let is_causal = match config {
        Some(config) if config.has("text_cfg.causal_masking") => {
            config.bool_or("text_cfg.causal_masking", false)?
        }
        _ if Naming::MobileClip.has_image_tower(scope) => is_vit(scope),
        _ if has_mixers => false,
        _ => {
            return Err(err!(
                NotFound,
                "config.json is needed beside a text tower alone: text_cfg.causal_masking"
            ));
        }
    };
    if let Some(config) = config {
        let agrees = super::original::agrees;
        agrees(config, "text_cfg.dim", dim)?;
        agrees(config, "text_cfg.context_length", context_length)?;
        agrees(config, "text_cfg.vocab_size", vocab_size)?;
        agrees(config, "text_cfg.n_transformer_layers", tower.layers)?;
        let neutral = [("text_cfg.no_pos_embedding", "false"), ("text_cfg.output_dim", "null")];
        review.neutral(config, &neutral)?;
        // It is computed and not used.
        config.bool_or("text_cfg.no_scale_embedding", false)?;
    }
    Ok(TextConfig {
        tower: TowerConfig { projection: Some(projection), ..tower },
        vocab_size,
        context_length,
        has_long_positions: false,
        pooling: Pooling::Argmax,
        is_causal,
        has_mixers,
        padding: Some(0),
        bert: None,
    })
}

/// The transformer whose first layer has the number `first` in `layers`.
fn tower(scope: &Scope<'_>, layers: &str, dim: usize, heads: usize, first: usize) -> Result<TowerConfig> {
    let names = Naming::MobileClip.text_layer();
    let layers_at = scope.at(layers);
    let has_layer = |i: &usize| layers_at.at(first + i).at(names.norm1).contains("weight");
    let count = (0..=MAX_LAYERS).take_while(has_layer).count();
    let [intermediate_size, _] = layers_at.at(first).at(names.mlp[0]).dims("weight")?;
    let tower = TowerConfig {
        hidden_size: dim,
        intermediate_size,
        layers: count,
        heads,
        activation: Activation::Gelu,
        layer_norm_eps: 1e-5,
        projection: None,
    };
    tower.check(layers)?;
    Ok(tower)
}
