//! The configurations beside a CLIP.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::configs::clip(data));
