//! From pictures and words to results: preprocessing, tokenizer, classification, segmentation, masks.
//!
//! **Unstable**: may change in any release, except for what the crate root re-exports.
#![forbid(unsafe_code)]

pub mod clip;
pub mod mask;
pub mod preprocess;
pub mod sam;
pub mod search;
pub mod tokenizer;
pub mod tracker;
