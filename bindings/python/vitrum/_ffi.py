"""The C library, and the conventions of its calls: structs, errors, results of any length.

``_native`` is made when the package is built: maturin compiles the library, and cffi translates ``include/vitrum.h`` to
declarations that need no compiler. Every call gives the interpreter's lock (the GIL) free while it runs.
"""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import _native
from ._errors import error_of

if TYPE_CHECKING:
    from typing_extensions import Self

ffi: Any = _native.ffi
lib: Any = _native.lib

if lib.vitrum_abi_version() != lib.VITRUM_ABI_VERSION:
    raise ImportError("the vitrum package and the library inside of it are of different versions: install it again")

__version__: str = ffi.string(lib.vitrum_version_string()).decode()

Scalar = TypeVar("Scalar", bound=np.generic)


def library_path() -> str:
    """Where the shared library lies."""
    directory = os.path.dirname(os.path.abspath(str(_native.__file__)))
    names = [name for name in os.listdir(directory) if name.endswith((".so", ".dylib", ".dll", ".pyd"))]
    return os.path.join(directory, *sorted(names)[:1])


def struct(name: str) -> Any:
    """A ``vitrum_<name>`` with the library's defaults."""
    it = ffi.new(f"vitrum_{name} *")
    getattr(lib, f"vitrum_{name}_init")(it, ffi.sizeof(it[0]))
    return it


def check(status: int, error: Any) -> None:
    """Raises what a call with this ``error`` reported."""
    if status != lib.VITRUM_OK:
        raise error_of(status, ffi.string(error.message).decode("utf-8", "replace"))


def call(function: Callable[..., int], *arguments: Any) -> None:
    """Calls ``function`` with a ``vitrum_error`` as its last argument, and raises what it reports."""
    error = struct("error")
    check(function(*arguments, error), error)


def collect(function: Callable[..., int], *arguments: Any, dtype: type[Scalar], ctype: str) -> NDArray[Scalar]:
    """The result of a function that fills a buffer: asks for its length first."""
    needed = ffi.new("size_t *")
    call(function, *arguments, ffi.NULL, 0, needed)
    values = np.empty(needed[0], dtype)
    if values.size:
        call(function, *arguments, writable(values, ctype), values.size, needed)
    return values


def writable(array: NDArray[Any], ctype: str) -> Any:
    """``ctype *`` to the values of a contiguous array, which it keeps alive."""
    return ffi.from_buffer(f"{ctype}[]", array, require_writable=True)


def readable(array: Any, ctype: str) -> Any:
    """``const ctype *`` to the bytes of anything with a buffer, which it keeps alive."""
    return ffi.from_buffer(f"{ctype}[]", array)


def contiguous(values: Any, dtype: DTypeLike) -> NDArray[Any]:
    """``values`` as an array without gaps, copied only if it must be."""
    return np.ascontiguousarray(values, dtype=dtype)


def c_text(text: str, argument: str) -> Any:
    """``text`` as a C string."""
    if not isinstance(text, str):
        raise TypeError(f"{argument}: a str is needed, not {type(text).__name__}")
    if "\0" in text:
        raise ValueError(f"{argument}: a text with a NUL in it")
    return ffi.new("char[]", text.encode())


def c_texts(texts: list[str], argument: str) -> tuple[Any, list[Any]]:
    """An array of C strings, and what must be kept alive with it."""
    kept = [c_text(text, f"{argument}[{i}]") for i, text in enumerate(texts)]
    return ffi.new("char *[]", kept), kept


def list_of_texts(texts: Any) -> list[str]:
    """Texts as a list; one ``str`` is one text, not its letters."""
    return [texts] if isinstance(texts, str) else list(texts)


def count(name: str, value: Any, most: int = 2**32 - 1) -> int:
    """``value`` as a whole number from 0 on."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: a whole number is needed, not {value!r}") from None
    if not 0 <= number <= most:
        raise ValueError(f"{name}: {value} is not between 0 and {most}")
    return number


class Handle:
    """Owns one object of the library.

    ``with handle as pointer`` holds it for a call: ``close`` from another thread then frees it afterwards. In a child
    that was forked it neither works, as the threads of its context are not there, nor frees anything.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._lock = threading.Lock()
        self._users = 0
        self._closed = False
        self._pid = pid = os.getpid()
        free, getpid = getattr(lib, f"vitrum_{kind}_free"), os.getpid

        def release(place: Any) -> None:
            if getpid() == pid:
                free(place[0])

        # Where a function writes the pointer. What is there is freed with it.
        self.place: Any = ffi.gc(ffi.new(f"vitrum_{kind} **"), release)

    @property
    def closed(self) -> bool:
        return self._closed

    def __enter__(self) -> Any:
        if os.getpid() != self._pid:
            raise RuntimeError(
                f"this {self._kind.replace('_', ' ')} was made before the process forked, and its threads stayed in the "
                "parent: load it in the child, or start children by multiprocessing's 'spawn'"
            )
        with self._lock:
            if self._closed:
                raise ValueError(f"this {self._kind.replace('_', ' ')} is closed")
            self._users += 1
        return self.place[0]

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            is_last = self._closed and self._users == 0
        if is_last:
            ffi.release(self.place)

    def close(self) -> None:
        with self._lock:
            is_idle = not self._closed and self._users == 0
            self._closed = True
        if is_idle:
            ffi.release(self.place)


class Owner:
    """What owns one object of the library: ``close``, or the end of a ``with`` block, frees its memory."""

    _handle: Handle

    def close(self) -> None:
        """Frees the memory now. Afterwards every use raises ``ValueError``."""
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
