//! The sizes of a CLIP.

use serde::Serialize;
use vitrum::models::clip::config::{EncoderConfig, FastVitConfig, ResNetConfig, TowerConfig};
use vitrum::pipelines::clip::Clip;

use super::Lines;

#[derive(Debug, Serialize)]
pub(super) struct Sizes {
    embed_dim: usize,
    /// What makes probabilities of logits.
    probabilities: &'static str,
    /// Of weights that may not be used for everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    license: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Image>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text>,
}

#[derive(Debug, Serialize)]
struct Image {
    /// Of a square input, the largest one if its size depends on the picture.
    size: usize,
    /// At most, if their number depends on the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    patches: Option<usize>,
    #[serde(flatten)]
    encoder: Encoder,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Encoder {
    Vit {
        patch: usize,
        #[serde(flatten)]
        tower: Tower,
    },
    ResNet {
        /// Of each layer.
        blocks: [usize; 4],
        width: usize,
        /// Of the attention pool.
        heads: usize,
    },
    FastVit {
        /// Of each stage.
        blocks: Vec<usize>,
        /// Of the last stage.
        width: usize,
        heads: usize,
    },
    ConvNext {
        /// Of each stage.
        blocks: Vec<usize>,
        /// Of the last stage.
        width: usize,
    },
}

/// What is said of Apple's weights.
const MOBILE_CLIP: &str =
    "weights of MobileCLIP: Apple Machine Learning Research Model License, research only";

impl Encoder {
    fn of(config: &EncoderConfig) -> Self {
        match config {
            EncoderConfig::Vit(vit) => Self::Vit { patch: vit.patch_size, tower: Tower::of(&vit.tower) },
            &EncoderConfig::ResNet(ResNetConfig { blocks, width, heads, .. }) => {
                Self::ResNet { blocks, width, heads }
            }
            EncoderConfig::FastVit(net) => {
                let blocks = net.stages().iter().map(|stage| stage.blocks).collect();
                let width = net.stages().last().map_or(0, |stage| stage.width);
                Self::FastVit { blocks, width, heads: width / FastVitConfig::HEAD_DIM }
            }
            EncoderConfig::ConvNext(net) => {
                let blocks = net.stages.iter().map(|stage| stage.blocks).collect();
                Self::ConvNext { blocks, width: net.stages.last().map_or(0, |stage| stage.width) }
            }
        }
    }

    fn line(&self) -> String {
        match self {
            Self::Vit { patch, tower } => format!("patch {patch}, {}", tower.line()),
            Self::ResNet { blocks: [a, b, c, d], width, heads } => {
                format!("ResNet of {a}, {b}, {c} and {d} blocks, width {width}, {heads} heads pool")
            }
            Self::ConvNext { blocks, width } => {
                format!("ConvNeXt of {blocks:?} blocks, last width {width}")
            }
            Self::FastVit { blocks, width, heads } => {
                format!("FastViT of {blocks:?} blocks, last width {width}, {heads} heads")
            }
        }
    }
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
            probabilities: if clip.has_independent_probabilities() { "sigmoid" } else { "softmax" },
            license: clip.model().is_mobile_clip().then_some(MOBILE_CLIP),
            image: config.vision.map(|vision| {
                let patches = clip.preprocess().most_patches();
                let size = patches.map_or(vision.image_size, |_| clip.preprocess().output_size().0);
                Image { size, patches, encoder: Encoder::of(&vision.encoder) }
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
        let Self { embed_dim, probabilities, license, image, text } = self;
        let image = image.as_ref().map_or("none".into(), |image| {
            let size = match image.patches {
                Some(patches) => format!("at most {patches} patches in the picture's proportion"),
                None => format!("{} px", image.size),
            };
            format!("{size}, {}", image.encoder.line())
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
        let probabilities = match *probabilities {
            "sigmoid" => "sigmoid: each label's of its own".into(),
            other => format!("{other}: those of all labels sum to 1"),
        };
        let mut lines = vec![
            ("image tower", image),
            ("text tower", text),
            ("embedding", format!("{embed_dim} features")),
            ("probabilities", probabilities),
        ];
        lines.extend(license.map(|license| ("license", license.into())));
        lines
    }
}
