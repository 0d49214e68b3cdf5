//! CLIP (Radford et al., 2021): an image tower and a text tower with a common embedding space; and SigLIP (Zhai et al., 2023),
//! which was trained to tell of every pair alone whether it belongs together.
//!
//! - [`config`]: the sizes, from `config.json`, `open_clip_config.json` or the shapes of the tensors;
//! - [`naming`]: where checkpoints of either naming keep a part;
//! - [`layer`]: the transformer layer of both towers; [`places`]: rotary positions in it;
//! - [`vision`]: the image tower, [`text`]: the text tower, one file per architecture.

pub mod config;
pub mod layer;
mod mobile;
pub mod naming;
pub mod places;
mod projection;
pub mod text;
pub mod vision;

pub use config::{
    BertConfig, Block, ClipConfig, ConvNextConfig, ConvNextStage, EncoderConfig, FastVitConfig, ImagePooling,
    PatchStem, Pooling, ResNetConfig, Rotary, TextConfig, VisionConfig, VitConfig,
};
pub use text::TextEncoder;
pub use vision::VisionEncoder;

use crate::error::Result;
use crate::exec::Monitor;
use crate::kernels::activation::Activation;
use crate::kernels::gemm::Packing;
use crate::weights::{Bundle, Loading, Review};
use naming::Naming;

/// The largest scale of logits in Apple's program.
const MOST_SCALE: f32 = 100.0;

/// The towers of a checkpoint, and the logit scale.
#[derive(Debug)]
pub struct ClipModel {
    /// Whose the names of its tensors are.
    pub naming: Naming,
    /// The sizes.
    pub config: ClipConfig,
    /// Pictures to embeddings; `None` if the checkpoint has no image tower.
    pub vision: Option<VisionEncoder>,
    /// Tokens to embeddings; `None` if the checkpoint has no text tower.
    pub text: Option<TextEncoder>,
    /// `exp(logit_scale)`, the factor from cosine to logit; `None` where a checkpoint of one tower has none.
    pub logit_scale: Option<f32>,
    /// What is added to every logit of a SigLIP; `None` for a CLIP.
    pub logit_bias: Option<f32>,
}

impl ClipModel {
    /// Whether a probability says of a picture and a text alone whether they belong together, as in SigLIP: the sigmoid of the
    /// logit. Otherwise it compares texts: softmax.
    pub fn has_independent_probabilities(&self) -> bool {
        self.naming == Naming::Siglip || self.logit_bias.is_some()
    }

    /// Binds a checkpoint in one of the [namings](Naming), with both towers or one of them.
    ///
    /// `activation` overrides what the files say, or do not say. `review` hears of what is left over.
    ///
    /// # Errors
    /// `Config` for impossible sizes, `Limit` for an input beyond the review's limits, `Unsupported` for tensors and settings
    /// that are not understood, and what [`Scope::f32`](crate::weights::Scope::f32) returns for tensors; `Cancelled` by the
    /// monitor, which is asked after every piece that is read.
    pub fn bind(
        bundle: &Bundle<'_>,
        packing: impl Into<Packing>,
        activation: Option<Activation>,
        review: &mut Review,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        let loading = Loading::new(bundle.archive(), monitor);
        let (naming, scope) = Naming::detect(&bundle.scope(packing).reporting(&loading))?;
        let config = ClipConfig::of(bundle, &scope, naming, activation, review)?;
        if let Some(vision) = &config.vision {
            review.limits().check_image_size(vision.image_size)?;
        }
        let vision = config.vision.map(|config| VisionEncoder::bind(&scope, naming, &config)).transpose()?;
        let text = config.text.map(|config| TextEncoder::bind(&scope, naming, &config)).transpose()?;
        let is_whole = vision.is_some() && text.is_some();
        let has_scale = is_whole || scope.contains("logit_scale");
        let mut logit_scale = has_scale.then(|| scope.scalar("logit_scale").map(libm::expf)).transpose()?;
        if naming == Naming::MobileClip {
            logit_scale = logit_scale.map(|scale| scale.min(MOST_SCALE));
        }
        let has_bias = match naming {
            Naming::Siglip => has_scale,
            // Of OpenCLIP's models, those that were trained with a sigmoid have one.
            Naming::Original | Naming::OriginalCustomText | Naming::Timm | Naming::TimmPlainText => {
                scope.contains("logit_bias")
            }
            _ => false,
        };
        let logit_bias = has_bias.then(|| scope.scalar("logit_bias")).transpose()?;
        // OpenAI's archives keep their sizes as tensors. A BERT has its own pooler, whether it is used or not.
        let sizes = ["input_resolution", "context_length", "vocab_size"];
        let sizes = if naming.is_hugging_face() { &[][..] } else { &sizes };
        let bert = config.text.and_then(|text| text.bert);
        let pooler = if bert.is_some_and(|bert| !bert.has_pooler) { &["pooler"][..] } else { &[] };
        review.tensors(&scope, &[sizes, pooler].concat())?;
        Ok(Self { naming, config, vision, text, logit_scale, logit_bias })
    }

    /// Whether this is Chinese-CLIP in the naming of its own program.
    pub fn is_chinese_clip(&self) -> bool {
        self.naming == Naming::Original && self.config.text.is_some_and(|text| text.bert.is_some())
    }

    /// Whether this is Meta's PE-Core: rotary positions tell.
    pub fn is_pe_core(&self) -> bool {
        let encoder = self.config.vision.map(|vision| vision.encoder);
        matches!(encoder, Some(EncoderConfig::Vit(vit)) if vit.rotary == Some(Rotary::PeCore))
    }

    /// Whether this is Apple's MobileCLIP or MobileCLIP 2, whose weights are licensed for research alone. MobileCLIP2-L/14 is
    /// known by having both towers: OpenCLIP has no other CLIP with timm's ViT, a class token, and a text tower that is not causal.
    pub fn is_mobile_clip(&self) -> bool {
        let encoder = self.config.vision.map(|vision| vision.encoder);
        let has_stem = |vit: VitConfig| matches!(vit.stem, PatchStem::Convolutions { .. });
        let is_causal = self.config.text.is_none_or(|text| text.is_causal);
        let is_large = |vit: VitConfig| {
            self.naming == Naming::Timm && vit.pooling == ImagePooling::ClassToken && !is_causal
        };
        self.naming == Naming::MobileClip
            || matches!(encoder, Some(EncoderConfig::FastVit(_)))
            || matches!(encoder, Some(EncoderConfig::Vit(vit)) if has_stem(vit) || is_large(vit))
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.vision.as_ref().map_or(0, VisionEncoder::bytes)
            + self.text.as_ref().map_or(0, TextEncoder::bytes)
    }
}
