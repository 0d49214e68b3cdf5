//! Files of labels and names, arguments.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vitrum_fuzz::command::texts(data));
