//! A video as a stream: Y4M, MJPEG.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::command::video(data));
