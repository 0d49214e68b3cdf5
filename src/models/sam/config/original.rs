//! Deducing the sizes of a checkpoint in the original naming from the shapes of its tensors.

use alloc::vec::Vec;

use super::{
    BlockConfig, DecoderConfig, DecoderExtensions, EncoderConfig, MAX_GRID, MAX_LAYERS, MaskGeneration,
    SamConfig, StageConfig, TinyVitConfig, VitConfig,
};
use crate::error::{Result, err};
use crate::kernels::activation::Activation;
use crate::models::sam::naming::{Naming, TINY_VIT_STEM};
use crate::weights::{Review, Scope};

/// Input of MobileSAM, which no tensor tells.
const TINY_VIT_IMAGE: usize = 1024;

pub(super) fn read(scope: &Scope<'_>, review: &mut Review) -> Result<SamConfig> {
    let names = Naming::Original.encoder();
    let encoder = scope.at(names.encoder);
    let [dim, _, _, _] = encoder.at(names.neck[0]).dims("weight")?;
    let (image_size, config) = if encoder.contains(TINY_VIT_STEM) {
        (TINY_VIT_IMAGE, EncoderConfig::TinyVit(tiny_vit(&encoder)?))
    } else {
        let vit = vit(&encoder, review)?;
        (vit.native_grid.saturating_mul(vit.patch_size), EncoderConfig::Vit(vit))
    };
    Ok(SamConfig {
        image_size,
        encoder: config,
        dim,
        decoder: decoder(scope)?,
        mask_generation: MaskGeneration::default(),
    })
}

fn vit(scope: &Scope<'_>, review: &mut Review) -> Result<VitConfig> {
    let names = Naming::Original.encoder();
    let [dim, _, patch_size, _] = scope.at(names.patch_embed).dims("weight")?;
    let blocks = scope.at(names.blocks);
    let count = count(&blocks, "attn.qkv.weight");
    let mut configs = Vec::with_capacity(count);
    for i in 0..count {
        let block = blocks.at(i);
        let [qkv, _] = block.dims("attn.qkv.weight")?;
        let [table, head_dim] = block.dims("attn.rel_pos_h")?;
        let [mlp_dim, _] = block.dims("mlp.lin1.weight")?;
        // A table without rows can claim any number of columns.
        let of_a_head = head_dim.saturating_mul(3);
        if head_dim == 0 || !qkv.is_multiple_of(of_a_head) {
            return Err(err!(Config, "block {i}: QKV of {qkv} features in heads of {head_dim}"));
        }
        // A table for a side of n has 2n − 1 rows.
        let positions = table / 2 + 1;
        configs.push(BlockConfig { heads: qkv / of_a_head, head_dim, mlp_dim, window: None, positions });
    }
    let has_positions = scope.contains("pos_embed");
    let native_grid = if has_positions {
        let [_, side, _, _] = scope.dims("pos_embed")?;
        side
    } else {
        configs.iter().map(|config| config.positions).max().unwrap_or(0)
    };
    if native_grid == 0 || native_grid > MAX_GRID {
        return Err(err!(Config, "grid of {native_grid} patches is outside 1..={MAX_GRID}"));
    }
    set_windows(&mut configs, native_grid, review);
    Ok(VitConfig {
        patch_size,
        native_grid,
        dim,
        blocks: configs,
        has_positions,
        has_relative_positions: true,
        has_qkv_bias: blocks.at(0).contains("attn.qkv.bias"),
        activation: Activation::Gelu,
        layer_norm_eps: 1e-6,
    })
}

/// A block attends globally if its table of relative positions is for the whole grid. Where no block's is, the tables are
/// of a checkpoint for another input, and the longest of them are those of its global blocks, if they are not all alike.
fn set_windows(blocks: &mut [BlockConfig], grid: usize, review: &mut Review) {
    let sides = || blocks.iter().map(|block| block.positions);
    let (longest, shortest) = (sides().max().unwrap_or(grid), sides().min().unwrap_or(grid));
    let global = match sides().any(|side| side == grid) {
        false if longest > grid || longest > shortest => longest,
        _ => grid,
    };
    if global != grid && longest == global {
        review.warn(format_args!(
            "position embeddings are for a grid of {grid} patches a side, relative positions for {global}: the latter are \
             interpolated"
        ));
    }
    for block in blocks {
        block.window = (block.positions != global && block.positions <= grid).then_some(block.positions);
    }
}

fn tiny_vit(scope: &Scope<'_>) -> Result<TinyVitConfig> {
    let stem = scope.at("layers.0.blocks");
    let [stem_hidden, stem_dim, _, _] = stem.at(0).dims("conv1.c.weight")?;
    let stage = |index: usize| -> Result<StageConfig> {
        let blocks = scope.at("layers").at(index).at("blocks");
        let block = blocks.at(0);
        let [heads, offsets] = block.dims("attn.attention_biases")?;
        let [mlp_dim, dim] = block.dims("mlp.fc1.weight")?;
        let [_, _, local_kernel, _] = block.dims("local_conv.c.weight")?;
        // One bias for every distance |Δy|, |Δx| in a window.
        let window = (1..=MAX_GRID).find(|side| side * side >= offsets).unwrap_or(MAX_GRID);
        if window * window != offsets {
            return Err(err!(Config, "stage {index}: {offsets} attention biases are those of no square"));
        }
        let depth = count(&blocks, "attn.attention_biases");
        Ok(StageConfig { dim, depth, heads, window, mlp_dim, local_kernel })
    };
    Ok(TinyVitConfig {
        stem_dim,
        stem_hidden,
        stem_depth: count(&stem, "conv1.c.weight"),
        stages: [stage(1)?, stage(2)?, stage(3)?],
    })
}

fn decoder(scope: &Scope<'_>) -> Result<DecoderConfig> {
    let [mask_channels, _, _, _] = scope.dims("prompt_encoder.mask_downscaling.3.weight")?;
    let layers = scope.at("mask_decoder.transformer.layers");
    let [mlp_dim, _] = layers.at(0).dims("mlp.lin1.weight")?;
    let [mask_tokens, _] = scope.dims("mask_decoder.mask_tokens.weight")?;
    let iou_head = scope.at("mask_decoder.iou_prediction_head.layers");
    let [iou_hidden, _] = iou_head.at(0).dims("weight")?;
    Ok(DecoderConfig {
        mask_channels,
        mask_activation: Activation::Gelu,
        mask_norm_eps: 1e-6,
        layers: count(&layers, "mlp.lin1.weight"),
        heads: 8,
        mlp_dim,
        activation: Activation::Relu,
        layer_norm_eps: 1e-5,
        multimask_outputs: mask_tokens.saturating_sub(1),
        iou_depth: count(&iou_head, "weight"),
        iou_hidden,
        extensions: DecoderExtensions::default(),
    })
}

/// How many scopes `0`, `1`, … have a tensor called `name`: one more than the limit if there are too many.
fn count(scope: &Scope<'_>, name: &str) -> usize {
    (0..=MAX_LAYERS).take_while(|i| scope.at(i).contains(name)).count()
}
