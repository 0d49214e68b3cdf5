//! The library's version, and that of its binary interface.

use core::ffi::{CStr, c_char};

/// Version of the binary interface that this header describes. It changes only when a program built with an
/// older header would no longer work.
pub const VITRUM_ABI_VERSION: u32 = 1;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version holds no NUL"),
};

/// The library's version, "major.minor.patch"; compare it with `VITRUM_VERSION` to see whether header and
/// library belong together.
///
/// The string is static: never free it. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn vitrum_version_string() -> *const c_char {
    VERSION.as_ptr()
}

/// The library's `VITRUM_ABI_VERSION`. A program that loads the library at run time should refuse another one
/// than its header's. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn vitrum_abi_version() -> u32 {
    VITRUM_ABI_VERSION
}
