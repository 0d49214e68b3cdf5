//! Tensor names of CLIP checkpoints.

use crate::error::{Result, err};
use crate::weights::Scope;

/// Who named the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// `transformers`: `vision_model.encoder.layers.0.self_attn.q_proj.weight`.
    HuggingFace,
    /// One tower of `transformers` saved alone without a projection, by its fifth version (`CLIPVisionModel`,
    /// `CLIPTextModel`): as [`HuggingFace`](Self::HuggingFace), without the tower's scope.
    HuggingFaceTower,
    /// OpenAI and OpenCLIP: `visual.transformer.resblocks.0.attn.in_proj_weight`.
    Original,
    /// OpenCLIP's models with a custom text tower: as [`Original`](Self::Original), with the text tower's
    /// tensors under `text.`.
    OriginalCustomText,
}

/// The names of one tower's parts.
#[derive(Clone, Copy, Debug)]
pub struct TowerNames {
    /// Scope of the layers, followed by their numbers.
    pub layers: &'static str,
    /// Position embeddings.
    pub positions: &'static str,
    /// The final layer norm (of the class token, or of the text).
    pub final_norm: &'static str,
    /// The projection into the common space.
    pub projection: &'static str,
}

impl Naming {
    /// Looks for a tensor that only one naming has, of either tower. The scope is the one in which all names are found: a
    /// wrapper's prefix is taken off.
    ///
    /// # Errors
    /// `Unsupported` if this is no CLIP with a ViT image tower.
    pub fn detect<'a>(scope: &Scope<'a>) -> Result<(Self, Scope<'a>)> {
        const RESNET: &str = "visual.layer1.0.conv1.weight";
        let mut markers = alloc::vec![RESNET];
        for naming in [Self::HuggingFace, Self::HuggingFaceTower, Self::Original, Self::OriginalCustomText] {
            markers.extend([naming.class_embedding(), naming.token_embedding()]);
        }
        let Some(root) = scope.root(&markers)? else {
            return Err(err!(
                Unsupported,
                "not a CLIP checkpoint: neither \"vision_model.embeddings.class_embedding\" \
                 nor \"visual.class_embedding\" is present"
            ));
        };
        let has_part = |naming: &Self| {
            root.contains(naming.class_embedding()) || root.contains(naming.token_embedding())
        };
        if root.contains(RESNET) {
            return Err(err!(Unsupported, "CLIP with a ResNet image tower is not supported yet"));
        }
        // Both original namings have the same image tower.
        let namings = [Self::HuggingFace, Self::HuggingFaceTower, Self::OriginalCustomText, Self::Original];
        let custom_text = root.contains(Self::OriginalCustomText.token_embedding());
        let fits = |naming: &Self| has_part(naming) && (*naming != Self::OriginalCustomText || custom_text);
        let naming = namings.into_iter().find(fits).unwrap_or(Self::Original);
        Ok((naming, root))
    }

    /// Names of the image tower.
    pub fn vision(self) -> TowerNames {
        match self {
            Self::HuggingFaceTower => TowerNames {
                layers: "encoder.layers",
                positions: "embeddings.position_embedding.weight",
                final_norm: "post_layernorm",
                projection: "visual_projection.weight",
            },
            Self::HuggingFace => TowerNames {
                layers: "vision_model.encoder.layers",
                positions: "vision_model.embeddings.position_embedding.weight",
                final_norm: "vision_model.post_layernorm",
                projection: "visual_projection.weight",
            },
            Self::Original | Self::OriginalCustomText => TowerNames {
                layers: "visual.transformer.resblocks",
                positions: "visual.positional_embedding",
                final_norm: "visual.ln_post",
                projection: "visual.proj",
            },
        }
    }

    /// Names of the text tower.
    pub fn text(self) -> TowerNames {
        match self {
            Self::HuggingFaceTower => TowerNames {
                layers: "encoder.layers",
                positions: "embeddings.position_embedding.weight",
                final_norm: "final_layer_norm",
                projection: "text_projection.weight",
            },
            Self::HuggingFace => TowerNames {
                layers: "text_model.encoder.layers",
                positions: "text_model.embeddings.position_embedding.weight",
                final_norm: "text_model.final_layer_norm",
                projection: "text_projection.weight",
            },
            Self::Original => TowerNames {
                layers: "transformer.resblocks",
                positions: "positional_embedding",
                final_norm: "ln_final",
                projection: "text_projection",
            },
            Self::OriginalCustomText => TowerNames {
                layers: "text.transformer.resblocks",
                positions: "text.positional_embedding",
                final_norm: "text.ln_final",
                projection: "text.text_projection",
            },
        }
    }

    /// The class token, `[D]`.
    pub fn class_embedding(self) -> &'static str {
        match self {
            Self::HuggingFaceTower => "embeddings.class_embedding",
            Self::HuggingFace => "vision_model.embeddings.class_embedding",
            Self::Original | Self::OriginalCustomText => "visual.class_embedding",
        }
    }

    /// The patch convolution, `[D, 3, patch, patch]`.
    pub fn patch_embedding(self) -> &'static str {
        match self {
            Self::HuggingFaceTower => "embeddings.patch_embedding.weight",
            Self::HuggingFace => "vision_model.embeddings.patch_embedding.weight",
            Self::Original | Self::OriginalCustomText => "visual.conv1.weight",
        }
    }

    /// The layer norm before the image tower's layers.
    pub fn pre_norm(self) -> &'static str {
        match self {
            Self::HuggingFaceTower => "pre_layrnorm",
            Self::HuggingFace => "vision_model.pre_layrnorm", // [sic]
            Self::Original | Self::OriginalCustomText => "visual.ln_pre",
        }
    }

    /// The token embeddings, `[vocabulary, D]`.
    pub fn token_embedding(self) -> &'static str {
        match self {
            Self::HuggingFaceTower => "embeddings.token_embedding.weight",
            Self::HuggingFace => "text_model.embeddings.token_embedding.weight",
            Self::Original => "token_embedding.weight",
            Self::OriginalCustomText => "text.token_embedding.weight",
        }
    }

    /// Whether projections are stored as `[inputs, outputs]`.
    pub fn transposed_projections(self) -> bool {
        !self.is_hugging_face()
    }

    /// Whether `transformers` gave the names.
    pub fn is_hugging_face(self) -> bool {
        matches!(self, Self::HuggingFace | Self::HuggingFaceTower)
    }
}
