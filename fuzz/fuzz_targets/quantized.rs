//! A file of `vitrum quantize`, with packed matrices or without.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::quantized::model(data));
