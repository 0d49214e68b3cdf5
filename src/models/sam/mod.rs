//! SAM (Kirillov et al., 2023): an image encoder that runs once per picture, and a light prompt encoder and mask
//! decoder that run for every prompt.
//!
//! - [`config`]: the sizes, from `config.json` or the shapes of the tensors;
//! - [`naming`]: where checkpoints of either naming keep a part.

pub mod config;
pub mod naming;

pub use config::{DecoderConfig, EncoderConfig, SamConfig, TinyVitConfig, VitConfig};
pub use naming::Naming;

use crate::error::Result;
use crate::simd::Level;
use crate::weights::Bundle;

/// The three parts of a SAM.
#[derive(Debug)]
pub struct SamModel {
    /// The sizes.
    pub config: SamConfig,
}

impl SamModel {
    /// Binds a checkpoint of SAM, MobileSAM or SlimSAM in Hugging Face's or Meta's naming.
    ///
    /// The input has `image_size` pixels a side, or as many as the checkpoint was made for. For another size, position
    /// embeddings are interpolated here, once.
    ///
    /// # Errors
    /// `Config` for impossible sizes, `InvalidArgument` for an impossible `image_size`, and what
    /// [`Scope::f32`](crate::weights::Scope::f32) returns for tensors.
    pub fn bind(bundle: &Bundle<'_>, level: Level, image_size: Option<usize>) -> Result<Self> {
        let scope = bundle.scope(level);
        let naming = Naming::detect(&scope)?;
        let mut config = SamConfig::of(bundle, &scope, naming)?;
        if let Some(image_size) = image_size {
            config.set_image_size(image_size)?;
        }
        Ok(Self { config })
    }
}
