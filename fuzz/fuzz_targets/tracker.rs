//! A saved tracker.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::sessions::tracker(data));
