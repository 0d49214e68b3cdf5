//! The configurations beside a SAM.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::configs::sam(data));
