//! CLIP (Radford et al., 2021): an image tower and a text tower with a common embedding space; and SigLIP (Zhai et al., 2023),
//! which was trained to tell of every pair alone whether it belongs together.
//!
//! - [`config`]: the sizes, from `config.json`, `open_clip_config.json` or the shapes of the tensors;
//! - [`naming`]: where checkpoints of either naming keep a part;
//! - [`layer`]: the pre-norm transformer layer of both towers;
//! - [`vision`]: the image tower, one file per architecture; [`text`]: the text tower.

pub mod config;
pub mod layer;
pub mod naming;
mod projection;
pub mod text;
pub mod vision;

pub use config::{
    ClipConfig, EncoderConfig, ImagePooling, Pooling, ResNetConfig, SiglipVitConfig, TextConfig,
    VisionConfig, VitConfig,
};
pub use text::TextTower;
pub use vision::VisionEncoder;

use crate::error::Result;
use crate::exec::Monitor;
use crate::kernels::activation::Activation;
use crate::kernels::gemm::Packing;
use crate::weights::{Bundle, Loading, Review};
use naming::Naming;

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
    pub text: Option<TextTower>,
    /// `exp(logit_scale)`, the factor from cosine to logit; `None` where a checkpoint of one tower has none.
    pub logit_scale: Option<f32>,
    /// What is added to every logit of a SigLIP; `None` for a CLIP.
    pub logit_bias: Option<f32>,
}

impl ClipModel {
    /// Whether a probability says of a picture and a text alone whether they belong together, as in SigLIP: the sigmoid of the
    /// logit. Otherwise it compares texts: softmax.
    pub fn has_independent_probabilities(&self) -> bool {
        self.naming == Naming::Siglip
    }

    /// Binds a checkpoint in Hugging Face's, OpenAI's or OpenCLIP's naming, with both towers or one of them.
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
        let text = config.text.map(|config| TextTower::bind(&scope, naming, &config)).transpose()?;
        let is_whole = vision.is_some() && text.is_some();
        let has_scale = is_whole || scope.contains("logit_scale");
        let logit_scale = has_scale.then(|| scope.scalar("logit_scale").map(libm::expf)).transpose()?;
        let has_bias = naming == Naming::Siglip && has_scale;
        let logit_bias = has_bias.then(|| scope.scalar("logit_bias")).transpose()?;
        // OpenAI's archives keep their sizes as tensors.
        let sizes: &[&str] = match naming.is_hugging_face() {
            true => &[],
            false => &["input_resolution", "context_length", "vocab_size"],
        };
        review.tensors(&scope, sizes)?;
        Ok(Self { naming, config, vision, text, logit_scale, logit_bias })
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.vision.as_ref().map_or(0, VisionEncoder::bytes) + self.text.as_ref().map_or(0, TextTower::bytes)
    }
}
