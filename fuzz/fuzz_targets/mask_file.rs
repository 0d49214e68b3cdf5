//! The file of a mask: a picture, or an array.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::command::mask_file(data));
