//! How many operations a SAM takes: multiplications and additions of its products and convolutions.

use vitrum::models::sam::{EncoderConfig, SamConfig, TinyVitConfig, VitConfig};
use vitrum::models::sam2::Sam2Config;
use vitrum::pipelines::sam::Model;

/// Of the image encoder, without what the decoder derives from the image.
pub(super) fn encoder(model: &Model) -> f64 {
    match model {
        Model::Sam(sam) => sam_encoder(&sam.config),
        Model::Sam2(sam2) => sam2_encoder(&sam2.config),
    }
}

fn sam_encoder(config: &SamConfig) -> f64 {
    let tokens = config.grid() * config.grid();
    let (body, width) = match &config.encoder {
        EncoderConfig::Vit(vit) => (self::vit(vit, config.grid()), vit.dim),
        EncoderConfig::TinyVit(tiny) => (tiny_vit(tiny, config.image_size), tiny.stages[2].dim),
    };
    let neck = tokens * (width * config.dim + 9 * config.dim * config.dim);
    2.0 * (body + neck) as f64
}

fn vit(vit: &VitConfig, grid: usize) -> usize {
    let tokens = grid * grid;
    let blocks = vit.blocks.iter().map(|block| {
        // Windows at the edge are filled up.
        let window = block.window.unwrap_or(grid);
        let windows = grid.div_ceil(window).pow(2);
        let attention = block.heads * block.head_dim;
        let products = tokens * (4 * vit.dim * attention + 2 * vit.dim * block.mlp_dim);
        let positions = if vit.has_relative_positions { 2 * tokens * window * attention } else { 0 };
        products + 2 * windows * window.pow(4) * attention + positions
    });
    tokens * 3 * vit.patch_size.pow(2) * vit.dim + blocks.sum::<usize>()
}

fn tiny_vit(tiny: &TinyVitConfig, side: usize) -> usize {
    let TinyVitConfig { stem_dim, stem_hidden, stem_depth, stages } = *tiny;
    let patches = (side / 2).pow(2) * 9 * 3 * (stem_dim / 2);
    let tokens = (side / 4).pow(2);
    let stem = tokens * (9 * (stem_dim / 2) * stem_dim + stem_depth * (2 * stem_dim + 9) * stem_hidden);
    let (mut total, mut before) = (patches + stem, (side / 4, stem_dim));
    for (stage, reduction) in stages.into_iter().zip([8, 16, 16]) {
        let (grid, dim) = (side / reduction, stage.dim);
        let tokens = grid * grid;
        let merging = before.0.pow(2) * before.1 * dim + tokens * (9 * dim + dim * dim);
        let windows = grid.div_ceil(stage.window).pow(2);
        let products = tokens * dim * (4 * dim + 2 * stage.mlp_dim + stage.local_kernel.pow(2));
        total += merging + stage.depth * (products + 2 * windows * stage.window.pow(4) * dim);
        before = (grid, dim);
    }
    total
}

fn sam2_encoder(config: &Sam2Config) -> f64 {
    let mut grid = config.image_size / 4;
    let mut total = grid * grid * 7 * 7 * 3 * config.hiera.stages[0].dim;
    for block in config.hiera.blocks() {
        let (before, window) = (grid, block.window.unwrap_or(grid));
        let (tokens, keys) = (before * before, window * window);
        grid /= if block.pooled { 2 } else { 1 };
        let (pooled, queries) = (grid * grid, keys / (before / grid).pow(2));
        let windows = before.div_ceil(window).pow(2);
        let residual = if block.pooled { tokens * block.input * block.dim } else { 0 };
        total += residual
            + 3 * tokens * block.input * block.dim
            + 2 * windows * queries * keys * block.dim
            + pooled * block.dim * (block.dim + 2 * block.mlp_dim);
    }
    let dim = config.dim;
    for (level, stage) in config.hiera.stages.iter().enumerate() {
        let tokens = (config.image_size / (4 << level)).pow(2);
        // The two finest levels go straight to the decoder's channels.
        total += tokens * stage.dim * [dim / 8, dim / 4, dim, dim][level];
    }
    2.0 * total as f64
}

/// Of a click, from the cached image to three masks.
pub(super) fn click(model: &Model) -> f64 {
    let (decoder, dim, pixels) = (model.decoder_config(), model.dim(), model.grid() * model.grid());
    let object_token = usize::from(decoder.extensions.object_score_layers > 0);
    // The IoU token, the mask tokens, the point and the padding point.
    let (masks, tokens) = (decoder.multimask_outputs, decoder.multimask_outputs + 4 + object_token);
    // Attention between tokens and the image has half the features.
    let inner = dim / 2;
    // Queries and keys of two numbers of tokens, and the way back.
    let cross = 2 * (tokens + pixels) * dim * inner + 2 * tokens * pixels * inner;
    let own = 4 * tokens * dim * dim + 2 * tokens * tokens * dim;
    let layer = own + 2 * cross + 2 * tokens * dim * decoder.mlp_dim;
    // Of the first layer, the projections of the image are in the cache.
    let cached = 3 * pixels * dim * inner;
    let upscaling = pixels * dim * dim + 4 * pixels * (dim / 4) * (dim / 2);
    let heads = masks * (2 * dim * dim + dim * dim / 8 + 16 * pixels * dim / 8)
        + dim * decoder.iou_hidden * decoder.iou_depth;
    2.0 * (decoder.layers * layer + cross - cached + upscaling + heads) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrum::kernels::activation::Activation;
    use vitrum::models::sam::{BlockConfig, DecoderConfig, DecoderExtensions, MaskGeneration, StageConfig};

    fn config(encoder: EncoderConfig) -> SamConfig {
        let decoder = DecoderConfig {
            mask_channels: 16,
            mask_activation: Activation::Gelu,
            mask_norm_eps: 1e-6,
            layers: 2,
            heads: 8,
            mlp_dim: 2048,
            activation: Activation::Relu,
            layer_norm_eps: 1e-5,
            multimask_outputs: 3,
            iou_depth: 3,
            iou_hidden: 256,
            extensions: DecoderExtensions::default(),
        };
        SamConfig { image_size: 1024, encoder, dim: 256, decoder, mask_generation: MaskGeneration::default() }
    }

    #[test]
    fn operations_of_the_released_encoders() {
        let block = |i: usize| BlockConfig {
            heads: 12,
            head_dim: 64,
            mlp_dim: 3072,
            window: (i % 3 != 2).then_some(14),
            positions: 64,
        };
        let vit_b = VitConfig {
            patch_size: 16,
            native_grid: 64,
            dim: 768,
            blocks: (0..12).map(block).collect(),
            has_positions: true,
            has_relative_positions: true,
            has_qkv_bias: true,
            activation: Activation::Gelu,
            layer_norm_eps: 1e-6,
        };
        let stage = |dim: usize, depth, window| StageConfig {
            dim,
            depth,
            heads: dim / 32,
            window,
            mlp_dim: 4 * dim,
            local_kernel: 3,
        };
        let mobile = TinyVitConfig {
            stem_dim: 64,
            stem_hidden: 256,
            stem_depth: 2,
            stages: [stage(128, 2, 7), stage(160, 6, 14), stage(320, 2, 7)],
        };
        // Products for real tokens only: the reference also multiplies those that fill windows up.
        let vit_b = sam_encoder(&config(EncoderConfig::Vit(vit_b))) / 2e9;
        let mobile = sam_encoder(&config(EncoderConfig::TinyVit(mobile))) / 2e9;
        assert!((430.0..480.0).contains(&vit_b), "{vit_b}");
        assert!((36.0..40.0).contains(&mobile), "{mobile}");
    }
}
