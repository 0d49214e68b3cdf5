//! What MobileCLIP's towers are made of (Vasu et al., 2024): blocks of convolutions that were trained as several branches, which
//! are folded into one kernel when they are bound.

mod fold;
mod mixer;

use alloc::vec::Vec;

pub(super) use fold::{Branches, large_kernel, mobile_one, mobile_one_bias, positions, scale_of};
pub(super) use mixer::{ConvMlp, MixerBlock, bind_scaled};

use super::config::FastVitConfig;
use super::naming::Naming;
use crate::error::{Result, err};
use crate::weights::Scope;

/// Added to the variance in batch norms.
pub(super) const EPS: f32 = 1e-5;

/// The names of parts that timm and Apple call differently.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    /// Scope of the image tower.
    pub(super) trunk: &'static str,
    pub(super) stem: &'static str,
    /// Scopes of the branches of a MobileOne block: convolutions, followed by their numbers, the pointwise one, and the norm
    /// of what passes by.
    pub(super) branches: [&'static str; 3],
    /// Scopes of a large kernel's branches: the large, the small, and both in one.
    pub(super) large: [&'static str; 3],
    pub(super) mlp: &'static str,
    /// What stands behind the name of a scale of channels.
    pub(super) scale: &'static str,
    /// The convolution that encodes positions.
    pub(super) positions: &'static str,
    pub(super) final_conv: &'static str,
    /// The layers of squeeze and excitation of the final convolution.
    pub(super) final_gate: [&'static str; 2],
}

impl Names {
    /// The names in checkpoints of `naming`.
    pub(super) fn of(naming: Naming) -> &'static Self {
        match naming {
            Naming::MobileClip => &Self {
                trunk: "image_encoder.model",
                stem: "patch_embed",
                branches: ["rbr_conv", "rbr_scale", "rbr_skip"],
                large: ["lkb_origin", "small_conv", "lkb_reparam"],
                mlp: "convffn",
                scale: "",
                positions: "pe",
                final_conv: "conv_exp",
                final_gate: ["reduce", "expand"],
            },
            _ => &Self {
                trunk: "visual.trunk",
                stem: "stem",
                branches: ["conv_kxk", "conv_scale", "identity"],
                large: ["large_conv", "small_conv", "reparam_conv"],
                mlp: "mlp",
                scale: ".gamma",
                positions: "pos_enc",
                final_conv: "final_conv",
                final_gate: ["fc1", "fc2"],
            },
        }
    }
}

/// Where the parts of a stage are.
#[derive(Debug)]
pub(super) struct StageScopes<'a> {
    /// What halves the resolution before it; `None` for the first.
    pub(super) downsample: Option<Scope<'a>>,
    /// What encodes positions, if anything does.
    pub(super) positions: Option<Scope<'a>>,
    /// The blocks, followed by their numbers.
    pub(super) blocks: Scope<'a>,
}

/// The stages of the tower `trunk`. In timm's naming each is a module; in Apple's, their parts have numbers in one list.
///
/// # Errors
/// `Config` for a number of stages that no MobileCLIP has, or if one but the first does not halve the resolution.
pub(super) fn stage_scopes<'a>(trunk: &Scope<'a>, naming: Naming) -> Result<Vec<StageScopes<'a>>> {
    /// Parts of all stages in Apple's list, and more than there are.
    const MOST_PARTS: usize = 4 * FastVitConfig::MOST_STAGES;
    let is_there = |scope: &Scope<'a>| scope.names().next().is_some();
    let mut stages = Vec::new();
    if naming == Naming::MobileClip {
        let (mut downsample, mut positions) = (None, None);
        for part in (0..MOST_PARTS).map(|i| trunk.at("network").at(i)).take_while(is_there) {
            if is_there(&part.at("proj")) {
                downsample = Some(part.at("proj"));
            } else if is_there(&part.at("pe")) || is_there(&part.at("reparam_conv")) {
                positions = Some(part);
            } else {
                let (downsample, positions) = (downsample.take(), positions.take());
                stages.push(StageScopes { downsample, positions, blocks: part });
            }
        }
    } else {
        for (i, stage) in (0..=FastVitConfig::MOST_STAGES).map(|i| trunk.at("stages").at(i)).enumerate() {
            if !is_there(&stage) {
                break;
            }
            stages.push(StageScopes {
                downsample: (i > 0).then(|| stage.at("downsample.proj")),
                positions: Some(stage.at("pos_emb")).filter(is_there),
                blocks: stage.at("blocks"),
            });
        }
    }
    let halves = stages.iter().enumerate().all(|(i, stage)| (i > 0) == stage.downsample.is_some());
    if !(4..=FastVitConfig::MOST_STAGES).contains(&stages.len()) || !halves {
        let count = stages.len();
        return Err(err!(Config, "image tower: {count} stages are not those of a MobileCLIP"));
    }
    Ok(stages)
}
