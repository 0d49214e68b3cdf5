//! Tensor names of SAM 2 checkpoints.

use alloc::format;

use crate::error::Result;
use crate::models::family::mismatch;
use crate::models::sam::Naming;
use crate::weights::Scope;

/// The names of the image encoder's parts.
#[derive(Clone, Copy, Debug)]
pub struct EncoderNames {
    /// Scope of the Hiera trunk.
    pub trunk: &'static str,
    /// The patch convolution, in the trunk.
    pub patch_embed: &'static str,
    /// The layer norms of a block.
    pub norms: [&'static str; 2],
    /// The linear layers of a block's MLP.
    pub mlp: [&'static str; 2],
    /// Scope of the neck's lateral convolutions, followed by their numbers, the coarsest level first.
    pub laterals: &'static str,
    /// What follows the number.
    pub lateral: &'static str,
    /// Convolutions of the two finest levels for the mask decoder, the finest first.
    pub high_resolution: [&'static str; 2],
}

/// The names of tensors outside the parts.
#[derive(Clone, Copy, Debug)]
pub struct MemoryNames {
    /// Temporal encodings of memories, `[maskmem, 1, 1, D]`.
    pub times: &'static str,
    /// Added to the features of a frame without memories.
    pub no_memory: &'static str,
    /// Added to the memory of a frame on which the object cannot be seen; only in 2.1.
    pub no_object_spatial: &'static str,
    /// Projection of a pointer's temporal encoding; only in 2.1.
    pub pointer_times: &'static str,
}

/// Looks for a tensor that only one naming of SAM 2 has. The scope is the one in which all names are found: a wrapper's
/// prefix is taken off.
///
/// # Errors
/// `Unsupported` if there are several models.
pub fn find<'a>(scope: &Scope<'a>) -> Result<Option<(Naming, Scope<'a>)>> {
    let Some(root) = scope.root(&[HUGGING_FACE, ORIGINAL])? else { return Ok(None) };
    let naming = if root.contains(HUGGING_FACE) { Naming::HuggingFace } else { Naming::Original };
    Ok(Some((naming, root)))
}

const HUGGING_FACE: &str = "vision_encoder.backbone.patch_embed.projection.weight";
const ORIGINAL: &str = "image_encoder.trunk.patch_embed.proj.weight";

/// [`find`], or an error.
///
/// # Errors
/// `Unsupported` if this is no SAM 2.
pub fn detect<'a>(scope: &Scope<'a>) -> Result<(Naming, Scope<'a>)> {
    if let Some(found) = find(scope)? {
        return Ok(found);
    }
    let looked_for = format!("neither \"{HUGGING_FACE}\" nor \"{ORIGINAL}\" is present");
    Err(mismatch(scope, "SAM 2", &looked_for)?)
}

/// Names of the image encoder.
pub fn encoder(naming: Naming) -> EncoderNames {
    match naming {
        Naming::HuggingFace => EncoderNames {
            trunk: "vision_encoder.backbone",
            patch_embed: "patch_embed.projection",
            norms: ["layer_norm1", "layer_norm2"],
            mlp: ["mlp.proj_in", "mlp.proj_out"],
            laterals: "vision_encoder.neck.convs",
            lateral: "",
            high_resolution: ["mask_decoder.conv_s0", "mask_decoder.conv_s1"],
        },
        Naming::Original => EncoderNames {
            trunk: "image_encoder.trunk",
            patch_embed: "patch_embed.proj",
            norms: ["norm1", "norm2"],
            mlp: ["mlp.layers.0", "mlp.layers.1"],
            laterals: "image_encoder.neck.convs",
            lateral: "conv",
            high_resolution: ["sam_mask_decoder.conv_s0", "sam_mask_decoder.conv_s1"],
        },
    }
}

/// Names of what makes a memory.
pub fn memory(naming: Naming) -> MemoryNames {
    match naming {
        Naming::HuggingFace => MemoryNames {
            times: "memory_temporal_positional_encoding",
            no_memory: "no_memory_embedding",
            no_object_spatial: "occlusion_spatial_embedding_parameter",
            pointer_times: "temporal_positional_encoding_projection_layer",
        },
        Naming::Original => MemoryNames {
            times: "maskmem_tpos_enc",
            no_memory: "no_mem_embed",
            no_object_spatial: "no_obj_embed_spatial",
            pointer_times: "obj_ptr_tpos_proj",
        },
    }
}
