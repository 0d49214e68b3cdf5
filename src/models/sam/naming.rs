//! Tensor names of SAM checkpoints.

use crate::error::{Result, err};
use crate::weights::Scope;

/// Who named the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// `transformers`: `vision_encoder.layers.0.attn.qkv.weight`.
    HuggingFace,
    /// Meta, MobileSAM and SlimSAM: `image_encoder.blocks.0.attn.qkv.weight`.
    Original,
}

/// The names of the image encoder's parts. TinyViT, which only the original naming has, shares those of the neck.
#[derive(Clone, Copy, Debug)]
pub struct EncoderNames {
    /// The scope of the encoder; all other names are within it.
    pub encoder: &'static str,
    /// The patch convolution.
    pub patch_embed: &'static str,
    /// Scope of the blocks, followed by their numbers.
    pub blocks: &'static str,
    /// The layer norms of a block.
    pub norms: [&'static str; 2],
    /// Convolution, norm, convolution, norm.
    pub neck: [&'static str; 4],
}

/// A tensor of MobileSAM's image encoder, in its scope.
pub(super) const TINY_VIT_STEM: &str = "patch_embed.seq.0.c.weight";

impl Naming {
    /// Looks for a tensor that only one naming has.
    ///
    /// # Errors
    /// `Unsupported` if this is no SAM.
    pub fn detect(scope: &Scope<'_>) -> Result<Self> {
        for naming in [Self::HuggingFace, Self::Original] {
            let names = naming.encoder();
            if scope.at(names.encoder).at(names.patch_embed).contains("weight") {
                return Ok(naming);
            }
        }
        if scope.at(Self::Original.encoder().encoder).contains(TINY_VIT_STEM) {
            return Ok(Self::Original);
        }
        let is_sam2 = scope.contains("image_encoder.trunk.patch_embed.proj.weight")
            || scope.contains("vision_encoder.backbone.patch_embed.projection.weight");
        Err(if is_sam2 {
            err!(Unsupported, "a SAM 2 checkpoint, not a SAM")
        } else {
            err!(
                Unsupported,
                "not a SAM checkpoint: neither \"vision_encoder.patch_embed.projection.weight\" \
                 nor \"image_encoder.patch_embed.proj.weight\" is present"
            )
        })
    }

    /// Names of the image encoder.
    pub fn encoder(self) -> EncoderNames {
        match self {
            Self::HuggingFace => EncoderNames {
                encoder: "vision_encoder",
                patch_embed: "patch_embed.projection",
                blocks: "layers",
                norms: ["layer_norm1", "layer_norm2"],
                neck: ["neck.conv1", "neck.layer_norm1", "neck.conv2", "neck.layer_norm2"],
            },
            Self::Original => EncoderNames {
                encoder: "image_encoder",
                patch_embed: "patch_embed.proj",
                blocks: "blocks",
                norms: ["norm1", "norm2"],
                neck: ["neck.0", "neck.1", "neck.2", "neck.3"],
            },
        }
    }
}
