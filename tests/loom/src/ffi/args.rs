//! What `src/ffi/handle.rs` takes from `src/ffi/args.rs`.

use crate::error::{Result, err};

pub(super) fn check_pointer<T>(pointer: *const T, name: &str) -> Result<()> {
    if pointer.is_null() { Err(err!(NullPointer, "{name} is NULL")) } else { Ok(()) }
}
