//! What the fuzz targets do with their bytes. README.md says how to run them.
//!
//! A target finds more than crashes: each also checks what must hold of whatever was accepted. So a target panics for
//! one of three reasons: the code under test panicked, it answered in a way that it must not, or a sanitizer spoke.

pub mod calls;
pub mod command;
pub mod configs;
pub mod images;
pub mod masks;
pub mod models;
pub mod prompts;
pub mod quantized;
pub mod sessions;
pub mod source;
pub mod tokenizers;
pub mod weights;

use vitrum::{ErrorCode, Result};

/// The value of a call that may fail, but only with a sentence, and never because of a bug.
pub fn accepted<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert_ne!(error.code(), ErrorCode::Panic, "{error}");
            let len = error.message().len();
            assert!((1..4096).contains(&len), "a message of {len} bytes");
            None
        }
    }
}

/// The parts of `data` between NULs.
pub fn parts(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|&byte| byte == 0)
}
