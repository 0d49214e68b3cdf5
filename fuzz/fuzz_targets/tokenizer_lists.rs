//! Vocabularies, lists of merges and the files beside them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::tokenizers::lists(data));
