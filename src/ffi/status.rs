//! `vitrum_status`: what every fallible function returns.

use core::ffi::{CStr, c_char};

use crate::error::ErrorCode;

/// The result of a call: `VITRUM_OK` or one of `VITRUM_E_*`. Codes never change their meaning and new ones may
/// be added, so treat an unknown code as a failure.
pub type vitrum_status = i32;

/// The call succeeded.
pub const VITRUM_OK: vitrum_status = 0;
/// A parameter is outside its domain: unknown enum value, empty list, template without `{}` and so on.
pub const VITRUM_E_INVALID_ARGUMENT: vitrum_status = 1;
/// A pointer that must not be NULL is NULL.
pub const VITRUM_E_NULL_POINTER: vitrum_status = 2;
/// A struct's `struct_size` is not one that this library knows.
pub const VITRUM_E_STRUCT_SIZE: vitrum_status = 3;
/// The caller's buffer is too small for the result.
pub const VITRUM_E_BUFFER_TOO_SMALL: vitrum_status = 4;
/// Text is not valid UTF-8.
pub const VITRUM_E_UTF8: vitrum_status = 5;
/// An image has no pixels, is too large, or its stride is shorter than a row.
pub const VITRUM_E_IMAGE: vitrum_status = 6;
/// The operating system could not read a file.
pub const VITRUM_E_IO: vitrum_status = 7;
/// A file or directory that must exist does not.
pub const VITRUM_E_NOT_FOUND: vitrum_status = 8;
/// A file is malformed: its bytes do not follow its format.
pub const VITRUM_E_FORMAT: vitrum_status = 9;
/// A size in a file or call exceeds a limit of this library.
pub const VITRUM_E_LIMIT: vitrum_status = 10;
/// A tensor that the model needs is absent.
pub const VITRUM_E_MISSING_TENSOR: vitrum_status = 11;
/// A tensor has another shape than the model needs.
pub const VITRUM_E_TENSOR_SHAPE: vitrum_status = 12;
/// A tensor has a data type that the model cannot use.
pub const VITRUM_E_TENSOR_DTYPE: vitrum_status = 13;
/// A configuration value is absent, of the wrong type or impossible.
pub const VITRUM_E_CONFIG: vitrum_status = 14;
/// A tokenizer file is inconsistent.
pub const VITRUM_E_TOKENIZER: vitrum_status = 15;
/// The input is valid but of a kind that this library or this build of it does not implement.
pub const VITRUM_E_UNSUPPORTED: vitrum_status = 16;
/// Memory could not be allocated.
pub const VITRUM_E_OUT_OF_MEMORY: vitrum_status = 17;
/// The caller cancelled the call.
pub const VITRUM_E_CANCELLED: vitrum_status = 18;
/// A bug in this library was caught before it could do harm. Please report it with the error's message.
pub const VITRUM_E_PANIC: vitrum_status = 19;
/// Weights or results are not finite: NaN or infinity. `allow_non_finite` of `vitrum_limits` lets them pass.
pub const VITRUM_E_NON_FINITE: vitrum_status = 20;

/// Every status and its description, in order.
const DESCRIPTIONS: [(vitrum_status, &CStr); 21] = [
    (VITRUM_OK, c"success"),
    (VITRUM_E_INVALID_ARGUMENT, c"invalid argument"),
    (VITRUM_E_NULL_POINTER, c"required pointer is NULL"),
    (VITRUM_E_STRUCT_SIZE, c"unknown struct_size"),
    (VITRUM_E_BUFFER_TOO_SMALL, c"buffer too small"),
    (VITRUM_E_UTF8, c"text is not UTF-8"),
    (VITRUM_E_IMAGE, c"impossible image size or stride"),
    (VITRUM_E_IO, c"file cannot be read"),
    (VITRUM_E_NOT_FOUND, c"file not found"),
    (VITRUM_E_FORMAT, c"malformed file"),
    (VITRUM_E_LIMIT, c"limit exceeded"),
    (VITRUM_E_MISSING_TENSOR, c"missing tensor"),
    (VITRUM_E_TENSOR_SHAPE, c"unexpected tensor shape"),
    (VITRUM_E_TENSOR_DTYPE, c"unexpected tensor data type"),
    (VITRUM_E_CONFIG, c"invalid model configuration"),
    (VITRUM_E_TOKENIZER, c"invalid tokenizer"),
    (VITRUM_E_UNSUPPORTED, c"unsupported"),
    (VITRUM_E_OUT_OF_MEMORY, c"out of memory"),
    (VITRUM_E_CANCELLED, c"cancelled"),
    (VITRUM_E_PANIC, c"internal error"),
    (VITRUM_E_NON_FINITE, c"not finite"),
];

/// The status of an error. The match makes sure that every error code has its constant.
pub(super) fn status_of(code: ErrorCode) -> vitrum_status {
    let status = match code {
        ErrorCode::InvalidArgument => VITRUM_E_INVALID_ARGUMENT,
        ErrorCode::NullPointer => VITRUM_E_NULL_POINTER,
        ErrorCode::StructSize => VITRUM_E_STRUCT_SIZE,
        ErrorCode::BufferTooSmall => VITRUM_E_BUFFER_TOO_SMALL,
        ErrorCode::Utf8 => VITRUM_E_UTF8,
        ErrorCode::Image => VITRUM_E_IMAGE,
        ErrorCode::Io => VITRUM_E_IO,
        ErrorCode::NotFound => VITRUM_E_NOT_FOUND,
        ErrorCode::Format => VITRUM_E_FORMAT,
        ErrorCode::Limit => VITRUM_E_LIMIT,
        ErrorCode::MissingTensor => VITRUM_E_MISSING_TENSOR,
        ErrorCode::TensorShape => VITRUM_E_TENSOR_SHAPE,
        ErrorCode::TensorDtype => VITRUM_E_TENSOR_DTYPE,
        ErrorCode::Config => VITRUM_E_CONFIG,
        ErrorCode::Tokenizer => VITRUM_E_TOKENIZER,
        ErrorCode::Unsupported => VITRUM_E_UNSUPPORTED,
        ErrorCode::OutOfMemory => VITRUM_E_OUT_OF_MEMORY,
        ErrorCode::Cancelled => VITRUM_E_CANCELLED,
        ErrorCode::Panic => VITRUM_E_PANIC,
        ErrorCode::NonFinite => VITRUM_E_NON_FINITE,
    };
    debug_assert_eq!(status, code as vitrum_status, "the numbers are those of ErrorCode");
    status
}

/// A short English description of `status`, "unknown status" for an unknown one.
///
/// The string is static: never free it. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn vitrum_status_string(status: vitrum_status) -> *const c_char {
    let known = DESCRIPTIONS.iter().find(|(code, _)| *code == status);
    known.map_or(c"unknown status", |(_, description)| description).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_description() {
        for (i, (status, _)) in DESCRIPTIONS.iter().enumerate() {
            assert_eq!(*status, i as vitrum_status);
        }
        let unknown = vitrum_status_string(DESCRIPTIONS.len() as vitrum_status);
        // SAFETY: the function returns static NUL-terminated strings.
        assert_eq!(unsafe { CStr::from_ptr(unknown) }, c"unknown status");
    }
}
