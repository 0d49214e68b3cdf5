//! The sizes of a SAM.

use serde::Serialize;
use vitrum::models::sam::{EncoderConfig, TinyVitConfig, VitConfig};
use vitrum::pipelines::sam::Sam;

use super::Lines;

#[derive(Debug, Serialize)]
pub(super) struct Sizes {
    /// Side of the input.
    image_size: usize,
    /// Side of the image embedding.
    grid: usize,
    /// Channels of the image embedding.
    dim: usize,
    /// Side of the masks that the decoder makes.
    mask_side: usize,
    encoder: Encoder,
    decoder: Decoder,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Encoder {
    Vit { patch: usize, blocks: usize, width: usize, heads: usize, windows: Vec<usize>, global_blocks: usize },
    TinyVit { stem: usize, widths: [usize; 3], depths: [usize; 3], windows: [usize; 3] },
}

impl From<&VitConfig> for Encoder {
    fn from(vit: &VitConfig) -> Self {
        let mut windows: Vec<usize> = vit.blocks.iter().filter_map(|block| block.window).collect();
        windows.dedup();
        Self::Vit {
            patch: vit.patch_size,
            blocks: vit.blocks.len(),
            width: vit.dim,
            heads: vit.blocks.first().map_or(0, |block| block.heads),
            windows,
            global_blocks: vit.blocks.iter().filter(|block| block.window.is_none()).count(),
        }
    }
}

impl From<&TinyVitConfig> for Encoder {
    fn from(tiny: &TinyVitConfig) -> Self {
        Self::TinyVit {
            stem: tiny.stem_dim,
            widths: tiny.stages.map(|stage| stage.dim),
            depths: tiny.stages.map(|stage| stage.depth),
            windows: tiny.stages.map(|stage| stage.window),
        }
    }
}

#[derive(Debug, Serialize)]
struct Decoder {
    layers: usize,
    heads: usize,
    mlp: usize,
    /// Masks of an ambiguous prompt.
    masks: usize,
}

impl Sizes {
    pub(super) fn of(sam: &Sam) -> Self {
        let config = sam.config();
        Self {
            image_size: config.image_size,
            grid: config.grid(),
            dim: config.dim,
            mask_side: config.mask_side(),
            encoder: match &config.encoder {
                EncoderConfig::Vit(vit) => vit.into(),
                EncoderConfig::TinyVit(tiny) => tiny.into(),
            },
            decoder: Decoder {
                layers: config.decoder.layers,
                heads: config.decoder.heads,
                mlp: config.decoder.mlp_dim,
                masks: config.decoder.multimask_outputs,
            },
        }
    }
}

impl Lines for Sizes {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let Self { image_size, grid, dim, mask_side, encoder, decoder } = self;
        let encoder = match encoder {
            Encoder::Vit { patch, blocks, width, heads, windows, global_blocks } => format!(
                "ViT, {image_size} px, patch {patch}, {blocks} blocks, width {width}, {heads} heads, \
                 {global_blocks} global, windows {windows:?}"
            ),
            Encoder::TinyVit { stem, widths, depths, windows } => format!(
                "TinyViT, {image_size} px, stem {stem}, widths {widths:?}, depths {depths:?}, windows {windows:?}"
            ),
        };
        let Decoder { layers, heads, mlp, masks } = decoder;
        vec![
            ("image encoder", encoder),
            ("embedding", format!("{grid} x {grid} x {dim}")),
            (
                "mask decoder",
                format!("{layers} layers, {heads} heads, mlp {mlp}, {masks} masks of {mask_side} px"),
            ),
        ]
    }
}
