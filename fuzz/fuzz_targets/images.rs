//! Pictures in memory, in every format.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::images::images(data));
