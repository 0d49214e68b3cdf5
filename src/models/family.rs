//! Which family of models a checkpoint is of, where it is not the expected one.

use crate::error::{Error, Result, err};
use crate::weights::Scope;

/// Families, and tensors that every checkpoint of one has.
const FAMILIES: [(&str, &[&str]); 5] = [
    (
        "SAM 2",
        &[
            "image_encoder.trunk.patch_embed.proj.weight",
            "vision_encoder.backbone.patch_embed.projection.weight",
        ],
    ),
    (
        "SAM",
        &[
            "vision_encoder.patch_embed.projection.weight",
            "image_encoder.patch_embed.proj.weight",
            "image_encoder.patch_embed.seq.0.c.weight",
        ],
    ),
    ("Jina-CLIP", &["text_model.transformer.embeddings.word_embeddings.weight"]),
    (
        "TinyCLIP in the naming of its own program; its weights for transformers load",
        &["_logit_scale.logit_scale", "_logit_scale.module.logit_scale"],
    ),
    (
        "CLIP",
        &[
            "vision_model.embeddings.class_embedding",
            "visual.class_embedding",
            "visual.layer1.0.conv1.weight",
            "vision_model.head.probe",
            "text_model.head.weight",
            "visual.attn_pool.probe",
            "visual.trunk.patch_embed.proj.weight",
            "visual.trunk.stem.0.conv_kxk.0.conv.weight",
            "image_encoder.model.patch_embed.0.rbr_conv.0.conv.weight",
        ],
    ),
];

/// The error of a checkpoint that is not of the family `expected`: it names the one that it is of, or `looked_for`, what
/// was not found.
pub(super) fn mismatch(scope: &Scope<'_>, expected: &str, looked_for: &str) -> Result<Error> {
    for (family, tensors) in FAMILIES {
        if family != expected && scope.root(tensors)?.is_some() {
            return Ok(err!(Unsupported, "not a {expected} checkpoint: this is a {family}"));
        }
    }
    Ok(err!(Unsupported, "not a {expected} checkpoint: {looked_for}"))
}
