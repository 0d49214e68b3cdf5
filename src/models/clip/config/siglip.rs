//! Reading `config.json` of `transformers`' SiglipModel, which SigLIP 2 has in its fixed resolutions, too, of its Siglip2Model,
//! which is the variable resolution, and of their towers alone.

use alloc::format;

use super::{
    ClipConfig, EncoderConfig, MAX_CONTEXT, MAX_IMAGE, MAX_INTERMEDIATE, MAX_LAYERS, MAX_VOCABULARY,
    MAX_WIDTH, Pooling, TextConfig, TowerConfig, VisionConfig, VitConfig,
};
use crate::error::Result;
use crate::kernels::activation::Activation;
use crate::models::clip::naming::Naming;
use crate::models::{activation, model_type};
use crate::weights::{Config, Review, Scope};

/// Keys that are absent have the defaults of `SiglipVisionConfig`, `Siglip2VisionConfig` and `SiglipTextConfig`: B/16.
pub(super) fn read(config: &Config, scope: &Scope<'_>, review: &mut Review) -> Result<ClipConfig> {
    const KINDS: [&str; 6] = [
        "siglip",
        "siglip_vision_model",
        "siglip_text_model",
        "siglip2",
        "siglip2_vision_model",
        "siglip2_text_model",
    ];
    model_type(config, &KINDS, review)?;
    let kind = config.str_or("model_type", "siglip")?;
    let vision_tower = match kind.starts_with("siglip2") {
        true => naflex_tower,
        false => vision_tower,
    };
    let (vision, text) = match kind {
        "siglip_vision_model" | "siglip2_vision_model" => (Some(""), None),
        "siglip_text_model" | "siglip2_text_model" => (None, Some("")),
        _ => (Some("vision_config."), Some("text_config.")),
    };
    let (has_vision, has_text) =
        (Naming::Siglip.has_image_tower(scope), Naming::Siglip.has_text_tower(scope));
    if (vision == Some("") && !has_vision) || (text == Some("") && !has_text) {
        return Err(config.unusable("model_type", "that of the tower that the weights hold"));
    }
    if vision.is_some() && text.is_some() && !(has_vision && has_text) {
        review.warn(format_args!(
            "the weights hold only the {} tower",
            if has_vision { "image" } else { "text" }
        ));
    }
    let read = ClipConfig {
        vision: vision.filter(|_| has_vision).map(|at| vision_tower(config, at, review)).transpose()?,
        text: text.filter(|_| has_text).map(|at| text_tower(config, at, review)).transpose()?,
    };
    review.neutral(config, &[("quantization_config", "{}"), ("pruned_heads", "{}")])?;
    // Texts are pooled at their last token, whichever it is.
    let mut quiet = alloc::vec!["vision_config.model_type", "text_config.model_type", "eos_token_id"];
    quiet.extend(
        [("vision_config", has_vision), ("text_config", has_text)].iter().filter(|it| !it.1).map(|it| it.0),
    );
    review.settings(config, &quiet);
    Ok(read)
}

/// The tower whose keys begin with `at`.
fn tower(config: &Config, at: &str, review: &mut Review) -> Result<TowerConfig> {
    let key = |name: &str| format!("{at}{name}");
    let hidden_size = config.usize_or(&key("hidden_size"), 768, 1..=MAX_WIDTH)?;
    let heads = config.usize_or(&key("num_attention_heads"), 12, 1..=hidden_size)?;
    if !hidden_size.is_multiple_of(heads) {
        let expected = format_args!("a divisor of hidden_size = {hidden_size}");
        return Err(config.unusable(&key("num_attention_heads"), expected));
    }
    for name in ["qk_norm", "use_qk_norm", "quantization_config"] {
        review.neutral(config, &[(&key(name), "false")])?;
    }
    Ok(TowerConfig {
        hidden_size,
        intermediate_size: config.usize_or(&key("intermediate_size"), 3072, 1..=MAX_INTERMEDIATE)?,
        layers: config.usize_or(&key("num_hidden_layers"), 12, 1..=MAX_LAYERS)?,
        heads,
        activation: activation(config, &key("hidden_act"), Activation::GeluTanh)?,
        layer_norm_eps: config.f32_or(&key("layer_norm_eps"), 1e-6, 0.0..=1.0)?,
        projection: None,
    })
}

fn vision_tower(config: &Config, at: &str, review: &mut Review) -> Result<VisionConfig> {
    let key = |name: &str| format!("{at}{name}");
    let tower = image_transformer(config, at, review)?;
    let image_size = config.usize_or(&key("image_size"), 224, 1..=MAX_IMAGE)?;
    let patch_size = config.usize_or(&key("patch_size"), 16, 1..=image_size)?;
    let encoder = EncoderConfig::Vit(VitConfig::siglip(tower, patch_size));
    Ok(VisionConfig { image_size, encoder })
}

/// NaFlex's has a square of position embeddings.
fn naflex_tower(config: &Config, at: &str, review: &mut Review) -> Result<VisionConfig> {
    let key = |name: &str| format!("{at}{name}");
    let tower = image_transformer(config, at, review)?;
    let patch_size = config.usize_or(&key("patch_size"), 16, 1..=MAX_IMAGE)?;
    let most = MAX_IMAGE / patch_size;
    let patches = config.usize_or(&key("num_patches"), 256, 1..=most * most)?;
    let side = patches.isqrt();
    if side * side != patches {
        return Err(config.unusable(&key("num_patches"), "a square number"));
    }
    let encoder = EncoderConfig::Vit(VitConfig::naflex(tower, patch_size));
    Ok(VisionConfig { image_size: side * patch_size, encoder })
}

/// The transformer of either image tower.
fn image_transformer(config: &Config, at: &str, review: &mut Review) -> Result<TowerConfig> {
    let key = |name: &str| format!("{at}{name}");
    if config.usize_or(&key("num_channels"), 3, 0..=MAX_WIDTH)? != 3 {
        return Err(config.unusable(&key("num_channels"), 3));
    }
    // Without the head a tower has no embedding.
    review.neutral(config, &[(&key("vision_use_head"), "true")])?;
    tower(config, at, review)
}

fn text_tower(config: &Config, at: &str, review: &mut Review) -> Result<TextConfig> {
    let key = |name: &str| format!("{at}{name}");
    let tower = tower(config, at, review)?;
    let projection = config.usize_or(&key("projection_size"), tower.hidden_size, 1..=MAX_WIDTH)?;
    Ok(TextConfig {
        tower: TowerConfig { projection: Some(projection), ..tower },
        vocab_size: config.usize_or(&key("vocab_size"), 32_000, 1..=MAX_VOCABULARY)?,
        context_length: config.usize_or(&key("max_position_embeddings"), 64, 1..=MAX_CONTEXT)?,
        has_long_positions: false,
        pooling: Pooling::Last,
        is_causal: false,
        has_mixers: false,
        padding: None,
        bert: None,
    })
}
