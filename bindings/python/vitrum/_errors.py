"""What the package raises: the statuses of the C ABI as exceptions."""

from __future__ import annotations

import errno
from enum import IntEnum


class Status(IntEnum):
    """Why a call failed: the ``VITRUM_E_*`` of the C ABI. Numbers never change their meaning; new ones may be added."""

    INVALID_ARGUMENT = 1
    NULL_POINTER = 2
    STRUCT_SIZE = 3
    BUFFER_TOO_SMALL = 4
    UTF8 = 5
    IMAGE = 6
    IO = 7
    NOT_FOUND = 8
    FORMAT = 9
    LIMIT = 10
    MISSING_TENSOR = 11
    TENSOR_SHAPE = 12
    TENSOR_DTYPE = 13
    CONFIG = 14
    TOKENIZER = 15
    UNSUPPORTED = 16
    OUT_OF_MEMORY = 17
    CANCELLED = 18
    PANIC = 19
    NON_FINITE = 20


class Error(Exception):
    """A call of the library failed.

    ``code`` is a :class:`Status`, or a plain int that a later library added; ``message`` is one sentence that names the
    thing at fault. Where Python has an exception of the same meaning, a subclass is that, too.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        try:
            self.code: int = Status(code)
        except ValueError:
            self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[type[Error], tuple[int, str]]:
        return type(self), (int(self.code), self.message)


class InvalidArgumentError(Error, ValueError):
    """An argument is outside its domain."""


class ImageError(Error, ValueError):
    """A picture has no pixels, or too many, or not the size that a tracker's frames have."""


class ModelError(Error, ValueError):
    """A model's files are malformed, or not those of the model that was asked for."""


class UnsupportedError(Error, NotImplementedError):
    """The input is valid, but of a kind that the library does not implement."""


class NotFoundError(Error, FileNotFoundError):
    """A file or directory that must exist does not."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.errno = errno.ENOENT


class ReadError(Error, OSError):
    """The operating system could not read a file."""


class OutOfMemoryError(Error, MemoryError):
    """Memory could not be allocated. The models in use are unharmed."""


class NonFiniteError(Error, ArithmeticError):
    """Weights or results are not finite: NaN or infinity. ``allow_non_finite`` of :class:`Limits` lets them pass."""


class Cancelled(Error):
    """A progress callback returned ``False``."""


_CLASSES: dict[int, type[Error]] = {
    Status.INVALID_ARGUMENT: InvalidArgumentError,
    Status.UTF8: InvalidArgumentError,
    Status.LIMIT: InvalidArgumentError,
    Status.IMAGE: ImageError,
    Status.IO: ReadError,
    Status.NOT_FOUND: NotFoundError,
    Status.FORMAT: ModelError,
    Status.MISSING_TENSOR: ModelError,
    Status.TENSOR_SHAPE: ModelError,
    Status.TENSOR_DTYPE: ModelError,
    Status.CONFIG: ModelError,
    Status.TOKENIZER: ModelError,
    Status.UNSUPPORTED: UnsupportedError,
    Status.OUT_OF_MEMORY: OutOfMemoryError,
    Status.CANCELLED: Cancelled,
    Status.NON_FINITE: NonFiniteError,
}


def error_of(code: int, message: str) -> Error:
    """The exception for a status."""
    return _CLASSES.get(code, Error)(code, message)
