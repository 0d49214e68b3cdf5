//! Options of the automatic generator.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::prompts::everything(data));
