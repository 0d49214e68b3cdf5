//! The configurations beside a SAM 2.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::configs::sam2(data));
