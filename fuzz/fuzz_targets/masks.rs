//! Run lengths, COCO strings, outlines, regions, boxes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::masks::masks(data));
