//! The sizes of a SAM, from its configuration file or from its tensors.

mod hugging_face;
mod mask_generation;
mod original;

pub use mask_generation::MaskGeneration;

use alloc::vec::Vec;

use super::naming::{DecoderNames, Naming};
use crate::error::{Result, err};
use crate::kernels::activation::Activation;
use crate::models::limit;
use crate::weights::{Bundle, Review, Scope};

/// All of a SAM.
#[derive(Clone, Debug, PartialEq)]
pub struct SamConfig {
    /// Side of the square input, in pixels.
    pub image_size: usize,
    /// The image encoder.
    pub encoder: EncoderConfig,
    /// Channels of the image embedding and features of a prompt token, `C`.
    pub dim: usize,
    /// Prompt encoder and mask decoder.
    pub decoder: DecoderConfig,
    /// What it wants of automatic masks.
    pub mask_generation: MaskGeneration,
}

/// The image encoder.
#[derive(Clone, Debug, PartialEq)]
pub enum EncoderConfig {
    /// A plain Vision Transformer with windowed and global attention (ViTDet): SAM and SlimSAM.
    Vit(VitConfig),
    /// MobileSAM's TinyViT.
    TinyVit(TinyVitConfig),
}

/// A Vision Transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct VitConfig {
    /// Side of a patch.
    pub patch_size: usize,
    /// Patches along a side of the input that the checkpoint's position embeddings are for.
    pub native_grid: usize,
    /// Features of a token, `D`.
    pub dim: usize,
    /// The transformer blocks. In a pruned model they need not be alike.
    pub blocks: Vec<BlockConfig>,
    /// Whether absolute position embeddings are added to the patches.
    pub has_positions: bool,
    /// Whether attention has a bias of decomposed relative positions.
    pub has_relative_positions: bool,
    /// Whether the QKV product has a bias.
    pub has_qkv_bias: bool,
    /// Activation of the MLP.
    pub activation: Activation,
    /// Added to the variance in the blocks' layer norms.
    pub layer_norm_eps: f32,
}

/// A transformer block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockConfig {
    /// Attention heads.
    pub heads: usize,
    /// Features of a head.
    pub head_dim: usize,
    /// Features inside the MLP.
    pub mlp_dim: usize,
    /// Side of the windows of tokens that attend to each other; `None` means that all do.
    pub window: Option<usize>,
    /// Side of the window or grid that the checkpoint's relative positions are for.
    pub positions: usize,
}

/// MobileSAM's TinyViT (Wu et al., 2022): a stage of convolutions, then three of transformer blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct TinyVitConfig {
    /// Channels of the convolutional stage.
    pub stem_dim: usize,
    /// Channels inside its MBConv blocks.
    pub stem_hidden: usize,
    /// How many MBConv blocks there are.
    pub stem_depth: usize,
    /// The stages of transformer blocks, at 1/8, 1/16 and 1/16 of the input's resolution.
    pub stages: [StageConfig; 3],
}

/// A stage of TinyViT's transformer blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageConfig {
    /// Features of a token.
    pub dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Side of the attention windows.
    pub window: usize,
    /// Features inside the MLP.
    pub mlp_dim: usize,
    /// Side of the kernel of the depthwise convolution between attention and MLP.
    pub local_kernel: usize,
}

/// Prompt encoder and mask decoder. Features of their tokens are [`SamConfig::dim`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Channels before the last convolution of a mask prompt.
    pub mask_channels: usize,
    /// Activation of the mask prompt's convolutions.
    pub mask_activation: Activation,
    /// Added to the variance in the mask prompt's layer norms.
    pub mask_norm_eps: f32,
    /// Layers of the two-way transformer.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Features inside the MLP.
    pub mlp_dim: usize,
    /// Activation of the MLP.
    pub activation: Activation,
    /// Added to the variance in the layers' norms.
    pub layer_norm_eps: f32,
    /// Masks of an ambiguous prompt; there is one mask token more.
    pub multimask_outputs: usize,
    /// Linear layers of the head that predicts the IoU.
    pub iou_depth: usize,
    /// Features between them.
    pub iou_hidden: usize,
    /// What SAM 2 added.
    pub extensions: DecoderExtensions,
}

/// What SAM 2 added to prompt encoder and mask decoder. The default is nothing of it: SAM.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DecoderExtensions {
    /// A padding point follows boxes too, not only points without a box.
    pub always_padded: bool,
    /// Maps of the image at twice and four times the embedding's side are added while features are upscaled.
    pub high_res: bool,
    /// The predicted IoU goes through a sigmoid.
    pub iou_sigmoid: bool,
    /// Linear layers of the head that says whether the object is there at all; 0 if there is none.
    pub object_score_layers: usize,
    /// When a single mask gives way to the best of several.
    pub stability: Option<Stability>,
}

/// A single mask is replaced by the one of several with the highest predicted IoU, unless the areas above `delta` and
/// above `-delta` are in a ratio of at least `threshold`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stability {
    /// A distance from 0, in logits.
    pub delta: f32,
    /// Least ratio of a mask that stays.
    pub threshold: f32,
}

/// As `build_sam2` sets it, and the default of transformers.
impl Default for Stability {
    fn default() -> Self {
        Self { delta: 0.05, threshold: 0.98 }
    }
}

/// The configuration of prompt encoder and mask decoder, which are called the prompt head together.
#[derive(Clone, Copy, Debug)]
pub struct PromptHeadConfig<'a> {
    /// Names of their tensors.
    pub names: DecoderNames,
    /// Side of the square input, in pixels.
    pub image_size: usize,
    /// Side of the image embedding.
    pub grid: usize,
    /// Channels of the image embedding and features of a token, `C`.
    pub dim: usize,
    /// Their sizes.
    pub decoder: &'a DecoderConfig,
}

// Limits of SAM and SAM 2: several times the largest published ones (ViT-H: 32 blocks of 1280, 64 × 64 patches; Hiera-L:
// 48 blocks of up to 1152), small enough that no product of a few of them overflows 32 bits.
pub(in crate::models) const MAX_WIDTH: usize = 1 << 13;
pub(in crate::models) const MAX_MLP: usize = 1 << 15;
pub(in crate::models) const MAX_LAYERS: usize = 256;
pub(in crate::models) const MAX_IMAGE: usize = 1 << 12;
pub(in crate::models) const MAX_GRID: usize = 1 << 8;
/// Of TinyViT's attention biases, once they are spread over all pairs of places in a window: a file holds one for every
/// distance, so that it could ask for far more memory than it has bytes. MobileSAM has 1.2 million.
const MAX_BIASES: usize = 1 << 26;

impl SamConfig {
    /// Reads `config.json` (Hugging Face), or deduces the sizes of a checkpoint in the original naming.
    ///
    /// Shapes tell everything but the number of the decoder's heads and, of MobileSAM, the size of the input; these are
    /// 8 and 1024 in all published models. A block attends globally if its table of relative positions is as long as
    /// the grid of patches needs, or longer than those of other blocks: a checkpoint whose absolute positions were
    /// resized for another input may have kept its tables. `review` hears of that.
    ///
    /// # Errors
    /// `Config` naming the key or the tensor, or what [`Scope::shape`] returns.
    pub fn of(bundle: &Bundle<'_>, scope: &Scope<'_>, naming: Naming, review: &mut Review) -> Result<Self> {
        let config = match naming {
            Naming::HuggingFace => {
                let config = bundle.config("config.json")?.ok_or_else(|| {
                    err!(NotFound, "config.json is needed beside weights in Hugging Face naming")
                })?;
                hugging_face::read(&config, review)?
            }
            Naming::Original => original::read(scope, review)?,
        };
        config.check()?;
        Ok(config)
    }

    /// Patches along a side of the input, which is the side of the image embedding.
    pub fn grid(&self) -> usize {
        self.image_size / self.encoder.stride()
    }

    /// The configuration of prompt encoder and mask decoder.
    pub fn prompt_head(&self, naming: Naming) -> PromptHeadConfig<'_> {
        PromptHeadConfig {
            names: DecoderNames::sam(naming),
            image_size: self.image_size,
            grid: self.grid(),
            dim: self.dim,
            decoder: &self.decoder,
        }
    }

    /// Side of the low-resolution masks that the decoder makes and that a prompt may hold.
    pub fn mask_side(&self) -> usize {
        4 * self.grid()
    }

    /// Changes the side of the input.
    ///
    /// # Errors
    /// `InvalidArgument` if it is 0, too large or not a whole number of patches.
    pub fn set_image_size(&mut self, image_size: usize) -> Result<()> {
        let stride = self.encoder.stride();
        let most = MAX_IMAGE.min(stride * MAX_GRID);
        if image_size == 0 || image_size > most || !image_size.is_multiple_of(stride) {
            return Err(err!(
                InvalidArgument,
                "image size {image_size}: expected a multiple of {stride} up to {most}"
            ));
        }
        self.image_size = image_size;
        Ok(())
    }

    /// Whether all sizes are possible and within the limits.
    fn check(&self) -> Result<()> {
        limit("embedding", self.dim, MAX_WIDTH)?;
        limit("image size", self.image_size, MAX_IMAGE)?;
        limit("patch size", self.encoder.stride(), MAX_IMAGE)?;
        limit("grid of patches", self.grid(), MAX_GRID)?;
        if self.mask_side() > self.image_size {
            return Err(err!(Config, "patches of {} pixels are too small for masks", self.encoder.stride()));
        }
        match &self.encoder {
            EncoderConfig::Vit(vit) => {
                limit("encoder width", vit.dim, MAX_WIDTH)?;
                limit("number of blocks", vit.blocks.len(), MAX_LAYERS)?;
                for block in &vit.blocks {
                    limit("number of heads", block.heads, MAX_WIDTH)?;
                    limit("attention width", block.heads.saturating_mul(block.head_dim), MAX_WIDTH)?;
                    limit("MLP width", block.mlp_dim, MAX_MLP)?;
                    limit("window", block.window.unwrap_or(1), MAX_GRID)?;
                }
            }
            EncoderConfig::TinyVit(tiny) => {
                limit("stem width", tiny.stem_dim, MAX_WIDTH)?;
                limit("stem MLP width", tiny.stem_hidden, MAX_MLP)?;
                limit("number of stem blocks", tiny.stem_depth, MAX_LAYERS)?;
                for stage in &tiny.stages {
                    limit("stage width", stage.dim, MAX_WIDTH)?;
                    limit("number of stage blocks", stage.depth, MAX_LAYERS)?;
                    limit("number of stage heads", stage.heads, stage.dim)?;
                    limit("stage MLP width", stage.mlp_dim, MAX_MLP)?;
                    limit("stage window", stage.window, MAX_GRID)?;
                    limit("local kernel", stage.local_kernel, MAX_GRID)?;
                    if !stage.dim.is_multiple_of(stage.heads) || stage.local_kernel.is_multiple_of(2) {
                        return Err(err!(Config, "impossible stage {stage:?}"));
                    }
                }
                let biases = |StageConfig { depth, heads, window, .. }: &StageConfig| {
                    [window; 4]
                        .into_iter()
                        .fold(depth.saturating_mul(*heads), |n, &side| n.saturating_mul(side))
                };
                let biases = tiny.stages.iter().map(biases).fold(0, usize::saturating_add);
                limit("number of attention biases", biases, MAX_BIASES)?;
            }
        }
        self.decoder.check(self.dim)
    }
}

impl DecoderConfig {
    /// Whether all sizes are possible, for tokens of `dim` features, and within the limits.
    ///
    /// # Errors
    /// `Config`.
    pub(crate) fn check(&self, dim: usize) -> Result<()> {
        if !dim.is_multiple_of(8) {
            return Err(err!(Config, "embedding of {dim} is not a multiple of 8"));
        }
        limit("mask channels", self.mask_channels, MAX_WIDTH)?;
        limit("number of decoder layers", self.layers, MAX_LAYERS)?;
        limit("decoder MLP width", self.mlp_dim, MAX_MLP)?;
        limit("number of mask tokens", self.multimask_outputs, MAX_LAYERS)?;
        limit("depth of the IoU head", self.iou_depth, MAX_LAYERS)?;
        limit("width of the IoU head", self.iou_hidden, MAX_WIDTH)?;
        limit("depth of the object score head", self.extensions.object_score_layers.max(1), MAX_LAYERS)?;
        limit("number of decoder heads", self.heads, dim)?;
        if !dim.is_multiple_of(self.heads) || !self.mask_channels.is_multiple_of(4) {
            return Err(err!(Config, "impossible decoder of width {dim}: {self:?}"));
        }
        Ok(())
    }
}

impl EncoderConfig {
    /// Input pixels per token of the image embedding.
    pub fn stride(&self) -> usize {
        match self {
            Self::Vit(vit) => vit.patch_size,
            Self::TinyVit(_) => 16,
        }
    }
}
