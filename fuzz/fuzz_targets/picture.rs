//! A file of a picture: PNG, JPEG, WebP, PNM, BMP, TIFF, GIF.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::command::picture(data));
