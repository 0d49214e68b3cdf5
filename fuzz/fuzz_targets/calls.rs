//! Sequences of C calls.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::calls::sequence(data));
