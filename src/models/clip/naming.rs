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
    /// OpenCLIP's models with an image tower of timm: `visual.trunk.blocks.0.attn.qkv.weight`. The text tower is named as in
    /// [`OriginalCustomText`](Self::OriginalCustomText).
    Timm,
    /// The same with the text tower named as in [`Original`](Self::Original).
    TimmPlainText,
    /// Apple's MobileCLIP: `image_encoder.model.network.0.0.token_mixer.mixer.rbr_skip.weight`,
    /// `text_encoder.transformer.0.pre_norm_mha.1.qkv_proj.weight`.
    MobileClip,
    /// M-CLIP, a text tower alone: `transformer.encoder.layer.0.attention.self.query.weight`, `LinearTransformation.weight`.
    MultilingualClip,
}

/// The names of a transformer layer's parts.
#[derive(Clone, Copy, Debug)]
pub struct LayerNames {
    /// The layer norm before attention.
    pub norm1: &'static str,
    /// The layer norm before the MLP.
    pub norm2: &'static str,
    /// Queries, keys and values.
    pub qkv: Qkv,
    /// The projection after attention.
    pub out_proj: &'static str,
    /// The layers of the MLP.
    pub mlp: [&'static str; 2],
    /// Factors that may scale what attention and the MLP add.
    pub scales: [&'static str; 2],
    /// Whether the norms stand behind the sums of what is added.
    pub is_post_norm: bool,
    /// What only EVA-02 has.
    pub gated: Option<GatedNames>,
}

/// The names of queries, keys and values.
#[derive(Clone, Copy, Debug)]
pub enum Qkv {
    /// Weight and bias of all three in one.
    Fused([&'static str; 2]),
    /// Three layers of a module.
    Apart(&'static str, [&'static str; 3]),
    /// The weight of all three in one, and biases of queries and values: EVA.
    FusedWithoutKeyBias(&'static str, [&'static str; 2]),
    /// Three layers of a module, of which keys have no bias: EVA-02.
    ApartWithoutKeyBias(&'static str, [&'static str; 3]),
}

/// The names of what EVA-02's layers have beside others'.
#[derive(Clone, Copy, Debug)]
pub struct GatedNames {
    /// The layer norm of what attention gives, before its projection.
    pub attention_norm: &'static str,
    /// The gates of the MLP; its values are `mlp[0]`.
    pub gates: &'static str,
    /// The layer norm of their products.
    pub norm: &'static str,
}

/// Names in a layer of timm's EVA.
pub const EVA_LAYER: LayerNames = LayerNames {
    norm1: "norm1",
    norm2: "norm2",
    qkv: Qkv::FusedWithoutKeyBias("attn.qkv.weight", ["attn.q_bias", "attn.v_bias"]),
    out_proj: "attn.proj",
    mlp: ["mlp.fc1", "mlp.fc2"],
    scales: ["gamma_1", "gamma_2"],
    is_post_norm: false,
    gated: None,
};

/// Names in a layer of timm's EVA-02.
pub const EVA_02_LAYER: LayerNames = LayerNames {
    qkv: Qkv::ApartWithoutKeyBias("attn", ["q_proj", "k_proj", "v_proj"]),
    mlp: ["mlp.fc1_x", "mlp.fc2"],
    gated: Some(GatedNames { attention_norm: "attn.norm", gates: "mlp.fc1_g", norm: "mlp.norm" }),
    ..EVA_LAYER
};

/// The names of a Vision Transformer's parts.
#[derive(Clone, Copy, Debug)]
pub struct VitNames {
    /// The class token, `D` features.
    pub class_embedding: &'static str,
    /// The patch convolution, whose weight is `[D, 3, patch, patch]`, or the scope of a stem of convolutions.
    pub patch_embedding: &'static str,
    /// Position embeddings, `[1 + patches, D]`, or without the 1.
    pub positions: &'static str,
    /// The layer norm before the layers.
    pub pre_norm: &'static str,
    /// Scope of the layers, followed by their numbers.
    pub layers: &'static str,
    /// The final layer norm.
    pub final_norm: &'static str,
    /// Attention that pools the tokens.
    pub pool: &'static str,
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

/// The names of a text tower that is a BERT.
#[derive(Clone, Copy, Debug)]
pub struct BertNames {
    /// Scope of the tower, whose own names are those of `transformers`.
    pub root: &'static str,
    /// The projection into the common space.
    pub projection: &'static str,
}

/// Names in a layer of a BERT.
pub const BERT_LAYER: LayerNames = LayerNames {
    norm1: "attention.output.LayerNorm",
    norm2: "output.LayerNorm",
    qkv: Qkv::Apart("attention.self", ["query", "key", "value"]),
    out_proj: "attention.output.dense",
    mlp: ["intermediate.dense", "output.dense"],
    scales: ["ls_1.gamma", "ls_2.gamma"],
    is_post_norm: true,
    gated: None,
};

/// Tensors of text towers that are a BERT: Chinese-CLIP's in both namings, OpenCLIP's, M-CLIP's.
const BERT_TEXT: [&str; 4] = [
    "text_model.embeddings.word_embeddings.weight",
    "bert.embeddings.word_embeddings.weight",
    "text.transformer.embeddings.word_embeddings.weight",
    MULTILINGUAL_TEXT,
];

/// The projection of an M-CLIP.
const MULTILINGUAL_TEXT: &str = "LinearTransformation.weight";

/// Tensors of every ResNet image tower, whose names OpenAI and OpenCLIP share.
const RESNET: [&str; 2] = ["visual.layer1.0.conv1.weight", "visual.attnpool.positional_embedding"];

/// Tensors of SigLIP's image tower that CLIP's does not have.
const SIGLIP_IMAGE: [&str; 2] = ["vision_model.head.probe", "vision_model.embeddings.patch_embedding.bias"];

/// Those of its text tower.
const SIGLIP_TEXT: [&str; 2] = ["text_model.head.weight", "text_model.head.bias"];

/// The probe of PE-Core's attention pool in its own naming, which is otherwise OpenAI's.
pub(super) const PE_PROBE: &str = "visual.attn_pool.probe";

/// Tensors of image towers of timm: the first layer of its Vision Transformers, of one with a stem of convolutions, of FastViT
/// with and without branches, and of ConvNeXt.
const TIMM_IMAGE: [&str; 5] = [
    "visual.trunk.patch_embed.proj.weight",
    "visual.trunk.patch_embed.backbone.0.conv.weight",
    "visual.trunk.stem.0.conv_kxk.0.conv.weight",
    "visual.trunk.stem.0.reparam_conv.weight",
    "visual.trunk.stem.0.weight",
];

/// Those of Apple's MobileCLIP.
const MOBILE_CLIP_IMAGE: [&str; 3] = [
    "image_encoder.model.patch_emb.0.block.conv.weight",
    "image_encoder.model.patch_embed.0.rbr_conv.0.conv.weight",
    "image_encoder.model.patch_embed.0.reparam_conv.weight",
];

/// Whether there is a tensor in `part` of the checkpoint.
fn has_part(scope: &Scope<'_>, part: &str) -> bool {
    scope.at(part).names().next().is_some()
}

impl Naming {
    /// Looks for a tensor that only one naming has, of either tower. The scope is the one in which all names are found: a
    /// wrapper's prefix is taken off.
    ///
    /// # Errors
    /// `Unsupported` if this is no CLIP.
    pub fn detect<'a>(scope: &Scope<'a>) -> Result<(Self, Scope<'a>)> {
        let mut markers = [RESNET, SIGLIP_IMAGE, SIGLIP_TEXT].concat();
        markers.extend(TIMM_IMAGE.iter().chain(&MOBILE_CLIP_IMAGE).chain(&BERT_TEXT).chain(&[PE_PROBE]));
        for naming in [Self::HuggingFace, Self::HuggingFaceTower, Self::Original, Self::OriginalCustomText] {
            markers.extend([naming.vit().class_embedding, naming.text().token_embedding]);
        }
        markers.push(Self::MobileClip.text().token_embedding);
        let Some(root) = scope.root(&markers)? else {
            const LOOKED_FOR: &str = "none of \"vision_model.embeddings.class_embedding\", \"visual.class_embedding\" and \
                                      \"visual.layer1.0.conv1.weight\" is present";
            return Err(mismatch(scope, "CLIP", LOOKED_FOR)?);
        };
        let has_part = |naming: &Self| naming.has_image_tower(&root) || naming.has_text_tower(&root);
        if [SIGLIP_IMAGE, SIGLIP_TEXT].concat().iter().any(|name| root.contains(name)) {
            return Ok((Self::Siglip, root));
        }
        if root.contains(MULTILINGUAL_TEXT) {
            return Ok((Self::MultilingualClip, root));
        }
        if Self::Timm.has_image_tower(&root) && root.contains(Self::Original.text().token_embedding) {
            return Ok((Self::TimmPlainText, root));
        }
        for naming in [Self::Timm, Self::MobileClip] {
            if naming.has_image_tower(&root) || (naming == Self::MobileClip && naming.has_text_tower(&root)) {
                return Ok((naming, root));
            }
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
        let has = |names: &[&str]| names.iter().any(|name| scope.contains(name));
        match self {
            Self::Siglip => has(&SIGLIP_IMAGE),
            Self::Timm | Self::TimmPlainText => has_part(scope, "visual.trunk"),
            Self::MobileClip => has_part(scope, "image_encoder.model"),
            Self::MultilingualClip => false,
            _ => {
                let has_pool = !self.is_hugging_face() && has_part(scope, self.vit().pool);
                scope.contains(self.vit().class_embedding) || has_pool || self.has_resnet(scope)
            }
        }
    }

    /// Whether the checkpoint `scope` has an image tower that is a ResNet.
    pub fn has_resnet(self, scope: &Scope<'_>) -> bool {
        let is_vit = scope.contains(self.vit().class_embedding) || scope.contains(PE_PROBE);
        matches!(self, Self::Original | Self::OriginalCustomText)
            && !is_vit
            && RESNET.iter().any(|name| scope.contains(name))
    }

    /// Whether the checkpoint `scope` has a text tower.
    pub fn has_text_tower(self, scope: &Scope<'_>) -> bool {
        let is_there = match self {
            Self::Siglip => SIGLIP_TEXT.iter().any(|name| scope.contains(name)),
            Self::Timm => has_part(scope, "text"),
            Self::MobileClip => has_part(scope, "text_encoder"),
            Self::OriginalCustomText => has_part(scope, "text.transformer"),
            _ => self.has_bert(scope),
        };
        is_there || scope.contains(self.text().token_embedding)
    }

    /// Whether the checkpoint `scope` has a text tower that is a BERT.
    pub fn has_bert(self, scope: &Scope<'_>) -> bool {
        has_part(&scope.at(self.bert().root), "encoder.layer")
    }

    /// Names of a text tower that is a BERT.
    pub fn bert(self) -> BertNames {
        let (root, projection) = match self {
            Self::HuggingFace | Self::HuggingFaceTower | Self::Siglip | Self::MobileClip => {
                ("text_model", "text_projection.weight")
            }
            Self::Original | Self::TimmPlainText => ("bert", "text_projection"),
            Self::OriginalCustomText | Self::Timm => ("text.transformer", "text.proj"),
            Self::MultilingualClip => ("transformer", "LinearTransformation"),
        };
        BertNames { root, projection }
    }

    /// Names of an image tower that is a Vision Transformer.
    pub fn vit(self) -> VitNames {
        match self {
            Self::HuggingFaceTower => VitNames {
                class_embedding: "embeddings.class_embedding",
                patch_embedding: "embeddings.patch_embedding",
                positions: "embeddings.position_embedding.weight",
                pre_norm: "pre_layrnorm",
                layers: "encoder.layers",
                final_norm: "post_layernorm",
                pool: "head",
                projection: "visual_projection.weight",
            },
            Self::HuggingFace | Self::Siglip | Self::MultilingualClip => VitNames {
                class_embedding: "vision_model.embeddings.class_embedding",
                patch_embedding: "vision_model.embeddings.patch_embedding",
                positions: "vision_model.embeddings.position_embedding.weight",
                pre_norm: "vision_model.pre_layrnorm", // [sic]
                layers: "vision_model.encoder.layers",
                final_norm: "vision_model.post_layernorm",
                pool: "vision_model.head",
                projection: "visual_projection.weight",
            },
            Self::Original | Self::OriginalCustomText => VitNames {
                class_embedding: "visual.class_embedding",
                patch_embedding: "visual.conv1",
                positions: "visual.positional_embedding",
                pre_norm: "visual.ln_pre",
                layers: "visual.transformer.resblocks",
                final_norm: "visual.ln_post",
                pool: "visual.attn_pool",
                projection: "visual.proj",
            },
            Self::Timm | Self::TimmPlainText => VitNames {
                class_embedding: "visual.trunk.cls_token",
                patch_embedding: "visual.trunk.patch_embed.proj",
                positions: "visual.trunk.pos_embed",
                pre_norm: "visual.trunk.norm_pre",
                layers: "visual.trunk.blocks",
                final_norm: "visual.trunk.norm",
                pool: "visual.trunk.attn_pool",
                projection: "visual.trunk.head",
            },
            Self::MobileClip => VitNames {
                class_embedding: "image_encoder.model.cls_token",
                patch_embedding: "image_encoder.model.patch_emb",
                positions: "image_encoder.model.pos_embed.pos_embed.pos_embed",
                pre_norm: "",
                layers: "image_encoder.model.transformer",
                final_norm: "image_encoder.model.post_transformer_norm",
                pool: "",
                projection: "image_encoder.model.classifier.proj",
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
            Self::HuggingFace | Self::MultilingualClip => TextNames {
                token_embedding: "text_model.embeddings.token_embedding.weight",
                positions: "text_model.embeddings.position_embedding.weight",
                layers: "text_model.encoder.layers",
                final_norm: "text_model.final_layer_norm",
                projection: "text_projection.weight",
            },
            Self::Siglip => TextNames { projection: "text_model.head", ..Self::HuggingFace.text() },
            Self::Original | Self::TimmPlainText => TextNames {
                token_embedding: "token_embedding.weight",
                positions: "positional_embedding",
                layers: "transformer.resblocks",
                final_norm: "ln_final",
                projection: "text_projection",
            },
            Self::OriginalCustomText | Self::Timm => TextNames {
                token_embedding: "text.token_embedding.weight",
                positions: "text.positional_embedding",
                layers: "text.transformer.resblocks",
                final_norm: "text.ln_final",
                projection: "text.text_projection",
            },
            Self::MobileClip => TextNames {
                token_embedding: "text_encoder.embedding_layer.weight",
                positions: "text_encoder.positional_embedding.pos_embed.pos_embed",
                layers: "text_encoder.transformer",
                final_norm: "text_encoder.final_layer_norm",
                projection: "text_encoder.projection_layer",
            },
        }
    }

    /// Names in a layer of the text tower.
    pub fn text_layer(self) -> LayerNames {
        match self {
            Self::HuggingFace | Self::HuggingFaceTower | Self::Siglip | Self::MultilingualClip => {
                LayerNames {
                    norm1: "layer_norm1",
                    norm2: "layer_norm2",
                    qkv: Qkv::Apart("self_attn", ["q_proj", "k_proj", "v_proj"]),
                    out_proj: "self_attn.out_proj",
                    mlp: ["mlp.fc1", "mlp.fc2"],
                    scales: ["ls_1.gamma", "ls_2.gamma"],
                    is_post_norm: false,
                    gated: None,
                }
            }
            Self::Original | Self::OriginalCustomText | Self::Timm | Self::TimmPlainText => LayerNames {
                norm1: "ln_1",
                norm2: "ln_2",
                qkv: Qkv::Fused(["attn.in_proj_weight", "attn.in_proj_bias"]),
                out_proj: "attn.out_proj",
                mlp: ["mlp.c_fc", "mlp.c_proj"],
                scales: ["ls_1.gamma", "ls_2.gamma"],
                is_post_norm: false,
                gated: None,
            },
            Self::MobileClip => LayerNames {
                norm1: "pre_norm_mha.0",
                norm2: "pre_norm_ffn.0",
                qkv: Qkv::Fused(["pre_norm_mha.1.qkv_proj.weight", "pre_norm_mha.1.qkv_proj.bias"]),
                out_proj: "pre_norm_mha.1.out_proj",
                mlp: ["pre_norm_ffn.1", "pre_norm_ffn.4"],
                scales: ["ls_1.gamma", "ls_2.gamma"],
                is_post_norm: false,
                gated: None,
            },
        }
    }

    /// Names in a layer of an image tower that is a Vision Transformer.
    pub fn vit_layer(self) -> LayerNames {
        match self {
            Self::Timm | Self::TimmPlainText => LayerNames {
                norm1: "norm1",
                norm2: "norm2",
                qkv: Qkv::Fused(["attn.qkv.weight", "attn.qkv.bias"]),
                out_proj: "attn.proj",
                mlp: ["mlp.fc1", "mlp.fc2"],
                scales: ["ls1.gamma", "ls2.gamma"],
                is_post_norm: false,
                gated: None,
            },
            _ => self.text_layer(),
        }
    }

    /// Dimensions of 1 before those of the image tower's class token and positions.
    pub fn vit_ones(self) -> &'static [usize] {
        match self {
            Self::Timm | Self::TimmPlainText => &[1],
            Self::MobileClip => &[1, 1],
            _ => &[],
        }
    }

    /// Whether projections are stored as `[inputs, outputs]`.
    pub fn transposed_projections(self) -> bool {
        !self.is_hugging_face()
    }

    /// Whether `transformers` gave the names.
    pub fn is_hugging_face(self) -> bool {
        matches!(self, Self::HuggingFace | Self::HuggingFaceTower | Self::Siglip | Self::MultilingualClip)
    }
}
