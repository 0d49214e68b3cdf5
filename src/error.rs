//! One error type for the whole library: a stable code and a sentence that names the thing at fault.

use alloc::string::String;
use core::fmt;

/// Result with Vitrum's [`Error`].
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// What went wrong, as a number that never changes its meaning (the C ABI's `VITRUM_E_*`).
///
/// Codes are append-only. 0 is success and has no variant here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorCode {
    /// A parameter is outside its domain (unknown enum value, empty list, template without `{}` …).
    InvalidArgument = 1,
    /// A required pointer is NULL (C ABI only).
    NullPointer = 2,
    /// A struct's `struct_size` is not one this library knows (C ABI only).
    StructSize = 3,
    /// The caller's buffer is too small for the result.
    BufferTooSmall = 4,
    /// Text is not valid UTF-8.
    Utf8 = 5,
    /// An image has no pixels, is too large, or its stride and buffer do not fit its size.
    Image = 6,
    /// The operating system could not read a file.
    Io = 7,
    /// A file or directory that must exist does not.
    NotFound = 8,
    /// A file is malformed: its bytes do not follow its format.
    Format = 9,
    /// A size in a file or call exceeds a limit of this library.
    Limit = 10,
    /// A tensor that the model needs is absent.
    MissingTensor = 11,
    /// A tensor has another shape than the model needs.
    TensorShape = 12,
    /// A tensor has a data type that the model cannot use.
    TensorDtype = 13,
    /// A configuration value is absent, of the wrong type or impossible.
    Config = 14,
    /// A tokenizer file is inconsistent.
    Tokenizer = 15,
    /// The input is valid but of a kind that this library does not implement.
    Unsupported = 16,
    /// Memory could not be allocated.
    OutOfMemory = 17,
    /// The caller cancelled the call.
    Cancelled = 18,
    /// A bug in this library: a panic was caught at the C ABI.
    Panic = 19,
    /// Weights or results are not finite: NaN or infinity.
    NonFinite = 20,
}

/// An error: a stable [`ErrorCode`] and a message for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    code: ErrorCode,
    message: String,
}

impl Error {
    /// An error with `code` and `message`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The sentence for a person.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error with `what: ` before its message, to say where it happened.
    #[must_use]
    pub fn within(self, what: impl fmt::Display) -> Self {
        Self { code: self.code, message: alloc::format!("{what}: {}", self.message) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for Error {}

/// `err!(Format, "header of {n} bytes")` makes an [`Error`] with `ErrorCode::Format`.
macro_rules! err {
    ($code:ident, $($arg:tt)+) => {
        $crate::error::Error::new($crate::error::ErrorCode::$code, alloc::format!($($arg)+))
    };
}
pub(crate) use err;
