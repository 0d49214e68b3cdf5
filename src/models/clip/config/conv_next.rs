//! The sizes of a ConvNeXt image tower of timm: from the shapes of its tensors, and from its name for what they do not tell.

use super::original::{VISION, unsupported};
use super::{ConvNextConfig, ConvNextStage, MAX_IMAGE, MAX_INTERMEDIATE, MAX_LAYERS, MAX_WIDTH, limit};
use super::{EncoderConfig, VisionConfig};
use crate::error::{Result, err};
use crate::weights::{Config, Review, Scope};

/// Reads the tower of the checkpoint `scope`.
pub(super) fn read(scope: &Scope<'_>, config: Option<&Config>, review: &mut Review) -> Result<VisionConfig> {
    let Some(config) = config else {
        return Err(err!(NotFound, "open_clip_config.json is needed beside a ConvNeXt of timm"));
    };
    let key = |name: &str| alloc::format!("{VISION}.{name}");
    let name = key("timm_model_name");
    let layer_norm_eps = match config.str_or(&name, "")?.split('.').next() {
        Some("convnext_xxlarge") => 1e-5,
        Some("convnext_tiny" | "convnext_small" | "convnext_base" | "convnext_large" | "convnext_xlarge") => {
            1e-6
        }
        _ => return Err(unsupported(config, &name, "\"convnext_…\" of timm's sizes, as the tensors have")),
    };
    let pool = key("timm_pool");
    if !matches!(config.str_or(&pool, "avg")?, "" | "avg") {
        return Err(unsupported(config, &pool, "\"\" or \"avg\""));
    }

    let head = scope.at("visual.head");
    let has_mlp = head.contains("mlp.fc1.weight");
    let (proj, layer) = if has_mlp { ("mlp", "mlp.fc2") } else { ("linear", "proj") };
    let setting = key("timm_proj");
    if config.str_or(&setting, "linear")? != proj {
        return Err(unsupported(config, &setting, &alloc::format!("{proj:?}, as the tensors have")));
    }
    let has_bias = head.at(layer).contains("bias");
    review.neutral(config, &[(&key("timm_proj_bias"), if has_bias { "true" } else { "false" })])?;
    let [embed_dim, _] = head.at(layer).dims("weight")?;

    let mut stages = [ConvNextStage::default(); ConvNextConfig::STAGES];
    for (i, stage) in stages.iter_mut().enumerate() {
        let scope = scope.at("visual.trunk.stages").at(i).at("blocks");
        let [intermediate_size, width] = scope.at(0).dims("mlp.fc1.weight")?;
        let has_block = |block: &usize| scope.at(block).contains("conv_dw.weight");
        let blocks = (0..=MAX_LAYERS).take_while(has_block).count();
        limit("number of blocks", blocks, MAX_LAYERS)?;
        limit("width", width, MAX_WIDTH)?;
        limit("MLP", intermediate_size, MAX_INTERMEDIATE)?;
        *stage = ConvNextStage { width, blocks, intermediate_size };
    }
    let image_size = config.usize_or(&key("image_size"), 224, 1..=MAX_IMAGE)?;
    let net = ConvNextConfig { stages, layer_norm_eps, has_mlp, has_bias, embed_dim };
    Ok(VisionConfig { image_size, encoder: EncoderConfig::ConvNext(net) })
}
