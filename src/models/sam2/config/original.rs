//! Deducing the sizes of a published checkpoint in the original naming from the shapes of its tensors.

use alloc::vec;

use super::{HieraConfig, HieraStage, MAX_LAYERS, STAGES, Sam2Config, TrackingConfig, extensions, memory_of};
use crate::error::{Result, err};
use crate::kernels::activation::Activation;
use crate::models::sam::{DecoderConfig, MaskGeneration, Naming};
use crate::models::sam2::naming;
use crate::weights::Scope;

/// What the shapes of a trunk do not tell.
struct Trunk {
    dim: usize,
    depths: [usize; STAGES],
    /// Of the first stage; each further one has twice as many.
    heads: usize,
    windows: [usize; STAGES],
    global_blocks: [usize; 3],
}

/// Tiny, small, base+ and large, the same in SAM 2 and 2.1 (`sam2/configs`).
const TRUNKS: [Trunk; 4] = [
    Trunk { dim: 96, depths: [1, 2, 7, 2], heads: 1, windows: [8, 4, 14, 7], global_blocks: [5, 7, 9] },
    Trunk { dim: 96, depths: [1, 2, 11, 2], heads: 1, windows: [8, 4, 14, 7], global_blocks: [7, 10, 13] },
    Trunk { dim: 112, depths: [2, 3, 16, 3], heads: 2, windows: [8, 4, 14, 7], global_blocks: [12, 16, 20] },
    Trunk { dim: 144, depths: [2, 6, 36, 4], heads: 2, windows: [8, 4, 16, 8], global_blocks: [23, 33, 43] },
];

/// Input of all published models, which no tensor tells.
const IMAGE: usize = 1024;

pub(super) fn read(scope: &Scope<'_>) -> Result<Sam2Config> {
    let names = naming::encoder(Naming::Original);
    let [dim, _, _, _] = scope.at(names.laterals).at(0).at(names.lateral).dims("weight")?;
    Ok(Sam2Config {
        image_size: IMAGE,
        hiera: hiera(&scope.at(names.trunk), names.mlp[0])?,
        top_down_levels: vec![2, 3],
        dim,
        decoder: decoder(scope)?,
        mask_generation: MaskGeneration::default(),
        memory: memory_of(scope, Naming::Original)?,
        tracking: TrackingConfig::default(),
    })
}

fn hiera(trunk: &Scope<'_>, mlp: &str) -> Result<HieraConfig> {
    let blocks = trunk.at("blocks");
    let mut stages = [HieraStage { dim: 0, depth: 0, heads: 0, window: 0, mlp_dim: 0 }; STAGES];
    let mut stage = 0;
    for i in 0..count(&blocks, "attn.qkv.weight") {
        let block = blocks.at(i);
        let [dim, _] = block.dims("attn.proj.weight")?;
        let [mlp_dim, _] = block.at(mlp).dims("weight")?;
        if stages[stage].depth > 0 && stages[stage].dim != dim {
            stage += 1;
            if stage == STAGES {
                return Err(err!(Config, "block {i}: more than {STAGES} stages"));
            }
        }
        stages[stage] = HieraStage { dim, mlp_dim, depth: stages[stage].depth + 1, ..stages[stage] };
    }
    let depths = stages.map(|stage| stage.depth);
    let known = TRUNKS.iter().find(|trunk| trunk.dim == stages[0].dim && trunk.depths == depths);
    let Some(known) = known else {
        return Err(err!(
            Config,
            "a trunk of {} features with {depths:?} blocks is none of the published ones: config.json is needed",
            stages[0].dim
        ));
    };
    for (s, stage) in stages.iter_mut().enumerate() {
        stage.heads = known.heads << s;
        stage.window = known.windows[s];
    }
    let table = |name: &str| trunk.dims(name).map(|[_, _, height, width]| [height, width]);
    Ok(HieraConfig {
        stages,
        global_blocks: known.global_blocks.into(),
        background: table("pos_embed")?,
        window_positions: table("pos_embed_window")?,
        layer_norm_eps: 1e-6,
    })
}

fn decoder(scope: &Scope<'_>) -> Result<DecoderConfig> {
    let [mask_channels, _, _, _] = scope.dims("sam_prompt_encoder.mask_downscaling.3.weight")?;
    let layers = scope.at("sam_mask_decoder.transformer.layers");
    let [mlp_dim, _] = layers.at(0).dims("mlp.layers.0.weight")?;
    let [mask_tokens, _] = scope.dims("sam_mask_decoder.mask_tokens.weight")?;
    let iou_head = scope.at("sam_mask_decoder.iou_prediction_head.layers");
    let [iou_hidden, _] = iou_head.at(0).dims("weight")?;
    Ok(DecoderConfig {
        mask_channels,
        mask_activation: Activation::Gelu,
        mask_norm_eps: 1e-6,
        layers: count(&layers, "mlp.layers.0.weight"),
        heads: 8,
        mlp_dim,
        activation: Activation::Relu,
        layer_norm_eps: 1e-5,
        multimask_outputs: mask_tokens.saturating_sub(1),
        iou_depth: count(&iou_head, "weight"),
        iou_hidden,
        extensions: extensions(scope, Naming::Original),
    })
}

/// How many scopes `0`, `1`, … have a tensor called `name`: one more than the limit if there are too many.
pub(super) fn count(scope: &Scope<'_>, name: &str) -> usize {
    (0..=MAX_LAYERS).take_while(|i| scope.at(i).contains(name)).count()
}
