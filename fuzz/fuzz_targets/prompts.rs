//! Prompts of a SAM and a SAM 2.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::prompts::predict(data));
