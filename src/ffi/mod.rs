//! The C ABI: what `include/vitrum.h` declares. `cargo run -p xtask -- header` writes that file from this module,
//! doc comments included, so that exported items are documented for a reader who sees only C.
//!
//! One file per C type. Every entry goes through `guard`, which turns errors and panics into statuses, and
//! every argument through `args`, which checks what can be checked. Results are computed in memory of the
//! library and copied to the caller at the end: what a failed call returns is untouched.
#![allow(non_camel_case_types, reason = "types carry their C names")]
#![allow(clippy::missing_safety_doc, reason = "doc comments state each contract in the terms of C")]

mod args;
mod guard;
mod handle;
#[cfg(all(not(feature = "std"), panic = "abort"))]
mod no_std;

pub mod version;

pub mod status;

pub mod error;

pub mod allocator;

pub mod runner;

pub mod limits;

pub mod context;

pub mod file;

pub mod image;

pub mod progress;

pub mod polygon;

pub mod weights;

pub mod clip;

pub mod sam;

pub mod sam_embedding;

pub mod sam_prompt;

pub mod sam_prediction;

pub mod sam_everything;

pub mod sam_text;

pub mod tracker;

pub mod tracker_prompt;

pub mod tracker_mask;

pub mod tracker_propagate;

pub mod tracker_save;
