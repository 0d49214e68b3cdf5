//! Reading `config.json` of `transformers`' Sam2VideoModel and Sam2Model.

use alloc::format;
use alloc::vec::Vec;

use super::{
    HieraConfig, HieraStage, MAX_FRAMES, MAX_GRID, MAX_IMAGE, MAX_LAYERS, MAX_MLP, MAX_WIDTH, MemoryConfig,
    STAGES, Sam2Config, TrackingConfig, extensions, memory_of,
};
use crate::error::Result;
use crate::kernels::activation::Activation;
use crate::models::sam::{DecoderConfig, DecoderExtensions, MaskGeneration, Naming, Stability};
use crate::models::{activation, model_type};
use crate::weights::{Config, Review, Scope};

const TRUNK: &str = "vision_config.backbone_config";
const NECK: &str = "vision_config";

/// Keys that are absent have the defaults of `transformers`: SAM 2.1 tiny.
pub(super) fn read(
    config: &Config,
    scope: &Scope<'_>,
    naming: Naming,
    review: &mut Review,
) -> Result<Sam2Config> {
    model_type(config, &["sam2_video", "sam2"], review)?;
    let dim = config.usize_or(&format!("{NECK}.fpn_hidden_size"), 256, 1..=MAX_WIDTH)?;
    let image_size = image_size(config)?;
    for (key, default, expected) in [
        ("vision_config.num_feature_levels", 3, 3),
        ("vision_config.fpn_kernel_size", 1, 1),
        ("vision_config.fpn_stride", 1, 1),
        ("vision_config.fpn_padding", 0, 0),
        ("vision_config.backbone_config.num_channels", 3, 3),
        ("vision_config.backbone_config.num_query_pool_stages", 3, 3),
        ("prompt_encoder_config.hidden_size", 256, dim),
        ("prompt_encoder_config.num_point_embeddings", 4, 4),
        ("prompt_encoder_config.patch_size", 16, 16),
        ("mask_decoder_config.hidden_size", 256, dim),
        ("mask_decoder_config.attention_downsample_rate", 2, 2),
        // It also counts the layers of each MLP.
        ("mask_decoder_config.num_hidden_layers", 2, 2),
    ] {
        if config.usize_or(key, default, 0..=MAX_WIDTH)? != expected {
            return Err(config.unusable(key, expected));
        }
    }
    for (key, expected) in [
        ("patch_kernel_size", [7.0; 2]),
        ("patch_stride", [4.0; 2]),
        ("patch_padding", [3.0; 2]),
        ("query_stride", [2.0; 2]),
    ] {
        let key = format!("{TRUNK}.{key}");
        if config.f32s_or(&key, expected, 0.0..=64.0)? != expected {
            return Err(config.unusable(&key, format_args!("{expected:?}")));
        }
    }
    let levels = integers(config, &format!("{NECK}.fpn_top_down_levels"), &[2, 3], STAGES - 1)?;
    let read = Sam2Config {
        image_size,
        hiera: hiera(config, scope, naming)?,
        top_down_levels: levels,
        dim,
        decoder: decoder(config, scope, naming)?,
        mask_generation: MaskGeneration::read(config)?,
        memory: memory(config, scope, naming, dim)?,
        tracking: tracking(config)?,
    };
    let gelu = "vision_config.backbone_config.hidden_act";
    review.neutral(config, &[("quantization_config", "{}"), (gelu, "\"gelu\"")])?;
    review.settings(config, &QUIET);
    Ok(read)
}

/// Keys that follow from others or from the tensors, or are not used by `transformers` either.
const QUIET: [&str; 21] = [
    "backbone_channel_list",
    "backbone_feature_sizes",
    "mask_decoder_config.hidden_act",
    "mask_downsampler_embed_dim",
    "memory_attention_dropout",
    "memory_attention_feed_forward_hidden_size",
    "memory_attention_num_layers",
    "memory_attention_rope_dropout",
    "memory_attention_rope_feat_sizes",
    "memory_fuser_embed_dim",
    "memory_fuser_intermediate_dim",
    "memory_fuser_layer_scale_init_value",
    "memory_fuser_num_layers",
    "model_type",
    "prompt_encoder_config.scale",
    "rope_type",
    "vision_config.backbone_config.hidden_size",
    "vision_config.backbone_config.num_attention_heads",
    "vision_config.hidden_act",
    "vision_config.layer_norm_eps",
    "window_positional_embedding_background_size",
];

/// Position encodings that only a model adds which does not add its embedding of missing memories to the features, as all
/// do; and a second copy of the frequencies.
pub(in crate::models::sam2) const QUIET_TENSORS: [&str; 3] = [
    "no_mem_pos_enc",
    "no_memory_positional_encoding",
    "prompt_encoder.shared_embedding.positional_embedding",
];

/// The side of the input, which `transformers` keeps in more than one place and as one number or two.
fn image_size(config: &Config) -> Result<usize> {
    const KEYS: [&str; 3] =
        ["image_size", "prompt_encoder_config.image_size", "vision_config.backbone_config.image_size"];
    let mut found = None;
    for key in KEYS {
        if !config.has(key) {
            continue;
        }
        let side = match config.get(key).and_then(serde_json::Value::as_array) {
            None => config.usize_or(key, 1024, 1..=MAX_IMAGE)?,
            Some(_) => match integers(config, key, &[], MAX_IMAGE)?[..] {
                [height, width] if height == width => height,
                _ => return Err(config.unusable(key, "a number, or two equal ones")),
            },
        };
        if found.is_some_and(|found| found != side) {
            return Err(config.unusable(key, format_args!("{}, as elsewhere", found.unwrap_or(side))));
        }
        found = Some(side);
    }
    Ok(found.unwrap_or(1024))
}

fn hiera(config: &Config, scope: &Scope<'_>, naming: Naming) -> Result<HieraConfig> {
    let list = |key: &str, default: [usize; STAGES], most| -> Result<[usize; STAGES]> {
        let key = format!("{TRUNK}.{key}");
        let values = integers(config, &key, &default, most)?;
        values.try_into().map_err(|_| config.unusable(&key, format_args!("{STAGES} integers")))
    };
    let dims = list("embed_dim_per_stage", [96, 192, 384, 768], MAX_WIDTH)?;
    let depths = list("blocks_per_stage", [1, 2, 7, 2], MAX_LAYERS)?;
    let heads = list("num_attention_heads_per_stage", [1, 2, 4, 8], MAX_WIDTH)?;
    let windows = list("window_size_per_stage", [8, 4, 14, 7], MAX_GRID)?;
    let ratio = config.f32_or(&format!("{TRUNK}.mlp_ratio"), 4.0, 0.0..=64.0)?;
    let stage = |s: usize| HieraStage {
        dim: dims[s],
        depth: depths[s],
        heads: heads[s],
        window: windows[s],
        mlp_dim: (dims[s] as f32 * ratio) as usize,
    };
    let trunk = scope.at(super::naming::encoder(naming).trunk);
    let table = |name: &str| trunk.dims(name).map(|[_, _, height, width]| [height, width]);
    Ok(HieraConfig {
        stages: core::array::from_fn(stage),
        global_blocks: integers(
            config,
            &format!("{TRUNK}.global_attention_blocks"),
            &[5, 7, 9],
            depths.iter().sum(),
        )?,
        background: table("pos_embed")?,
        window_positions: table("pos_embed_window")?,
        layer_norm_eps: config.f32_or(&format!("{TRUNK}.layer_norm_eps"), 1e-6, 0.0..=1.0)?,
    })
}

fn decoder(config: &Config, scope: &Scope<'_>, naming: Naming) -> Result<DecoderConfig> {
    let width = |key: &str, default: usize| config.usize_or(key, default, 1..=MAX_MLP);
    Ok(DecoderConfig {
        mask_channels: width("prompt_encoder_config.mask_input_channels", 16)?,
        mask_activation: activation(config, "prompt_encoder_config.hidden_act", Activation::Gelu)?,
        mask_norm_eps: config.f32_or("prompt_encoder_config.layer_norm_eps", 1e-6, 0.0..=1.0)?,
        layers: width("mask_decoder_config.num_hidden_layers", 2)?,
        heads: width("mask_decoder_config.num_attention_heads", 8)?,
        mlp_dim: width("mask_decoder_config.mlp_dim", 2048)?,
        // Whatever `hidden_act` says: it is read nowhere.
        activation: Activation::Relu,
        layer_norm_eps: 1e-5,
        multimask_outputs: width("mask_decoder_config.num_multimask_outputs", 3)?,
        iou_depth: width("mask_decoder_config.iou_head_depth", 3)?,
        iou_hidden: width("mask_decoder_config.iou_head_hidden_dim", 256)?,
        extensions: DecoderExtensions { stability: stability(config)?, ..extensions(scope, naming) },
    })
}

/// When a single mask gives way to the best of several.
fn stability(config: &Config) -> Result<Option<Stability>> {
    let value = |key: &str, default: f32| {
        config.f32_or(&format!("mask_decoder_config.dynamic_multimask_{key}"), default, 0.0..=f32::MAX)
    };
    let default = Stability::default();
    let stability = Stability {
        delta: value("stability_delta", default.delta)?,
        threshold: value("stability_thresh", default.threshold)?,
    };
    let is_on = config.bool_or("mask_decoder_config.dynamic_multimask_via_stability", true)?;
    Ok(is_on.then_some(stability))
}

/// Shapes tell the sizes; what is checked here they do not.
fn memory(config: &Config, scope: &Scope<'_>, naming: Naming, dim: usize) -> Result<Option<MemoryConfig>> {
    let Some(memory) = memory_of(scope, naming)? else {
        return Ok(None);
    };
    for (key, default, expected) in [
        ("num_maskmem", 7, memory.count),
        ("memory_attention_hidden_size", 256, dim),
        ("memory_attention_num_attention_heads", 1, 1),
        ("memory_attention_downsample_rate", 1, 1),
        ("memory_encoder_hidden_size", 256, dim),
        ("memory_encoder_output_channels", 64, memory.dim),
        ("mask_downsampler_kernel_size", 3, 3),
        ("mask_downsampler_stride", 2, 2),
        ("mask_downsampler_padding", 1, 1),
        ("mask_downsampler_total_stride", 16, 16),
        ("memory_fuser_kernel_size", 7, 7),
        ("memory_fuser_padding", 3, 3),
    ] {
        if config.usize_or(key, default, 0..=MAX_WIDTH)? != expected {
            return Err(config.unusable(key, expected));
        }
    }
    for (key, default, expected) in [
        ("memory_attention_feed_forward_hidden_act", Activation::Relu, "relu"),
        ("mask_downsampler_hidden_act", Activation::Gelu, "gelu"),
        ("memory_fuser_hidden_act", Activation::Gelu, "gelu"),
    ] {
        if activation(config, key, default)? != default {
            return Err(config.unusable(key, expected));
        }
    }
    for (key, found) in [
        ("enable_occlusion_spatial_embedding", memory.no_object_spatial),
        ("enable_temporal_pos_encoding_for_object_pointers", memory.pointer_times.is_some()),
    ] {
        if config.bool_or(key, true)? != found {
            return Err(config.unusable(key, format_args!("{found}, as the tensors have it")));
        }
    }
    let theta = config.f32_or("memory_attention_rope_theta", 10_000.0, 1.0..=1e9)?;
    let number = |key: &str, default: f32| config.f32_or(key, default, -1e6..=1e6);
    Ok(Some(MemoryConfig {
        rope_theta: config.f32_or("rope_parameters.rope_theta", theta, 1.0..=1e9)?,
        sigmoid_scale: number("sigmoid_scale_for_mem_enc", 20.0)?,
        sigmoid_bias: number("sigmoid_bias_for_mem_enc", -10.0)?,
        ..memory
    }))
}

fn tracking(config: &Config) -> Result<TrackingConfig> {
    const LIMIT: &str = "max_cond_frame_num";
    let defaults = TrackingConfig::default();
    let max_prompted_frames = match config.get(LIMIT).and_then(serde_json::Value::as_i64) {
        Some(-1) => None,
        _ if !config.has(LIMIT) => None,
        _ => Some(config.usize(LIMIT, 1..=MAX_FRAMES)?),
    };
    let points = |key: &str, default: usize| config.usize_or(key, default, 0..=MAX_FRAMES);
    Ok(TrackingConfig {
        max_pointers: config.usize_or(
            "max_object_pointers_in_encoder",
            defaults.max_pointers,
            1..=MAX_FRAMES,
        )?,
        max_prompted_frames,
        multimask: config.bool_or("multimask_output_in_sam", defaults.multimask)?,
        multimask_for_tracking: config
            .bool_or("multimask_output_for_tracking", defaults.multimask_for_tracking)?,
        multimask_points: [points("multimask_min_pt_num", 0)?, points("multimask_max_pt_num", 1)?],
        ..defaults
    })
}

/// The list at `key`, of integers up to `most`, or `default`.
fn integers(config: &Config, key: &str, default: &[usize], most: usize) -> Result<Vec<usize>> {
    let Some(value) = config.get(key) else {
        return Ok(default.into());
    };
    let integer = |value: &serde_json::Value| value.as_u64()?.try_into().ok().filter(|i| *i <= most);
    let list = value.as_array().filter(|list| list.len() <= MAX_LAYERS);
    let integers = list.and_then(|list| list.iter().map(integer).collect());
    integers.ok_or_else(|| config.unusable(key, format_args!("a list of integers up to {most}")))
}
