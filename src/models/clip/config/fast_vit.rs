//! The sizes of a FastViT image tower, from the shapes of its tensors.

use super::{FastVitConfig, FastVitStage, MAX_INTERMEDIATE, MAX_LAYERS, MAX_WIDTH};
use crate::error::{Result, err};
use crate::models::clip::mobile::{Names, stage_scopes};
use crate::models::clip::naming::Naming;
use crate::weights::Scope;

/// Reads the tower of the checkpoint `scope` of timm's or Apple's naming.
pub(super) fn read(scope: &Scope<'_>, naming: Naming) -> Result<FastVitConfig> {
    let names = Names::of(naming);
    let trunk = scope.at(names.trunk);
    let scopes = stage_scopes(&trunk, naming)?;
    let mut stages = [FastVitStage::default(); FastVitConfig::MOST_STAGES];
    for (stage, scopes) in stages.iter_mut().zip(&scopes) {
        let at = |block: usize| scopes.blocks.at(block);
        let has_block = |block: &usize| at(*block).at(names.mlp).contains("fc1.weight");
        let blocks = (0..=MAX_LAYERS).take_while(has_block).count();
        let prefix = scopes.blocks.prefix();
        if !(1..=MAX_LAYERS).contains(&blocks) {
            return Err(err!(Config, "{prefix}: the number of blocks is outside 1..={MAX_LAYERS}"));
        }
        let [intermediate_size, width, ..]: [usize; 4] = at(0).at(names.mlp).dims("fc1.weight")?;
        let is_possible =
            (1..=MAX_WIDTH).contains(&width) && (1..=MAX_INTERMEDIATE).contains(&intermediate_size);
        if !is_possible {
            return Err(err!(Config, "{prefix}: width {width} with an MLP of {intermediate_size}"));
        }
        let has_attention = at(0).contains("token_mixer.qkv.weight");
        if has_attention && !width.is_multiple_of(FastVitConfig::HEAD_DIM) {
            let head = FastVitConfig::HEAD_DIM;
            return Err(err!(Config, "{prefix}: heads of {head} features do not divide the width {width}"));
        }
        *stage = FastVitStage { width, blocks, intermediate_size, has_attention };
    }
    for (pair, scopes) in stages[..scopes.len()].windows(2).zip(&scopes[1..]) {
        let [before, after] = [pair[0].width, pair[1].width];
        if after != 2 * before {
            let prefix = scopes.blocks.prefix();
            return Err(err!(
                Config,
                "{prefix}: width {after} after one of {before}, which is not twice that"
            ));
        }
    }
    let [embed_dim] = match naming {
        Naming::MobileClip => trunk.dims("head.proj").map(|[_, outputs]| [outputs])?,
        _ => trunk.dims("head.fc.bias")?,
    };
    Ok(FastVitConfig { stages, count: scopes.len(), embed_dim })
}
