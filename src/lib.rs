//! Vitrum runs CLIP, SAM and SAM 2 on CPUs inside other people's applications.
//!
//! It reads safetensors directly, computes with its own SIMD kernels and exports a stable C ABI.
//! The modules form layers; each imports only from the ones above it.
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod error;
pub mod image;
pub mod simd;

pub mod exec;

pub mod kernels;

pub mod weights;

pub mod nn;

pub mod models;

pub mod pipelines;

#[cfg(feature = "capi")]
pub mod ffi;

pub use error::{Error, ErrorCode, Result};
