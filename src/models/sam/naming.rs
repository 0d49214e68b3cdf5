//! Tensor names of SAM checkpoints.

use alloc::format;
use alloc::string::String;

use crate::error::Result;
use crate::models::family::mismatch;
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

/// The names of the prompt encoder's and the mask decoder's parts that differ, in checkpoints of SAM and of SAM 2; the
/// others are the field names of the reference in all of them.
#[derive(Clone, Copy, Debug)]
pub struct DecoderNames {
    /// Whose the names of an MLP's layers are.
    naming: Naming,
    /// Scope of the prompt encoder.
    pub prompt_encoder: &'static str,
    /// Scope of the mask decoder.
    pub mask_decoder: &'static str,
    /// The spatial frequencies of position encodings. Hugging Face's checkpoints may hold one or both of two copies.
    pub frequencies: &'static [&'static str],
    /// The point embeddings.
    pub points: PointNames,
    /// Convolution, norm, convolution, norm, convolution of a mask prompt.
    pub mask: [&'static str; 5],
    /// The layer norms of a layer of the transformer.
    pub norms: [&'static str; 4],
    /// The linear layers of a layer's MLP.
    pub mlp: [&'static str; 2],
    /// The output projection of an attention.
    pub attention_out: &'static str,
    /// The transformer's last layer norm.
    pub final_norm: &'static str,
    /// Transposed convolution, norm, transposed convolution of the masks' features.
    pub upscaling: [&'static str; 3],
}

/// Where the embeddings of the four kinds of points are.
#[derive(Clone, Copy, Debug)]
pub enum PointNames {
    /// In a scope, followed by their numbers.
    Each(&'static str),
    /// In one tensor.
    Together(&'static str),
}

/// A tensor of MobileSAM's image encoder, in its scope.
pub(super) const TINY_VIT_STEM: &str = "patch_embed.seq.0.c.weight";

impl Naming {
    /// Looks for a tensor that only one naming has. The scope is the one in which all names are found: a wrapper's prefix
    /// is taken off.
    ///
    /// # Errors
    /// `Unsupported` if this is no SAM.
    pub fn detect<'a>(scope: &Scope<'a>) -> Result<(Self, Scope<'a>)> {
        const HUGGING_FACE: &str = "vision_encoder.patch_embed.projection.weight";
        const ORIGINAL: &str = "image_encoder.patch_embed.proj.weight";
        const TINY_VIT: &str = "image_encoder.patch_embed.seq.0.c.weight";
        let Some(root) = scope.root(&[HUGGING_FACE, ORIGINAL, TINY_VIT])? else {
            let looked_for = format!("neither \"{HUGGING_FACE}\" nor \"{ORIGINAL}\" is present");
            return Err(mismatch(scope, "SAM", &looked_for)?);
        };
        let naming = if root.contains(HUGGING_FACE) { Self::HuggingFace } else { Self::Original };
        Ok((naming, root))
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

impl DecoderNames {
    /// Names of a SAM.
    pub fn sam(naming: Naming) -> Self {
        match naming {
            Naming::HuggingFace => Self {
                naming,
                prompt_encoder: "prompt_encoder",
                mask_decoder: "mask_decoder",
                frequencies: &[
                    "shared_image_embedding.positional_embedding",
                    "prompt_encoder.shared_embedding.positional_embedding",
                ],
                points: PointNames::Each("point_embed"),
                mask: [
                    "mask_embed.conv1",
                    "mask_embed.layer_norm1",
                    "mask_embed.conv2",
                    "mask_embed.layer_norm2",
                    "mask_embed.conv3",
                ],
                norms: ["layer_norm1", "layer_norm2", "layer_norm3", "layer_norm4"],
                mlp: ["mlp.lin1", "mlp.lin2"],
                attention_out: "out_proj",
                final_norm: "layer_norm_final_attn",
                upscaling: ["upscale_conv1", "upscale_layer_norm", "upscale_conv2"],
            },
            Naming::Original => Self {
                naming,
                prompt_encoder: "prompt_encoder",
                mask_decoder: "mask_decoder",
                frequencies: &["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"],
                points: PointNames::Each("point_embeddings"),
                mask: [
                    "mask_downscaling.0",
                    "mask_downscaling.1",
                    "mask_downscaling.3",
                    "mask_downscaling.4",
                    "mask_downscaling.6",
                ],
                norms: ["norm1", "norm2", "norm3", "norm4"],
                mlp: ["mlp.lin1", "mlp.lin2"],
                attention_out: "out_proj",
                final_norm: "norm_final_attn",
                upscaling: ["output_upscaling.0", "output_upscaling.1", "output_upscaling.3"],
            },
        }
    }

    /// Names of a SAM 2.
    pub fn sam2(naming: Naming) -> Self {
        let names = Self::sam(naming);
        match naming {
            Naming::HuggingFace => Self {
                points: PointNames::Together("point_embed.weight"),
                mlp: ["mlp.proj_in", "mlp.proj_out"],
                attention_out: "o_proj",
                ..names
            },
            Naming::Original => Self {
                prompt_encoder: "sam_prompt_encoder",
                mask_decoder: "sam_mask_decoder",
                frequencies: &["sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"],
                mlp: ["mlp.layers.0", "mlp.layers.1"],
                ..names
            },
        }
    }

    /// The name of linear layer `index` of `depth` in an MLP of the mask decoder.
    pub fn mlp_layer(&self, index: usize, depth: usize) -> String {
        match self.naming {
            Naming::HuggingFace if index == 0 => "proj_in".into(),
            Naming::HuggingFace if index + 1 == depth => "proj_out".into(),
            Naming::HuggingFace => format!("layers.{}", index - 1),
            Naming::Original => format!("layers.{index}"),
        }
    }
}
