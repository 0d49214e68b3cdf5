//! A video in one file: GIF, WebP.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::command::video(data));
