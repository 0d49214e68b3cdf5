//! CLIP (Radford et al., 2021): an image tower and a text tower with a common embedding space.
//!
//! - [`config`]: the sizes, from `config.json`, `open_clip_config.json` or the shapes of the tensors;
//! - [`naming`]: where checkpoints of either naming keep a part;
//! - [`layer`]: the pre-norm transformer layer of both towers;
//! - [`vision`], [`text`]: the towers.

pub mod config;
pub mod layer;
pub mod naming;
pub mod text;
pub mod vision;

pub use config::{ClipConfig, Pooling, TextConfig, VisionConfig};
pub use text::TextTower;
pub use vision::VisionTower;

use crate::error::Result;
use crate::simd::Level;
use crate::weights::Bundle;
use naming::Naming;

/// Both towers and the logit scale.
#[derive(Debug)]
pub struct ClipModel {
    /// The sizes.
    pub config: ClipConfig,
    /// Pictures to embeddings.
    pub vision: VisionTower,
    /// Tokens to embeddings.
    pub text: TextTower,
    /// `exp(logit_scale)`, the factor from cosine to logit.
    pub logit_scale: f32,
}

impl ClipModel {
    /// Binds a checkpoint in Hugging Face's, OpenAI's or OpenCLIP's naming.
    ///
    /// # Errors
    /// `Config` for impossible sizes, and what [`Scope::f32`](crate::weights::Scope::f32) returns for tensors.
    pub fn bind(bundle: &Bundle<'_>, level: Level) -> Result<Self> {
        let scope = bundle.scope(level);
        let naming = Naming::detect(&scope)?;
        let config = ClipConfig::of(bundle, &scope, naming)?;
        let vision = VisionTower::bind(&scope, naming, &config)?;
        let text = TextTower::bind(&scope, naming, &config)?;
        let logit_scale = libm::expf(scope.scalar("logit_scale")?);
        Ok(Self { config, vision, text, logit_scale })
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.vision.bytes() + self.text.bytes()
    }
}
