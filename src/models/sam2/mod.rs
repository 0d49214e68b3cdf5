//! SAM 2 (Ravi et al., 2024): an image encoder that runs once per frame, the prompt encoder and mask decoder of
//! [`sam`](super::sam), and a memory through which a frame sees what became of an object before.
//!
//! - [`config`]: the sizes, from `config.json` or the shapes of the tensors;
//! - [`naming`]: where checkpoints of either naming keep a part.

pub mod config;
pub mod naming;

pub use config::{
    HieraBlock, HieraConfig, HieraStage, MemoryConfig, PointerTimes, Sam2Config, TrackingConfig,
};
