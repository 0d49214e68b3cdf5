//! The sizes of a CLIP, from its configuration file or from its tensors.

use super::naming::Naming;
use crate::error::{Result, err};
use crate::kernels::activation::Activation;
use crate::models::activation;
use crate::weights::{Bundle, Config, Scope};

/// Which text token's features become the embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The first token with the highest id: OpenAI's rule, also meant by Hugging Face's `eos_token_id: 2`.
    Argmax,
    /// The first token with this id.
    FirstEos(u32),
}

/// Sizes of a transformer tower.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TowerConfig {
    /// Features of a token, `D`.
    pub hidden_size: usize,
    /// Features inside the MLP.
    pub intermediate_size: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Activation of the MLP.
    pub activation: Activation,
    /// Added to the variance in layer norms.
    pub layer_norm_eps: f32,
}

/// The image tower.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VisionConfig {
    /// The transformer.
    pub tower: TowerConfig,
    /// Side of the square input that the position embeddings are for.
    pub image_size: usize,
    /// Side of a patch.
    pub patch_size: usize,
}

/// The text tower.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextConfig {
    /// The transformer.
    pub tower: TowerConfig,
    /// Token embeddings.
    pub vocab_size: usize,
    /// Most tokens of a text.
    pub context_length: usize,
    /// Which token is the text's.
    pub pooling: Pooling,
}

/// Both towers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipConfig {
    /// The image tower.
    pub vision: VisionConfig,
    /// The text tower.
    pub text: TextConfig,
    /// Features of an embedding.
    pub projection_dim: usize,
}

// Limits: several times the largest published CLIP (bigG: 48 layers of 1664), small enough that no product overflows.
const MAX_WIDTH: usize = 1 << 14;
const MAX_INTERMEDIATE: usize = 1 << 16;
const MAX_LAYERS: usize = 256;
const MAX_IMAGE: usize = 1 << 13;
const MAX_VOCABULARY: usize = 1 << 21;
const MAX_CONTEXT: usize = 1 << 12;

impl ClipConfig {
    /// Reads `config.json` (Hugging Face) or `open_clip_config.json`, or deduces the sizes of a checkpoint in the
    /// original naming.
    ///
    /// Shapes tell everything but the number of heads and the activation. Heads have 64 features, except in
    /// OpenCLIP's image towers of width 1280, 1408 and 1664 (80, 88 and 104). OpenAI's own checkpoints, known by
    /// their tensors `input_resolution`, `context_length` and `vocab_size`, use QuickGELU; others GELU.
    ///
    /// # Errors
    /// `Config` naming the key, or what [`Scope::shape`] returns.
    pub fn of(bundle: &Bundle<'_>, scope: &Scope<'_>, naming: Naming) -> Result<Self> {
        if naming == Naming::HuggingFace {
            let text = bundle.file("config.json")?.ok_or_else(|| {
                err!(NotFound, "config.json is needed beside weights in Hugging Face naming")
            })?;
            return Self::hugging_face(&Config::parse("config.json", &text)?);
        }
        let file = bundle.file("open_clip_config.json")?;
        let config = file.map(|text| Config::parse("open_clip_config.json", &text)).transpose()?;
        Self::original(scope, naming, config.as_ref())
    }

    fn hugging_face(config: &Config) -> Result<Self> {
        let tower = |part: &str, [hidden, intermediate, layers, heads]: [usize; 4]| -> Result<TowerConfig> {
            let key = |name: &str| alloc::format!("{part}.{name}");
            let hidden_size = config.usize_or(&key("hidden_size"), hidden, 1..=MAX_WIDTH)?;
            let heads = config.usize_or(&key("num_attention_heads"), heads, 1..=hidden_size)?;
            if !hidden_size.is_multiple_of(heads) {
                return Err(config.unusable(
                    &key("num_attention_heads"),
                    format_args!("a divisor of hidden_size = {hidden_size}"),
                ));
            }
            Ok(TowerConfig {
                hidden_size,
                intermediate_size: config.usize_or(
                    &key("intermediate_size"),
                    intermediate,
                    1..=MAX_INTERMEDIATE,
                )?,
                layers: config.usize_or(&key("num_hidden_layers"), layers, 1..=MAX_LAYERS)?,
                heads,
                activation: activation(config, &key("hidden_act"), Activation::QuickGelu)?,
                layer_norm_eps: config.f32_or(&key("layer_norm_eps"), 1e-5, 0.0..=1.0)?,
            })
        };
        // Keys that are absent have the defaults of `transformers`' CLIPConfig: ViT-B/32.
        let vision = tower("vision_config", [768, 3072, 12, 12])?;
        let text = tower("text_config", [512, 2048, 12, 8])?;
        let image_size = config.usize_or("vision_config.image_size", 224, 1..=MAX_IMAGE)?;
        let patch_size = config.usize_or("vision_config.patch_size", 32, 1..=image_size)?;
        let vocab_size = config.usize_or("text_config.vocab_size", 49408, 1..=MAX_VOCABULARY)?;
        let eos = config.usize_or("text_config.eos_token_id", 49407, 0..=MAX_VOCABULARY)?;
        Ok(Self {
            vision: VisionConfig { tower: vision, image_size, patch_size },
            text: TextConfig {
                tower: text,
                vocab_size,
                context_length: config.usize_or(
                    "text_config.max_position_embeddings",
                    77,
                    1..=MAX_CONTEXT,
                )?,
                pooling: if eos == 2 { Pooling::Argmax } else { Pooling::FirstEos(eos as u32) },
            },
            projection_dim: config.usize_or("projection_dim", 512, 1..=MAX_WIDTH)?,
        })
    }

    fn original(scope: &Scope<'_>, naming: Naming, config: Option<&Config>) -> Result<Self> {
        let is_openai =
            ["input_resolution", "context_length", "vocab_size"].iter().all(|name| scope.contains(name));
        let quick_gelu = match config {
            Some(config) => config.bool_or("model_cfg.quick_gelu", false)?,
            None => is_openai,
        };
        let activation = if quick_gelu { Activation::QuickGelu } else { Activation::Gelu };

        let patch = scope.shape(naming.patch_embedding())?;
        let &[width, 3, patch_size, _] = patch else {
            return Err(err!(
                TensorShape,
                "tensor \"{}\": expected [width, 3, patch, patch], found {patch:?}",
                naming.patch_embedding()
            ));
        };
        let [tokens, _] = matrix(scope, naming.vision().positions)?;
        let side = (1..=MAX_IMAGE).find(|side| side * side + 1 >= tokens).unwrap_or(MAX_IMAGE);
        let head_width = match (config, width) {
            (Some(config), _) => config.usize_or("model_cfg.vision_cfg.head_width", 64, 1..=MAX_WIDTH)?,
            (None, 1280) => 80,
            (None, 1408) => 88,
            (None, 1664) => 104,
            (None, _) => 64,
        };
        let vision = VisionConfig {
            tower: tower(scope, naming.vision().layers, width, width / head_width, activation)?,
            image_size: side * patch_size,
            patch_size,
        };

        let [context_length, width] = matrix(scope, naming.text().positions)?;
        let heads = match config {
            Some(config) => {
                config.usize_or("model_cfg.text_cfg.heads", (width / 64).max(1), 1..=MAX_WIDTH)?
            }
            None => width / 64,
        };
        let text = TextConfig {
            tower: tower(scope, naming.text().layers, width, heads, activation)?,
            vocab_size: matrix(scope, naming.token_embedding())?[0],
            context_length,
            pooling: Pooling::Argmax,
        };
        let [_, projection_dim] = matrix(scope, naming.vision().projection)?;
        let config = Self { vision, text, projection_dim };
        config.check()?;
        Ok(config)
    }

    /// The limits that [`hugging_face`](Self::hugging_face) checks key by key.
    fn check(&self) -> Result<()> {
        for (name, value, most) in [
            ("patch size", self.vision.patch_size, MAX_IMAGE),
            ("image size", self.vision.image_size, MAX_IMAGE),
            ("vocabulary", self.text.vocab_size, MAX_VOCABULARY),
            ("context length", self.text.context_length, MAX_CONTEXT),
            ("embedding", self.projection_dim, MAX_WIDTH),
        ] {
            if value == 0 || value > most {
                return Err(err!(Config, "{name} of {value} is outside 1..={most}"));
            }
        }
        Ok(())
    }
}

/// The sizes of a tower in the original naming.
fn tower(
    scope: &Scope<'_>,
    layers: &str,
    width: usize,
    heads: usize,
    activation: Activation,
) -> Result<TowerConfig> {
    let [intermediate_size, _] = matrix(&scope.at(layers).at(0), "mlp.c_fc.weight")?;
    let count = (0..=MAX_LAYERS).take_while(|i| scope.at(layers).at(i).contains("ln_1.weight")).count();
    if width == 0 || width > MAX_WIDTH || intermediate_size == 0 || intermediate_size > MAX_INTERMEDIATE {
        return Err(err!(
            Config,
            "{layers}: width {width} with an MLP of {intermediate_size} is not supported"
        ));
    }
    if count == 0 || count > MAX_LAYERS {
        return Err(err!(Config, "{layers}: the number of layers is outside 1..={MAX_LAYERS}"));
    }
    if heads == 0 || !width.is_multiple_of(heads) {
        return Err(err!(Config, "{layers}: {heads} heads do not divide the width {width}"));
    }
    Ok(TowerConfig {
        hidden_size: width,
        intermediate_size,
        layers: count,
        heads,
        activation,
        layer_norm_eps: 1e-5,
    })
}

/// The shape of a matrix.
fn matrix(scope: &Scope<'_>, name: &str) -> Result<[usize; 2]> {
    let shape = scope.shape(name)?;
    shape.try_into().map_err(|_| err!(TensorShape, "tensor \"{name}\": expected a matrix, found {shape:?}"))
}
