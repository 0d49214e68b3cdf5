//! SAM 2 (Ravi et al., 2024): an image encoder that runs once per frame, the prompt encoder and mask decoder of
//! [`sam`](super::sam), and a memory through which a frame sees what became of an object before.
//!
//! - [`config`]: the sizes, from `config.json` or the shapes of the tensors;
//! - [`naming`]: where checkpoints of either naming keep a part;
//! - [`image_encoder`]: the [`hiera`] trunk and its [`fpn_neck`]; [`features`]: what it makes of a frame;
//! - [`memory`]: [`memory_attention`], [`memory_encoder`] and object [`pointers`];
//! - [`tracking`]: an object on one frame of a video, through all of these; [`overlap`]: every pixel to one object.

pub mod config;
pub mod features;
pub mod fpn_neck;
pub mod hiera;
pub mod image_encoder;
pub mod memory;
pub mod memory_attention;
pub mod memory_encoder;
pub mod naming;
pub mod overlap;
pub mod pointers;
mod positions;
pub mod tracking;

pub use config::{
    HieraBlock, HieraConfig, HieraStage, MemoryConfig, PointerTimes, Sam2Config, TrackingConfig,
};
pub use features::FrameFeatures;
pub use image_encoder::ImageEncoder;
pub use memory::{FrameMemory, Memory, ObjectMemory, Pointer};
pub use memory_attention::MemoryAttention;
pub use memory_encoder::MemoryEncoder;
pub use pointers::ObjectPointers;
pub use tracking::Tracking;

use alloc::vec::Vec;

use crate::error::Result;
use crate::exec::Monitor;
use crate::kernels::gemm::Packing;
use crate::models::sam::{MaskDecoder, Predictor, PromptEncoder};
use crate::weights::{Bundle, Loading, Review};

/// The parts of a SAM 2.
#[derive(Debug)]
pub struct Sam2Model {
    /// The sizes.
    pub config: Sam2Config,
    /// Pictures to features.
    pub image_encoder: ImageEncoder,
    /// Prompts to tokens.
    pub prompt_encoder: PromptEncoder,
    /// Tokens to masks.
    pub mask_decoder: MaskDecoder,
    /// What makes a tracker of it; `None` for a checkpoint that segments pictures only.
    pub memory: Option<Memory>,
    /// The no-memory embedding, `[C]`.
    no_memory: Vec<f32>,
}

impl Sam2Model {
    /// Binds a checkpoint of SAM 2 or 2.1 in Hugging Face's or Meta's naming.
    ///
    /// The input has `image_size` pixels a side, or as many as the checkpoint was made for. For another size, position
    /// embeddings are interpolated here, once.
    ///
    /// # Errors
    /// `Unsupported` if this is no SAM 2, or for tensors and settings that are not understood; `Config` for impossible
    /// sizes, `InvalidArgument` for an impossible `image_size`, `Limit` for one beyond the review's limits, and what
    /// [`Scope::f32`](crate::weights::Scope::f32) returns for tensors; `Cancelled` by the monitor, which is asked after every
    /// piece that is read.
    pub fn bind(
        bundle: &Bundle<'_>,
        packing: impl Into<Packing>,
        image_size: Option<usize>,
        review: &mut Review,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        let loading = Loading::new(bundle.archive(), monitor);
        let (naming, scope) = naming::detect(&bundle.scope(packing).reporting(&loading))?;
        let mut config = Sam2Config::of(bundle, &scope, naming, review)?;
        if let Some(image_size) = image_size {
            config.set_image_size(image_size)?;
        }
        review.limits().check_image_size(config.image_size)?;
        let prompt_head = config.prompt_head(naming);
        let f32_scope = scope.keep_f32();
        let prompt_encoder = PromptEncoder::bind(&f32_scope, &prompt_head)?;
        let mask_decoder = MaskDecoder::bind(&f32_scope, &prompt_head, &prompt_encoder)?;
        let model = Self {
            image_encoder: ImageEncoder::bind(&scope, naming, &config)?,
            prompt_encoder,
            mask_decoder,
            memory: Memory::bind(&scope, naming, &config)?,
            no_memory: scope.f32(naming::memory(naming).no_memory, &[1, 1, config.dim])?,
            config,
        };
        review.tensors(&scope, &config::QUIET_TENSORS)?;
        Ok(model)
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

    /// Adds the no-memory embedding to every token of the image embedding `top: [g, g, C]`: of a picture, and of a frame
    /// on which an object has no memories.
    pub fn add_no_memory(&self, top: &mut [f32]) {
        for token in top.chunks_exact_mut(self.no_memory.len()) {
            token.iter_mut().zip(&self.no_memory).for_each(|(x, no_memory)| *x += no_memory);
        }
    }

    /// Bytes of weights held.
    pub fn bytes(&self) -> usize {
        self.image_encoder.bytes()
            + self.prompt_encoder.bytes()
            + self.mask_decoder.bytes()
            + self.memory.as_ref().map_or(0, Memory::bytes)
            + size_of_val(&self.no_memory[..])
    }
}
