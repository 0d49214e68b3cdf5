//! The sizes of a CLIP, from its configuration file or from its tensors.

mod bert;
mod conv_next;
mod fast_vit;
mod hugging_face;
mod mobile_clip;
mod original;
mod siglip;

use super::naming::Naming;
use crate::error::{Result, err};
use crate::kernels::activation::Activation;
use crate::kernels::resize::interpolate::Mode;
use crate::models::limit;
use crate::weights::{Bundle, Review, Scope};
pub(super) use original::LONG_POSITIONS;

/// Which text token's features become the embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The first token with the highest id: OpenAI's rule, also meant by Hugging Face's `eos_token_id: 2`.
    Argmax,
    /// The first token with this id.
    FirstEos(u32),
    /// The first token of all.
    First,
    /// The last one of all, after padding.
    Last,
    /// The mean of all but padding.
    Mean,
}

/// Which of the image tower's tokens become the embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImagePooling {
    /// The class token, normalised.
    ClassToken,
    /// The mean of all patches, each normalised before that.
    MeanOfNormed,
    /// The mean of all patches, normalised after that.
    NormOfMean,
    /// What a learnt probe finds in all tokens, which are normalised before that.
    Attention(AttentionPool),
}

/// Attention that pools tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionPool {
    /// Its heads.
    pub heads: usize,
    /// Features inside the MLP after it.
    pub intermediate_size: usize,
}

/// The token before the patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassToken {
    /// There is none.
    None,
    /// It has a position embedding.
    Placed,
    /// It has none.
    Unplaced,
}

/// How patches become tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchStem {
    /// One product.
    Linear,
    /// One product and a bias.
    BiasedLinear,
    /// The same, where the weights have the three channels of a pixel side by side: NaFlex.
    BiasedPixels,
    /// Three convolutions, MobileCLIP's.
    Convolutions {
        /// Channels that the first two make.
        width: usize,
    },
}

/// Whose rotary positions they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotary {
    /// PE-Core's.
    PeCore,
    /// EVA-02's.
    Eva,
}

/// The layers of a Vision Transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Those of Vaswani et al.
    Plain,
    /// EVA's: keys have no bias.
    Eva,
    /// EVA-02's: as EVA's, with a gated MLP, and norms within it and within attention.
    Eva02,
}

/// What becomes of position embeddings for an input of another size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherSizes {
    /// Such inputs are refused: the reference has no others.
    Refused,
    /// They are interpolated.
    Interpolated(Mode),
    /// NaFlex: pictures keep their proportions, and each has a size of its own. They are interpolated linearly with
    /// antialiasing.
    NaFlex,
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
    /// Features of an embedding; `None` if the tower ends without a projection, and its own features are it.
    pub projection: Option<usize>,
}

/// The image tower.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VisionConfig {
    /// Side of the square input that the tower was trained with.
    pub image_size: usize,
    /// The architecture and its sizes.
    pub encoder: EncoderConfig,
}

/// The architecture of the image tower.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EncoderConfig {
    /// A Vision Transformer.
    Vit(VitConfig),
    /// CLIP's modified ResNet.
    ResNet(ResNetConfig),
    /// MobileCLIP's FastViT.
    FastVit(FastVitConfig),
    /// A ConvNeXt.
    ConvNext(ConvNextConfig),
}

impl EncoderConfig {
    /// Features of an embedding.
    pub fn embed_dim(&self) -> usize {
        match self {
            Self::Vit(vit) => vit.tower.embed_dim(),
            Self::ResNet(net) => net.embed_dim,
            Self::FastVit(net) => net.embed_dim,
            Self::ConvNext(net) => net.embed_dim,
        }
    }

    fn set_activation(&mut self, activation: Activation) {
        match self {
            Self::Vit(vit) => vit.tower.activation = activation,
            // Their activations are ReLU and GELU in every checkpoint.
            Self::ResNet(_) | Self::FastVit(_) | Self::ConvNext(_) => (),
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Vit(vit) => vit.check(),
            Self::ResNet(net) => limit("width", net.features(), MAX_WIDTH),
            // Checked as it was read.
            Self::ConvNext(_) => Ok(()),
            Self::FastVit(net) => {
                net.stages().iter().try_for_each(|stage| limit("width", stage.width, MAX_WIDTH))
            }
        }
    }
}

/// A Vision Transformer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VitConfig {
    /// The transformer.
    pub tower: TowerConfig,
    /// Side of a patch.
    pub patch_size: usize,
    /// How patches become tokens.
    pub stem: PatchStem,
    /// The token before them.
    pub class_token: ClassToken,
    /// Whether there is a layer norm before the transformer.
    pub has_pre_norm: bool,
    /// How queries and keys turn with the places of their tokens, beside the position embeddings, if they do.
    pub rotary: Option<Rotary>,
    /// What its layers are.
    pub block: Block,
    /// What becomes of position embeddings for another input size.
    pub other_sizes: OtherSizes,
    /// Which tokens are the picture's.
    pub pooling: ImagePooling,
}

impl VitConfig {
    /// CLIP's: a class token, which is the picture's, and a layer norm before the transformer.
    pub fn clip(tower: TowerConfig, patch_size: usize) -> Self {
        Self {
            tower,
            patch_size,
            stem: PatchStem::Linear,
            class_token: ClassToken::Placed,
            has_pre_norm: true,
            rotary: None,
            block: Block::Plain,
            other_sizes: OtherSizes::Interpolated(Mode::Bicubic),
            pooling: ImagePooling::ClassToken,
        }
    }

    /// SigLIP's: patches alone, pooled by attention of as many heads.
    pub fn siglip(tower: TowerConfig, patch_size: usize) -> Self {
        let pool = AttentionPool { heads: tower.heads, intermediate_size: tower.intermediate_size };
        Self {
            stem: PatchStem::BiasedLinear,
            class_token: ClassToken::None,
            has_pre_norm: false,
            pooling: ImagePooling::Attention(pool),
            ..Self::clip(tower, patch_size)
        }
    }

    /// SigLIP 2's in its variable resolution.
    pub fn naflex(tower: TowerConfig, patch_size: usize) -> Self {
        let stem = PatchStem::BiasedPixels;
        Self { stem, other_sizes: OtherSizes::NaFlex, ..Self::siglip(tower, patch_size) }
    }

    /// Whether all sizes are possible.
    fn check(&self) -> Result<()> {
        limit("patch size", self.patch_size, MAX_IMAGE)?;
        let TowerConfig { hidden_size: dim, heads, .. } = self.tower;
        if self.rotary.is_some() && !dim.is_multiple_of(4 * heads) {
            return Err(err!(Config, "rotary positions of {heads} heads with a width of {dim}"));
        }
        if let ImagePooling::Attention(AttentionPool { heads, intermediate_size }) = self.pooling {
            limit("MLP of the attention pool", intermediate_size, MAX_INTERMEDIATE)?;
            if heads == 0 || !dim.is_multiple_of(heads) {
                return Err(err!(
                    Config,
                    "{heads} heads of the attention pool do not divide the width {dim}"
                ));
            }
        }
        Ok(())
    }
}

/// MobileCLIP's FastViT. What else there is of it, its tensors tell when they are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastVitConfig {
    stages: [FastVitStage; FastVitConfig::MOST_STAGES],
    count: usize,
    /// Features of an embedding.
    pub embed_dim: usize,
}

/// Blocks of one resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FastVitStage {
    /// Channels.
    pub width: usize,
    /// Blocks.
    pub blocks: usize,
    /// Features inside the MLPs.
    pub intermediate_size: usize,
    /// Whether attention mixes the pixels, not convolutions.
    pub has_attention: bool,
}

impl FastVitConfig {
    /// Most stages: MobileCLIP S3 and S4 have 5, the others 4.
    pub const MOST_STAGES: usize = 5;

    /// Features of a head.
    pub const HEAD_DIM: usize = 32;

    /// The sizes of each resolution, from the highest.
    pub fn stages(&self) -> &[FastVitStage] {
        &self.stages[..self.count]
    }

    /// Pixels of the input to a pixel of the last map: the stem divides by 4, every stage but the first by 2.
    pub fn reduction(&self) -> usize {
        2 << self.count
    }
}

/// A ConvNeXt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvNextConfig {
    /// The sizes of each resolution, from the highest, a quarter of the input's.
    pub stages: [ConvNextStage; ConvNextConfig::STAGES],
    /// Added to the variance in layer norms.
    pub layer_norm_eps: f32,
    /// Whether the projection is an MLP.
    pub has_mlp: bool,
    /// Whether its last layer has a bias.
    pub has_bias: bool,
    /// Features of an embedding.
    pub embed_dim: usize,
}

impl ConvNextConfig {
    /// Resolutions.
    pub const STAGES: usize = 4;
}

/// Blocks of one resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConvNextStage {
    /// Channels.
    pub width: usize,
    /// Blocks.
    pub blocks: usize,
    /// Features inside the MLPs.
    pub intermediate_size: usize,
}

/// CLIP's modified ResNet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResNetConfig {
    /// Channels that the stem makes.
    pub width: usize,
    /// Bottleneck blocks of the four layers.
    pub blocks: [usize; 4],
    /// Heads of the attention pool.
    pub heads: usize,
    /// Features of an embedding.
    pub embed_dim: usize,
}

impl ResNetConfig {
    /// Channels of the last map, 32 times the width: 4 of a block for each of its planes, which double three times.
    pub fn features(&self) -> usize {
        32 * self.width
    }
}

impl TowerConfig {
    /// Whether the sizes of the tower at `scope` are possible.
    fn check(&self, scope: &str) -> Result<()> {
        let &Self { hidden_size: width, intermediate_size, layers, heads, .. } = self;
        if width == 0 || width > MAX_WIDTH || intermediate_size == 0 || intermediate_size > MAX_INTERMEDIATE {
            return Err(err!(
                Config,
                "{scope}: width {width} with an MLP of {intermediate_size} is not supported"
            ));
        }
        if layers == 0 || layers > MAX_LAYERS {
            return Err(err!(Config, "{scope}: the number of layers is outside 1..={MAX_LAYERS}"));
        }
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(err!(Config, "{scope}: {heads} heads do not divide the width {width}"));
        }
        Ok(())
    }

    /// Features of an embedding.
    pub fn embed_dim(&self) -> usize {
        self.projection.unwrap_or(self.hidden_size)
    }
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
    /// Whether position embeddings from the 20th on are in a table of their own: Long-CLIP.
    pub has_long_positions: bool,
    /// Which token is the text's.
    pub pooling: Pooling,
    /// Whether a token attends only to those before it.
    pub is_causal: bool,
    /// Whether a block of convolutions stands before the transformer layers and another one after them: MobileCLIP S0.
    pub has_mixers: bool,
    /// The id that fills a text up to the context, where that reaches the embedding; `None` for the tokenizer's.
    pub padding: Option<u32>,
    /// What a BERT has beside its transformer; `None` for any other tower.
    pub bert: Option<BertConfig>,
}

/// A BERT or RoBERTa.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BertConfig {
    /// Position embeddings.
    pub positions: usize,
    /// The one of a text's first token. If it is not 0, the tower is a RoBERTa, where padding takes no position.
    pub first_position: usize,
    /// Embeddings of token types, of which the first is every token's.
    pub token_types: usize,
    /// The id of padding, to which no token attends.
    pub padding: u32,
    /// Whether the pooled token goes through a layer and tanh.
    pub has_pooler: bool,
}

impl TextConfig {
    /// Whether what follows the end token of a text reaches its embedding, so that texts are always as long as the
    /// context.
    pub fn is_padded(&self) -> bool {
        self.bert.is_none() && (!self.is_causal || self.has_mixers || self.pooling == Pooling::Last)
    }
}

/// The towers that a checkpoint has: both, or one of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipConfig {
    /// The image tower.
    pub vision: Option<VisionConfig>,
    /// The text tower.
    pub text: Option<TextConfig>,
}

// Limits: several times the largest published CLIP (bigG: 48 layers of 1664), small enough that no product overflows.
pub(super) const MAX_WIDTH: usize = 1 << 14;
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
    /// their tensors `input_resolution`, `context_length` and `vocab_size`, use QuickGELU; others GELU, of which
    /// `review` is told. `activation` overrides what files say.
    ///
    /// # Errors
    /// `Config` naming the key, `Unsupported` naming a setting that is not implemented, or what [`Scope::shape`] returns.
    pub fn of(
        bundle: &Bundle<'_>,
        scope: &Scope<'_>,
        naming: Naming,
        activation: Option<Activation>,
        review: &mut Review,
    ) -> Result<Self> {
        let mut config = if naming.is_hugging_face() {
            let mut config = bundle.config("config.json")?.ok_or_else(|| {
                err!(NotFound, "config.json is needed beside weights in Hugging Face naming")
            })?;
            match naming {
                Naming::Siglip => siglip::read(&config, scope, review)?,
                Naming::MultilingualClip => bert::read_multilingual(&config, scope, review)?,
                _ => hugging_face::read(&mut config, scope, naming, review)?,
            }
        } else if naming == Naming::MobileClip {
            mobile_clip::read(scope, bundle.config("config.json")?.as_ref(), review)?
        } else {
            let config = bundle.config("open_clip_config.json")?;
            original::read(scope, naming, config.as_ref(), activation.is_some(), review)?
        };
        if let Some(activation) = activation {
            if let Some(vision) = &mut config.vision {
                vision.encoder.set_activation(activation);
            }
            if let Some(text) = &mut config.text
                && text.bert.is_none()
            {
                text.tower.activation = activation;
            }
        }
        config.check()?;
        Ok(config)
    }

    /// Side of a patch, if every picture has a size of its own: SigLIP 2's NaFlex.
    pub fn naflex_patch(&self) -> Option<usize> {
        match self.vision?.encoder {
            EncoderConfig::Vit(vit) if vit.other_sizes == OtherSizes::NaFlex => Some(vit.patch_size),
            _ => None,
        }
    }

    /// Features of an embedding.
    pub fn embed_dim(&self) -> usize {
        let image = self.vision.map(|vision| vision.encoder.embed_dim());
        image.or(self.text.map(|text| text.tower.embed_dim())).unwrap_or(0)
    }

    /// Whether all sizes are possible and within the limits.
    fn check(&self) -> Result<()> {
        if let Some(vision) = &self.vision {
            vision.encoder.check()?;
            limit("image size", vision.image_size, MAX_IMAGE)?;
        }
        if let Some(text) = &self.text {
            limit("vocabulary", text.vocab_size, MAX_VOCABULARY)?;
            limit("context length", text.context_length, MAX_CONTEXT)?;
        }
        let image = self.vision.map(|vision| vision.encoder.embed_dim());
        let text = self.text.map(|text| text.tower.embed_dim());
        if let (Some(image), Some(text)) = (image, text)
            && image != text
        {
            return Err(err!(Config, "embeddings of {image} features for pictures and {text} for texts"));
        }
        image.into_iter().chain(text).try_for_each(|dim| limit("embedding", dim, MAX_WIDTH))
    }
}
