//! From pictures and words to results: preprocessing, tokenizer, classification.

pub mod preprocess;
pub mod tokenizer;
