//! `vitrum_error`: the sentence behind a status, in the caller's memory.

use core::ffi::c_char;
use core::ptr;

use super::args::{CStruct, check_struct_size, init};
use super::status::{VITRUM_E_INVALID_ARGUMENT, status_of, vitrum_status};

/// Bytes of an error's message, with its NUL.
pub const VITRUM_ERROR_MESSAGE_SIZE: usize = 512;

/// Receives the message of a failed call. Owned by the caller, who may pass NULL in its place.
///
/// Every function that takes one sets `code` to what it returns and `message` to a sentence that names the
/// thing at fault, or to an empty string on success. One error must not be used by two calls at the same time.
#[repr(C)]
pub struct vitrum_error {
    /// `sizeof(vitrum_error)`; set by `vitrum_error_init`.
    pub struct_size: u32,
    /// The status of the last call.
    pub code: vitrum_status,
    /// UTF-8, NUL-terminated, cut short if it does not fit.
    pub message: [c_char; VITRUM_ERROR_MESSAGE_SIZE],
}

// SAFETY: `repr(C)`, begins with `struct_size: u32`, and all-zero bytes are a value of it.
unsafe impl CStruct for vitrum_error {
    const NAME: &'static str = "vitrum_error";
}

/// Prepares `error` for its first use. `struct_size` is `sizeof *error`.
///
/// Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vitrum_error_init(error: *mut vitrum_error, struct_size: usize) -> vitrum_status {
    // SAFETY: the caller passes NULL or `struct_size` writable bytes.
    unsafe { init(error, struct_size) }
}

/// A caller's `vitrum_error`, or nothing.
pub(super) struct Report(*mut vitrum_error);

impl Report {
    /// # Errors
    /// The status to return if `error` is not a `vitrum_error` of this library; it is not touched then.
    ///
    /// # Safety
    /// `error` must be NULL or point to a `vitrum_error` that nobody else uses.
    pub(super) unsafe fn new(error: *mut vitrum_error) -> Result<Self, vitrum_status> {
        if error.is_null() {
            return Ok(Self(error));
        }
        if !error.is_aligned() {
            return Err(VITRUM_E_INVALID_ARGUMENT);
        }
        // SAFETY: not NULL and aligned, so the caller's struct begins with its `struct_size`.
        let struct_size = unsafe { error.cast::<u32>().read() };
        match check_struct_size::<vitrum_error>(struct_size as usize) {
            Ok(()) => Ok(Self(error)),
            Err(error) => Err(status_of(error.code())),
        }
    }

    /// Writes `code` and `message`, and returns `code`.
    pub(super) fn write(self, code: vitrum_status, message: &str) -> vitrum_status {
        if !self.0.is_null() {
            let mut len = message.len().min(VITRUM_ERROR_MESSAGE_SIZE - 1);
            while !message.is_char_boundary(len) {
                len -= 1;
            }
            // SAFETY: `new` checked that this is a whole `vitrum_error`; the message and its NUL fit in it.
            unsafe {
                (*self.0).code = code;
                let text = (&raw mut (*self.0).message).cast::<u8>();
                ptr::copy_nonoverlapping(message.as_ptr(), text, len);
                text.add(len).write(0);
            }
        }
        code
    }
}
