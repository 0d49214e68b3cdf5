//! The sizes of a checkpoint in OpenAI's and OpenCLIP's naming: from the shapes of its tensors, and from
//! `open_clip_config.json` for what shapes do not tell.

mod resnet;
mod timm;

use alloc::format;
use alloc::vec::Vec;

use super::{
    AttentionPool, ClassToken, ClipConfig, EncoderConfig, ImagePooling, MAX_IMAGE, MAX_LAYERS, MAX_WIDTH,
    OtherSizes, Pooling, Rotary, TextConfig, TowerConfig, VisionConfig, VitConfig,
};
use crate::error::{Error, Result, err};
use crate::kernels::activation::Activation;
use crate::kernels::resize::interpolate::Mode;
use crate::models::clip::naming::{Naming, PE_PROBE};
use crate::weights::{Config, Review, Scope};

pub(super) const VISION: &str = "model_cfg.vision_cfg";
pub(super) const TEXT: &str = "model_cfg.text_cfg";

/// Heads of the attention that pools PE-Core's tokens, whatever its size.
const PE_POOL_HEADS: usize = 8;

/// Settings of a tower that this library does not implement, with the values that change nothing.
const TOWER_NEUTRAL: [(&str, &str); 8] = [
    ("block_type", "\"default\""),
    ("qk_norm", "false"),
    ("scaled_cosine_attn", "false"),
    ("scale_heads", "false"),
    ("scale_attn_inner", "false"),
    ("scale_attn", "false"),
    ("scale_fc", "false"),
    ("final_ln_after_pool", "false"),
];

/// Settings that train a model, or that follow from its tensors.
const QUIET: [&str; 19] = [
    "attn_pooler_heads",
    "attn_pooler_queries",
    "custom_text",
    "eos_id",
    "hf_model_pretrained",
    "hf_tokenizer_name",
    "init_logit_scale",
    "ls_init_value",
    "output_tokens",
    "pad_id",
    "patch_dropout",
    "preprocess_cfg",
    "timm_drop",
    "timm_drop_path",
    "timm_model_pretrained",
    "timm_patch_drop",
    "timm_pool",
    "timm_proj",
    "tokenizer_kwargs",
];

/// `config` is `open_clip_config.json`. `is_activation_given` says that the caller knows the activation.
pub(super) fn read(
    scope: &Scope<'_>,
    naming: Naming,
    config: Option<&Config>,
    is_activation_given: bool,
    review: &mut Review,
) -> Result<ClipConfig> {
    let activation = activation(scope, naming, config, is_activation_given, review)?;
    let (has_vision, has_text) = (naming.has_image_tower(scope), naming.has_text_tower(scope));
    if !(has_vision && has_text) {
        review.warn(format_args!(
            "the weights hold only the {} tower",
            if has_vision { "image" } else { "text" }
        ));
    }
    let vision = |review: &mut Review| match naming {
        Naming::Timm | Naming::TimmPlainText => timm::read(scope, config, review),
        _ if naming.has_resnet(scope) => resnet::read(scope, config, review),
        _ => vit(scope, naming, config, activation, review),
    };
    let vision = has_vision.then(|| vision(review)).transpose()?;
    let text = |review: &mut Review| match naming {
        Naming::Original if naming.has_bert(scope) => super::bert::read_original(scope),
        _ if naming.has_bert(scope) => super::bert::read_open_clip(scope, naming, config),
        _ => text(scope, naming, config, activation, review),
    };
    let mut text = has_text.then(|| text(review)).transpose()?;
    // Of timm's towers without a configuration only known ones are read: MobileCLIP's texts are not causal beside a FastViT.
    if let (None, Some(text), Some(VisionConfig { encoder: EncoderConfig::FastVit(_), .. })) =
        (config, &mut text, &vision)
    {
        text.is_causal = false;
    }
    let read = ClipConfig { vision, text };
    if let Some(config) = config {
        let whole = [("model_cfg.nonscalar_logit_scale", "false"), ("model_cfg.multimodal_cfg", "null")];
        review.neutral(config, &whole)?;
        // Where there is a bias, a tensor has what became of it.
        let bias = "model_cfg.init_logit_bias";
        if !scope.contains("logit_bias") {
            review.neutral(config, &[(bias, "null")])?;
        }
        _ = config.get(bias);
        let dim = read.embed_dim();
        agrees(config, "model_cfg.embed_dim", dim)?;
        // The settings of a tower that the weights do not hold say nothing.
        let absent = [("vision_cfg", has_vision), ("text_cfg", has_text)];
        let absent = absent.into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| name);
        review.settings(config, &QUIET.into_iter().chain(absent).collect::<Vec<_>>());
    }
    Ok(read)
}

/// QuickGELU or GELU, which no shape tells.
fn activation(
    scope: &Scope<'_>,
    naming: Naming,
    config: Option<&Config>,
    is_given: bool,
    review: &mut Review,
) -> Result<Activation> {
    let is_openai =
        ["input_resolution", "context_length", "vocab_size"].iter().all(|name| scope.contains(name));
    let quick_gelu = match config {
        Some(config) => config.bool_or("model_cfg.quick_gelu", false)?,
        None => is_openai,
    };
    // Chinese-CLIP's own program has no other for pictures; BERTs say themselves which one is theirs.
    if naming == Naming::Original && naming.has_bert(scope) {
        return Ok(Activation::QuickGelu);
    }
    // A ResNet alone has no MLP. PE-Core and timm's towers say themselves which activation is theirs.
    let is_timm = matches!(naming, Naming::Timm | Naming::TimmPlainText);
    let is_known = is_timm || scope.contains(PE_PROBE);
    let matters = !is_known && (naming.has_text_tower(scope) || !naming.has_resnet(scope));
    if config.is_none() && !is_openai && !is_given && matters {
        review.warn(
            "activation: nothing beside the weights tells it, and OpenCLIP's GELU is assumed; OpenAI's weights and those \
             made from them need QuickGELU",
        );
    }
    Ok(if quick_gelu { Activation::QuickGelu } else { Activation::Gelu })
}

fn vit(
    scope: &Scope<'_>,
    naming: Naming,
    config: Option<&Config>,
    activation: Activation,
    review: &mut Review,
) -> Result<VisionConfig> {
    let names = naming.vit();
    let name = &format!("{}.weight", names.patch_embedding);
    let [width, channels, patch_size, _] = scope.dims(name)?;
    if channels != 3 {
        return Err(err!(TensorShape, "tensor \"{name}\": expected 3 input channels, found {channels}"));
    }
    let is_pe = scope.contains(PE_PROBE);
    if !is_pe && scope.at(names.pool).names().next().is_some() {
        return Err(err!(
            Unsupported,
            "tensors \"visual.attn_pool…\": an image tower with attentional pooling (CoCa)"
        ));
    }
    let [tokens, _] = scope.dims(names.positions)?;
    let has_class = scope.contains(names.class_embedding);
    let others = usize::from(has_class);
    let side = (1..=MAX_IMAGE).find(|side| side * side + others >= tokens).unwrap_or(MAX_IMAGE);
    let head_width = match (config, width) {
        (Some(config), _) => config.usize_or(&format!("{VISION}.head_width"), 64, 1..=MAX_WIDTH)?,
        // PE-Core G.
        (None, 1536) if is_pe => 96,
        (None, _) if is_pe => 64,
        (None, 1280) => 80,
        (None, 1408) => 88,
        (None, 1664) => 104,
        (None, _) => 64,
    };
    let tower =
        tower(scope, (VISION, names.layers), (width, width / head_width), activation, config, review)?;
    let [_, projection_dim] = scope.dims(names.projection)?;
    let image_size = side * patch_size;
    let mut read = VitConfig {
        has_pre_norm: scope.at(names.pre_norm).contains("weight"),
        pooling: image_pooling(config)?,
        ..VitConfig::clip(TowerConfig { projection: Some(projection_dim), ..tower }, patch_size)
    };
    if is_pe {
        let [intermediate_size, _] = scope.at(names.pool).dims("mlp.c_fc.weight")?;
        read.pooling = ImagePooling::Attention(AttentionPool { heads: PE_POOL_HEADS, intermediate_size });
        read.class_token = if has_class { ClassToken::Placed } else { ClassToken::None };
        read.rotary = Some(Rotary::PeCore);
        read.other_sizes = OtherSizes::Interpolated(Mode::Bilinear);
    }
    if let Some(config) = config {
        let key = |name: &str| format!("{VISION}.{name}");
        let attentional_pool = key("attentional_pool");
        review.neutral(config, &[(&attentional_pool, "false"), (&key("timm_model_name"), "null")])?;
        agrees(config, &key("patch_size"), patch_size)?;
        agrees(config, &key("image_size"), image_size)?;
        // The table is in the weights, however it was made.
        config.str_or(&key("pos_embed_type"), "learnable")?;
        if config.bool_or(&key("no_ln_pre"), !read.has_pre_norm)? == read.has_pre_norm {
            return Err(config.unusable(&key("no_ln_pre"), "what the tensors say"));
        }
    }
    Ok(VisionConfig { image_size, encoder: EncoderConfig::Vit(read) })
}

fn image_pooling(config: Option<&Config>) -> Result<ImagePooling> {
    let Some(config) = config else { return Ok(ImagePooling::ClassToken) };
    let key = format!("{VISION}.pool_type");
    let norm_last = config.bool_or(&format!("{VISION}.final_ln_after_pool"), false)?;
    match config.str_or(&key, "tok")? {
        // The norm of one token is the same before and after.
        "tok" => Ok(ImagePooling::ClassToken),
        "avg" if norm_last => Ok(ImagePooling::NormOfMean),
        "avg" => Ok(ImagePooling::MeanOfNormed),
        _ => Err(unsupported(config, &key, "\"tok\" or \"avg\"")),
    }
}

fn text(
    scope: &Scope<'_>,
    naming: Naming,
    config: Option<&Config>,
    activation: Activation,
    review: &mut Review,
) -> Result<TextConfig> {
    let names = naming.text();
    if !scope.contains(names.token_embedding) && scope.at("text.transformer").names().next().is_some() {
        return Err(err!(
            Unsupported,
            "tensors \"text.transformer…\": a text tower of transformers that is no BERT or RoBERTa (T5, M2M-100)"
        ));
    }
    let [context_length, width] = scope.dims(names.positions)?;
    let heads = match config {
        Some(config) => config.usize_or(&format!("{TEXT}.heads"), 8, 1..=MAX_WIDTH)?,
        None => width / 64,
    };
    let [vocab_size, _] = scope.dims(names.token_embedding)?;
    let tower = tower(scope, (TEXT, names.layers), (width, heads), activation, config, review)?;
    let mut read = TextConfig {
        tower: TowerConfig { projection: text_projection(scope, names.projection)?, ..tower },
        vocab_size,
        context_length,
        has_long_positions: scope.contains(LONG_POSITIONS),
        pooling: Pooling::Argmax,
        is_causal: true,
        has_mixers: false,
        padding: Some(0),
        bert: None,
    };
    if let Some(config) = config {
        let key = |name: &str| format!("{TEXT}.{name}");
        let (embed_cls, hf_model, proj) = (key("embed_cls"), key("hf_model_name"), key("proj_type"));
        let pad_mask = key("use_pad_mask");
        review.neutral(config, &[(&embed_cls, "false"), (&hf_model, "null"), (&pad_mask, "false")])?;
        if read.tower.projection.is_some() {
            review.neutral(config, &[(&proj, "\"linear\"")])?;
        } else {
            review.neutral(config, &[(&proj, "\"none\"")])?;
        }
        config.bool_or(&key("proj_bias"), false)?;
        agrees(config, &key("context_length"), context_length)?;
        agrees(config, &key("vocab_size"), vocab_size)?;
        read.is_causal = !config.bool_or(&key("no_causal_mask"), false)?;
        let pool = key("pool_type");
        read.pooling = match config.str_or(&pool, "argmax")? {
            "argmax" => Pooling::Argmax,
            "eos" => Pooling::FirstEos(config.usize_or(&key("eos_id"), 2, 0..=vocab_size)? as u32),
            "first" => Pooling::First,
            "last" => Pooling::Last,
            _ => return Err(unsupported(config, &pool, "\"argmax\", \"eos\", \"first\" or \"last\"")),
        };
    }
    Ok(read)
}

/// Long-CLIP's second table of positions.
pub(in crate::models::clip) const LONG_POSITIONS: &str = "positional_embedding_res";

/// The width of the text's embedding: the projection is a bare matrix `[D, E]`, or a linear layer with a bias.
fn text_projection(scope: &Scope<'_>, name: &str) -> Result<Option<usize>> {
    if scope.contains(name) {
        let [_, dim] = scope.dims(name)?;
        return Ok(Some(dim));
    }
    let layer = scope.at(name);
    if layer.contains("weight") {
        let [dim, _] = layer.dims("weight")?;
        return Ok(Some(dim));
    }
    Ok(None)
}

/// The sizes of the tower `names.1`, whose settings are at `names.0`.
fn tower(
    scope: &Scope<'_>,
    (settings, layers): (&str, &str),
    (width, heads): (usize, usize),
    activation: Activation,
    config: Option<&Config>,
    review: &mut Review,
) -> Result<TowerConfig> {
    let blocks = scope.at(layers);
    let [intermediate_size, _] = blocks.at(0).dims("mlp.c_fc.weight")?;
    let count = (0..=MAX_LAYERS).take_while(|i| blocks.at(i).contains("ln_1.weight")).count();
    let mut tower = TowerConfig {
        hidden_size: width,
        intermediate_size,
        layers: count,
        heads,
        activation,
        layer_norm_eps: 1e-5,
        projection: None,
    };
    tower.check(layers)?;
    let Some(config) = config else { return Ok(tower) };
    let key = |name: &str| format!("{settings}.{name}");
    for (name, neutral) in TOWER_NEUTRAL {
        // The image tower has both orders of norm and pooling.
        if (settings, name) != (VISION, "final_ln_after_pool") {
            review.neutral(config, &[(&key(name), neutral)])?;
        }
    }
    agrees(config, &key("width"), width)?;
    if config.get(&key("layers")).is_some_and(|layers| layers.is_array()) {
        return Err(unsupported(config, &key("layers"), "a number: the weights are those of a transformer"));
    }
    agrees(config, &key("layers"), count)?;
    let ratio = config.f32_or(&key("mlp_ratio"), 4.0, 0.0..=64.0)?;
    if (width as f32 * ratio) as usize != intermediate_size {
        let expected = format_args!("a ratio that gives {intermediate_size}, as the tensors have");
        return Err(config.unusable(&key("mlp_ratio"), expected));
    }
    tower.layer_norm_eps = config.f32_or(&key("norm_kwargs.eps"), 1e-5, 0.0..=1.0)?;
    if activation == Activation::Gelu {
        let approximate = key("act_kwargs.approximate");
        tower.activation = match config.str_or(&approximate, "none")? {
            "none" => Activation::Gelu,
            "tanh" => Activation::GeluTanh,
            _ => return Err(unsupported(config, &approximate, "\"none\" or \"tanh\"")),
        };
    }
    Ok(tower)
}

/// Whether the setting at `key`, if there is one, is what the tensors say.
pub(super) fn agrees(config: &Config, key: &str, found: usize) -> Result<()> {
    match config.get(key).map(|value| value.as_u64()) {
        Some(value) if value != Some(found as u64) => {
            Err(config.unusable(key, format_args!("{found}, as the tensors have")))
        }
        _ => Ok(()),
    }
}

/// The error of a value that is not implemented.
pub(super) fn unsupported(config: &Config, key: &str, expected: &str) -> Error {
    err!(Unsupported, "{}", config.unusable(key, expected).message())
}
