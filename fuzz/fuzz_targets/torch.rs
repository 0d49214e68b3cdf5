//! A PyTorch checkpoint.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::weights::archive(data));
