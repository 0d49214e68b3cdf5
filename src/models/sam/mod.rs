//! SAM (Kirillov et al., 2023): an image encoder that runs once per picture, and a light prompt encoder and mask
//! decoder that run for every prompt.
//!
//! - [`config`]: the sizes, from `config.json` or the shapes of the tensors;
//! - [`naming`]: where checkpoints of either naming keep a part;
//! - [`image_encoder`]: [`vit`] or [`tiny_vit`];
//! - [`prompt`]: what is asked; [`prompt_encoder`]: points, boxes and masks to embeddings;
//! - [`mask_decoder`]: embeddings to masks, by the two-way [`transformer`] with its [`attention`]s,
//!   [`mask_upscaler`] and [`relu_mlp`]s; [`image_cache`]: what it computes once per image;
//! - [`predict`]: both for a list of prompts.

pub mod attention;
pub mod config;
pub mod image_cache;
pub mod image_encoder;
pub mod mask_decoder;
pub mod mask_upscaler;
pub mod naming;
mod neck;
pub mod predict;
pub mod prompt;
pub mod prompt_encoder;
pub mod relu_mlp;
pub mod tiny_vit;
pub mod transformer;
pub mod vit;

pub use config::{
    BlockConfig, DecoderConfig, DecoderExtensions, EncoderConfig, MaskGeneration, PromptHeadConfig,
    SamConfig, Stability, StageConfig, TinyVitConfig, VitConfig,
};
pub use image_encoder::ImageEncoder;
pub use mask_decoder::{DecodeOptions, Decoded, MaskDecoder, PromptImages, Prompts};
pub use naming::{DecoderNames, Naming};
pub use predict::Predictor;
pub use prompt::{Label, Point, Prompt};
pub use prompt_encoder::PromptEncoder;

pub use crate::kernels::mask_decoder::ImageSource;

use crate::error::Result;
use crate::exec::Monitor;
use crate::kernels::gemm::Packing;
use crate::weights::{Bundle, Loading, Review};

/// The three parts of a SAM.
#[derive(Debug)]
pub struct SamModel {
    /// The sizes.
    pub config: SamConfig,
    /// Pictures to embeddings.
    pub image_encoder: ImageEncoder,
    /// Prompts to tokens.
    pub prompt_encoder: PromptEncoder,
    /// Tokens to masks.
    pub mask_decoder: MaskDecoder,
}

impl SamModel {
    /// Binds a checkpoint of SAM, MobileSAM or SlimSAM in Hugging Face's or Meta's naming.
    ///
    /// The input has `image_size` pixels a side, or as many as the checkpoint was made for. For another size, position
    /// embeddings are interpolated here, once.
    ///
    /// # Errors
    /// `Unsupported` if this is no SAM, or for tensors and settings that are not understood; `Config` for impossible
    /// sizes, `InvalidArgument` for an impossible `image_size`, `Limit` for one beyond the review's limits, and what
    /// [`Scope::f32`](crate::weights::Scope::f32) returns for tensors; `Cancelled` by the monitor, which is asked
    /// after every piece that is read.
    pub fn bind(
        bundle: &Bundle<'_>,
        packing: impl Into<Packing>,
        image_size: Option<usize>,
        review: &mut Review,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        let loading = Loading::new(bundle.archive(), monitor);
        let (naming, scope) = Naming::detect(&bundle.scope(packing).reporting(&loading))?;
        let mut config = SamConfig::of(bundle, &scope, naming, review)?;
        if let Some(image_size) = image_size {
            config.set_image_size(image_size)?;
        }
        review.limits().check_image_size(config.image_size)?;
        let image_encoder = ImageEncoder::bind(&scope, naming, &config)?;
        let prompt_head = config.prompt_head(naming);
        let f32_scope = scope.keep_f32();
        let prompt_encoder = PromptEncoder::bind(&f32_scope, &prompt_head)?;
        let mask_decoder = MaskDecoder::bind(&f32_scope, &prompt_head, &prompt_encoder)?;
        // A second copy of the frequencies.
        review.tensors(&scope, &["prompt_encoder.shared_embedding.positional_embedding"])?;
        Ok(Self { config, image_encoder, prompt_encoder, mask_decoder })
    }

    /// The parts that run for every prompt.
    pub fn predictor(&self) -> Predictor<'_> {
        Predictor {
            prompt_encoder: &self.prompt_encoder,
            mask_decoder: &self.mask_decoder,
            least_iou: None,
            stability: self.config.decoder.extensions.stability,
        }
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.image_encoder.bytes() + self.prompt_encoder.bytes() + self.mask_decoder.bytes()
    }
}
