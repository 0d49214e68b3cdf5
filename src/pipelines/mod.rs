//! From pictures and words to results: preprocessing, tokenizer, classification.
#![forbid(unsafe_code)]

pub mod clip;
pub mod preprocess;
pub mod tokenizer;
