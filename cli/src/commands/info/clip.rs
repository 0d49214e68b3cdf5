//! The sizes of a CLIP.

use serde::Serialize;
use vitrum::models::clip::config::{EncoderConfig, TowerConfig};
use vitrum::pipelines::clip::Clip;

use super::Lines;

#[derive(Debug, Serialize)]
pub(super) struct Sizes {
    embed_dim: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Image>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text>,
}

#[derive(Debug, Serialize)]
struct Image {
    size: usize,
    patch: usize,
    #[serde(flatten)]
    tower: Tower,
}

#[derive(Debug, Serialize)]
struct Text {
    context: usize,
    vocabulary: usize,
    /// Whether there is a tokenizer, without which texts cannot be encoded.
    tokenizer: bool,
    #[serde(flatten)]
    tower: Tower,
}

#[derive(Debug, Serialize)]
struct Tower {
    layers: usize,
    width: usize,
    heads: usize,
    mlp: usize,
    activation: String,
}

impl Tower {
    fn of(config: &TowerConfig) -> Self {
        Self {
            layers: config.layers,
            width: config.hidden_size,
            heads: config.heads,
            mlp: config.intermediate_size,
            activation: format!("{:?}", config.activation),
        }
    }

    fn line(&self) -> String {
        let Self { layers, width, heads, mlp, activation } = self;
        format!("{layers} layers, width {width}, {heads} heads, mlp {mlp}, {activation}")
    }
}

impl Sizes {
    pub(super) fn of(clip: &Clip) -> Self {
        let config = clip.config();
        Self {
            embed_dim: clip.embed_dim(),
            image: config.vision.map(|vision| {
                let EncoderConfig::Vit(vit) = vision.encoder;
                Image { size: vision.image_size, patch: vit.patch_size, tower: Tower::of(&vit.tower) }
            }),
            text: config.text.map(|text| Text {
                context: text.context_length,
                vocabulary: text.vocab_size,
                tokenizer: clip.tokenizer().is_some(),
                tower: Tower::of(&text.tower),
            }),
        }
    }
}

impl Lines for Sizes {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let Self { embed_dim, image, text } = self;
        let image = image.as_ref().map_or("none".into(), |image| {
            format!("{} px, patch {}, {}", image.size, image.patch, image.tower.line())
        });
        let text = text.as_ref().map_or("none".into(), |text| {
            let tokenizer = if text.tokenizer { "" } else { ", no tokenizer: texts cannot be encoded" };
            format!(
                "{} tokens, vocabulary {}, {}{tokenizer}",
                text.context,
                text.vocabulary,
                text.tower.line()
            )
        });
        vec![("image tower", image), ("text tower", text), ("embedding", format!("{embed_dim} features"))]
    }
}
