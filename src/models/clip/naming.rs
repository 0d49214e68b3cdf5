//! Tensor names of CLIP checkpoints.

use crate::error::Result;
use crate::models::family::mismatch;
use crate::weights::Scope;

/// Who named the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// `transformers`: `vision_model.encoder.layers.0.self_attn.q_proj.weight`.
    HuggingFace,
    /// One tower of `transformers` saved alone without a projection, by its fifth version (`CLIPVisionModel`,
    /// `CLIPTextModel`): as [`HuggingFace`](Self::HuggingFace), without the tower's scope.
    HuggingFaceTower,
    /// `transformers`' SigLIP: as [`HuggingFace`](Self::HuggingFace), with a head on each tower.
    Siglip,
    /// OpenAI and OpenCLIP: `visual.transformer.resblocks.0.attn.in_proj_weight`.
    Original,
    /// OpenCLIP's models with a custom text tower: as [`Original`](Self::Original), with the text tower's
    /// tensors under `text.`.
    OriginalCustomText,
}

/// The names of a Vision Transformer's parts.
#[derive(Clone, Copy, Debug)]
pub struct VitNames {
    /// The class token, `[D]`.
    pub class_embedding: &'static str,
    /// The patch convolution, `[D, 3, patch, patch]`.
    pub patch_embedding: &'static str,
    /// Position embeddings, `[1 + patches, D]`.
    pub positions: &'static str,
    /// The layer norm before the layers.
    pub pre_norm: &'static str,
    /// Scope of the layers, followed by their numbers.
    pub layers: &'static str,
    /// The final layer norm.
    pub final_norm: &'static str,
    /// The projection into the common space.
    pub projection: &'static str,
}

/// The names of a text tower's parts.
#[derive(Clone, Copy, Debug)]
pub struct TextNames {
    /// The token embeddings, `[vocabulary, D]`.
    pub token_embedding: &'static str,
    /// Position embeddings, `[context, D]`.
    pub positions: &'static str,
    /// Scope of the layers, followed by their numbers.
    pub layers: &'static str,
    /// The final layer norm.
    pub final_norm: &'static str,
    /// The projection into the common space.
    pub projection: &'static str,
}

/// Tensors of every ResNet image tower, whose names OpenAI and OpenCLIP share.
const RESNET: [&str; 2] = ["visual.layer1.0.conv1.weight", "visual.attnpool.positional_embedding"];

/// Tensors of SigLIP's image tower that CLIP's does not have.
const SIGLIP_IMAGE: [&str; 2] = ["vision_model.head.probe", "vision_model.embeddings.patch_embedding.bias"];

/// Those of its text tower.
const SIGLIP_TEXT: [&str; 2] = ["text_model.head.weight", "text_model.head.bias"];

impl Naming {
    /// Looks for a tensor that only one naming has, of either tower. The scope is the one in which all names are found: a
    /// wrapper's prefix is taken off.
    ///
    /// # Errors
    /// `Unsupported` if this is no CLIP.
    pub fn detect<'a>(scope: &Scope<'a>) -> Result<(Self, Scope<'a>)> {
        let mut markers = [RESNET, SIGLIP_IMAGE, SIGLIP_TEXT].concat();
        for naming in [Self::HuggingFace, Self::HuggingFaceTower, Self::Original, Self::OriginalCustomText] {
            markers.extend([naming.vit().class_embedding, naming.text().token_embedding]);
        }
        let Some(root) = scope.root(&markers)? else {
            const LOOKED_FOR: &str = "none of \"vision_model.embeddings.class_embedding\", \"visual.class_embedding\" and \
                                      \"visual.layer1.0.conv1.weight\" is present";
            return Err(mismatch(scope, "CLIP", LOOKED_FOR)?);
        };
        let has_part = |naming: &Self| naming.has_image_tower(&root) || naming.has_text_tower(&root);
        if [SIGLIP_IMAGE, SIGLIP_TEXT].concat().iter().any(|name| root.contains(name)) {
            return Ok((Self::Siglip, root));
        }
        // Both original namings have the same image tower.
        let namings = [Self::HuggingFace, Self::HuggingFaceTower, Self::OriginalCustomText, Self::Original];
        let custom_text = Self::OriginalCustomText.has_text_tower(&root);
        let fits = |naming: &Self| has_part(naming) && (*naming != Self::OriginalCustomText || custom_text);
        let naming = namings.into_iter().find(fits).unwrap_or(Self::Original);
        Ok((naming, root))
    }

    /// Whether the checkpoint `scope` has an image tower.
    pub fn has_image_tower(self, scope: &Scope<'_>) -> bool {
        if self == Self::Siglip {
            return SIGLIP_IMAGE.iter().any(|name| scope.contains(name));
        }
        scope.contains(self.vit().class_embedding) || self.has_resnet(scope)
    }

    /// Whether the checkpoint `scope` has an image tower that is a ResNet.
    pub fn has_resnet(self, scope: &Scope<'_>) -> bool {
        let is_vit = scope.contains(self.vit().class_embedding);
        !self.is_hugging_face() && !is_vit && RESNET.iter().any(|name| scope.contains(name))
    }

    /// Whether the checkpoint `scope` has a text tower.
    pub fn has_text_tower(self, scope: &Scope<'_>) -> bool {
        let has_head = self == Self::Siglip && SIGLIP_TEXT.iter().any(|name| scope.contains(name));
        has_head || scope.contains(self.text().token_embedding)
    }

    /// Names of an image tower that is a Vision Transformer.
    pub fn vit(self) -> VitNames {
        match self {
            Self::HuggingFaceTower => VitNames {
                class_embedding: "embeddings.class_embedding",
                patch_embedding: "embeddings.patch_embedding.weight",
                positions: "embeddings.position_embedding.weight",
                pre_norm: "pre_layrnorm",
                layers: "encoder.layers",
                final_norm: "post_layernorm",
                projection: "visual_projection.weight",
            },
            Self::HuggingFace | Self::Siglip => VitNames {
                class_embedding: "vision_model.embeddings.class_embedding",
                patch_embedding: "vision_model.embeddings.patch_embedding.weight",
                positions: "vision_model.embeddings.position_embedding.weight",
                pre_norm: "vision_model.pre_layrnorm", // [sic]
                layers: "vision_model.encoder.layers",
                final_norm: "vision_model.post_layernorm",
                projection: "visual_projection.weight",
            },
            Self::Original | Self::OriginalCustomText => VitNames {
                class_embedding: "visual.class_embedding",
                patch_embedding: "visual.conv1.weight",
                positions: "visual.positional_embedding",
                pre_norm: "visual.ln_pre",
                layers: "visual.transformer.resblocks",
                final_norm: "visual.ln_post",
                projection: "visual.proj",
            },
        }
    }

    /// Names of the text tower.
    pub fn text(self) -> TextNames {
        match self {
            Self::HuggingFaceTower => TextNames {
                token_embedding: "embeddings.token_embedding.weight",
                positions: "embeddings.position_embedding.weight",
                layers: "encoder.layers",
                final_norm: "final_layer_norm",
                projection: "text_projection.weight",
            },
            Self::HuggingFace => TextNames {
                token_embedding: "text_model.embeddings.token_embedding.weight",
                positions: "text_model.embeddings.position_embedding.weight",
                layers: "text_model.encoder.layers",
                final_norm: "text_model.final_layer_norm",
                projection: "text_projection.weight",
            },
            Self::Siglip => TextNames { projection: "text_model.head", ..Self::HuggingFace.text() },
            Self::Original => TextNames {
                token_embedding: "token_embedding.weight",
                positions: "positional_embedding",
                layers: "transformer.resblocks",
                final_norm: "ln_final",
                projection: "text_projection",
            },
            Self::OriginalCustomText => TextNames {
                token_embedding: "text.token_embedding.weight",
                positions: "text.positional_embedding",
                layers: "text.transformer.resblocks",
                final_norm: "text.ln_final",
                projection: "text.text_projection",
            },
        }
    }

    /// Whether projections are stored as `[inputs, outputs]`.
    pub fn transposed_projections(self) -> bool {
        !self.is_hugging_face()
    }

    /// Whether `transformers` gave the names.
    pub fn is_hugging_face(self) -> bool {
        matches!(self, Self::HuggingFace | Self::HuggingFaceTower | Self::Siglip)
    }
}
