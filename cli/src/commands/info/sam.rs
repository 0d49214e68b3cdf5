//! The sizes of a SAM or a SAM 2.

use serde::Serialize;
use vitrum::models::sam::{EncoderConfig, TinyVitConfig, VitConfig};
use vitrum::models::sam2::HieraConfig;
use vitrum::pipelines::sam::{Model, Sam};

use super::Lines;
use super::sam2::Memory;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Encoder {
    Vit {
        patch: usize,
        blocks: usize,
        width: usize,
        heads: usize,
        windows: Vec<usize>,
        global_blocks: usize,
    },
    TinyVit {
        stem: usize,
        widths: [usize; 3],
        depths: [usize; 3],
        windows: [usize; 3],
    },
    Hiera {
        widths: [usize; 4],
        depths: [usize; 4],
        heads: [usize; 4],
        windows: [usize; 4],
        global_blocks: usize,
    },
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

impl From<&HieraConfig> for Encoder {
    fn from(hiera: &HieraConfig) -> Self {
        Self::Hiera {
            widths: hiera.stages.map(|stage| stage.dim),
            depths: hiera.stages.map(|stage| stage.depth),
            heads: hiera.stages.map(|stage| stage.heads),
            windows: hiera.stages.map(|stage| stage.window),
            global_blocks: hiera.global_blocks.len(),
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
        let model = sam.model();
        let decoder = model.decoder_config();
        Self {
            image_size: model.image_size(),
            grid: model.grid(),
            dim: model.dim(),
            mask_side: model.mask_side(),
            encoder: match model {
                Model::Sam(sam) => match &sam.config.encoder {
                    EncoderConfig::Vit(vit) => vit.into(),
                    EncoderConfig::TinyVit(tiny) => tiny.into(),
                },
                Model::Sam2(sam2) => (&sam2.config.hiera).into(),
            },
            decoder: Decoder {
                layers: decoder.layers,
                heads: decoder.heads,
                mlp: decoder.mlp_dim,
                masks: decoder.multimask_outputs,
            },
            memory: Memory::of(sam),
        }
    }
}

impl Lines for Sizes {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let Self { image_size, grid, dim, mask_side, encoder, decoder, memory } = self;
        let encoder = match encoder {
            Encoder::Vit { patch, blocks, width, heads, windows, global_blocks } => format!(
                "ViT, {image_size} px, patch {patch}, {blocks} blocks, width {width}, {heads} heads, \
                 {global_blocks} global, windows {windows:?}"
            ),
            Encoder::TinyVit { stem, widths, depths, windows } => format!(
                "TinyViT, {image_size} px, stem {stem}, widths {widths:?}, depths {depths:?}, windows {windows:?}"
            ),
            Encoder::Hiera { widths, depths, heads, windows, global_blocks } => format!(
                "Hiera, {image_size} px, widths {widths:?}, depths {depths:?}, heads {heads:?}, windows {windows:?}, \
                 {global_blocks} global"
            ),
        };
        let Decoder { layers, heads, mlp, masks } = decoder;
        let mut lines = vec![
            ("image encoder", encoder),
            ("embedding", format!("{grid} x {grid} x {dim}")),
            (
                "mask decoder",
                format!("{layers} layers, {heads} heads, mlp {mlp}, {masks} masks of {mask_side} px"),
            ),
        ];
        lines.extend(memory.iter().flat_map(|memory| memory.lines(*grid)));
        lines
    }
}
