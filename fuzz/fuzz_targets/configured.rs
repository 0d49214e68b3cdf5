//! Models that run with other configurations.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::configs::configured(data));
