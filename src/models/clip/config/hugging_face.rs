//! Reading `config.json` of `transformers`' CLIPModel, and of the towers saved apart.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{
    ClipConfig, EncoderConfig, MAX_CONTEXT, MAX_IMAGE, MAX_INTERMEDIATE, MAX_LAYERS, MAX_VOCABULARY,
    MAX_WIDTH, Pooling, TextConfig, TowerConfig, VisionConfig, VitConfig, bert,
};
use crate::error::Result;
use crate::kernels::activation::Activation;
use crate::models::clip::naming::Naming;
use crate::models::{activation, model_type};
use crate::weights::{Config, Review, Scope};

/// The keys of a tower. Where a `*_config_dict` is given, none of them is left of `*_config`.
const TOWER_KEYS: [&str; 13] = [
    "attention_dropout",
    "eos_token_id",
    "hidden_act",
    "hidden_size",
    "image_size",
    "intermediate_size",
    "layer_norm_eps",
    "max_position_embeddings",
    "num_attention_heads",
    "num_channels",
    "num_hidden_layers",
    "patch_size",
    "vocab_size",
];

/// Models of `transformers` that are a CLIP in its own naming: MetaCLIP 2 pools another token, Chinese-CLIP's text tower is a
/// BERT.
const FAMILIES: [&str; 3] = ["clip", "metaclip_2", "chinese_clip"];

/// Keys that are absent have the defaults of `CLIPVisionConfig` and `CLIPTextConfig`: ViT-B/32.
pub(super) fn read(
    config: &mut Config,
    scope: &Scope<'_>,
    naming: Naming,
    review: &mut Review,
) -> Result<ClipConfig> {
    // As CLIPConfig does: what stands in the older place wins, with defaults for what it leaves out.
    for tower in ["text_config", "vision_config"] {
        config.replace(tower, &format!("{tower}_dict"), |key| !TOWER_KEYS.contains(&key));
    }
    let config = &*config;
    let kinds = FAMILIES
        .map(|family| [family.into(), format!("{family}_vision_model"), format!("{family}_text_model")]);
    model_type(config, &kinds.iter().flatten().map(String::as_str).collect::<Vec<_>>(), review)?;
    let kind = config.str_or("model_type", "clip")?;
    let (vision, text) = match kind {
        _ if kind.ends_with("_vision_model") => (Some(""), None),
        _ if kind.ends_with("_text_model") => (None, Some("")),
        _ => (Some("vision_config."), Some("text_config.")),
    };
    // A BERT tells itself by its tensors; a MetaCLIP 2, in which token 2 is the end token, by its name alone.
    let is_metaclip = kind.starts_with("metaclip_2");
    let (has_vision, has_text) = (naming.has_image_tower(scope), naming.has_text_tower(scope));
    if (vision == Some("") && !has_vision) || (text == Some("") && !has_text) {
        return Err(config.unusable("model_type", "that of the tower that the weights hold"));
    }
    if has_text && text.is_some() && naming.has_bert(scope) != kind.starts_with("chinese_clip") {
        return Err(config.unusable("model_type", "that of the text tower that the weights hold"));
    }
    let whole = vision.is_some() && text.is_some();
    if whole && !(has_vision && has_text) {
        review.warn(format_args!(
            "the weights hold only the {} tower",
            if has_vision { "image" } else { "text" }
        ));
    }
    let read = ClipConfig {
        vision: vision
            .filter(|_| has_vision)
            .map(|at| vision_tower(config, scope, at, whole, review))
            .transpose()?,
        text: text
            .filter(|_| has_text)
            .map(|at| text_tower(config, scope, at, whole, is_metaclip, review))
            .transpose()?,
    };
    review.neutral(config, &[("quantization_config", "{}"), ("pruned_heads", "{}")])?;
    // The settings of a tower that the weights do not hold say nothing.
    let mut quiet = alloc::vec!["projection_dim", "vision_config.model_type", "text_config.model_type"];
    quiet.extend(
        [("vision_config", has_vision), ("text_config", has_text)].iter().filter(|it| !it.1).map(|it| it.0),
    );
    if naming.has_bert(scope) {
        quiet.extend(bert::QUIET);
    }
    review.settings(config, &quiet);
    Ok(read)
}

/// The tower whose keys begin with `at`.
fn tower(
    config: &Config,
    scope: &Scope<'_>,
    at: &str,
    [hidden, intermediate, layers, heads]: [usize; 4],
    (projection, whole): (&str, bool),
    review: &mut Review,
) -> Result<TowerConfig> {
    let key = |name: &str| format!("{at}{name}");
    let hidden_size = config.usize_or(&key("hidden_size"), hidden, 1..=MAX_WIDTH)?;
    let heads = config.usize_or(&key("num_attention_heads"), heads, 1..=hidden_size)?;
    if !hidden_size.is_multiple_of(heads) {
        let expected = format_args!("a divisor of hidden_size = {hidden_size}");
        return Err(config.unusable(&key("num_attention_heads"), expected));
    }
    for name in ["qk_norm", "use_qk_norm", "quantization_config"] {
        review.neutral(config, &[(&key(name), "false")])?;
    }
    // Towers apart are saved with their projection or without.
    let projection = if whole || scope.contains(projection) {
        Some(config.usize_or("projection_dim", 512, 1..=MAX_WIDTH)?)
    } else {
        None
    };
    Ok(TowerConfig {
        hidden_size,
        intermediate_size: config.usize_or(&key("intermediate_size"), intermediate, 1..=MAX_INTERMEDIATE)?,
        layers: config.usize_or(&key("num_hidden_layers"), layers, 1..=MAX_LAYERS)?,
        heads,
        activation: activation(config, &key("hidden_act"), Activation::QuickGelu)?,
        layer_norm_eps: config.f32_or(&key("layer_norm_eps"), 1e-5, 0.0..=1.0)?,
        projection,
    })
}

fn vision_tower(
    config: &Config,
    scope: &Scope<'_>,
    at: &str,
    whole: bool,
    review: &mut Review,
) -> Result<VisionConfig> {
    let key = |name: &str| format!("{at}{name}");
    let projection = Naming::HuggingFace.vit().projection;
    let tower = tower(config, scope, at, [768, 3072, 12, 12], (projection, whole), review)?;
    let image_size = config.usize_or(&key("image_size"), 224, 1..=MAX_IMAGE)?;
    if config.usize_or(&key("num_channels"), 3, 0..=MAX_WIDTH)? != 3 {
        return Err(config.unusable(&key("num_channels"), 3));
    }
    let vit = VitConfig::clip(tower, config.usize_or(&key("patch_size"), 32, 1..=image_size)?);
    Ok(VisionConfig { image_size, encoder: EncoderConfig::Vit(vit) })
}

fn text_tower(
    config: &Config,
    scope: &Scope<'_>,
    at: &str,
    whole: bool,
    is_metaclip: bool,
    review: &mut Review,
) -> Result<TextConfig> {
    let key = |name: &str| format!("{at}{name}");
    if Naming::HuggingFace.has_bert(scope) {
        let projection = config.usize_or("projection_dim", 512, 1..=MAX_WIDTH)?;
        return bert::read_chinese(config, at, projection, review);
    }
    let projection = Naming::HuggingFace.text().projection;
    let tower = tower(config, scope, at, [512, 2048, 12, 8], (projection, whole), review)?;
    let eos = config.usize_or(&key("eos_token_id"), 49407, 0..=MAX_VOCABULARY)?;
    Ok(TextConfig {
        tower,
        vocab_size: config.usize_or(&key("vocab_size"), 49408, 1..=MAX_VOCABULARY)?,
        context_length: config.usize_or(&key("max_position_embeddings"), 77, 1..=MAX_CONTEXT)?,
        has_long_positions: false,
        pooling: if eos == 2 && !is_metaclip { Pooling::Argmax } else { Pooling::FirstEos(eos as u32) },
        is_causal: true,
        has_mixers: false,
        padding: Some(0),
        bert: None,
    })
}
