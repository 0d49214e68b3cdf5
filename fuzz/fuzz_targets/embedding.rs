//! A saved embedding.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::sessions::embedding(data));
