"""Contexts: the threads and the instruction set that models work with."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, TypedDict

from ._ffi import Handle, call, count, lib, struct

if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from typing_extensions import Self

Isa: TypeAlias = "Literal['portable', 'avx2', 'avx512', 'neon', 'simd128']"

_ISAS: dict[str | None, int] = {
    None: lib.VITRUM_ISA_BEST,
    "portable": lib.VITRUM_ISA_PORTABLE,
    "avx2": lib.VITRUM_ISA_AVX2,
    "avx512": lib.VITRUM_ISA_AVX512,
    "neon": lib.VITRUM_ISA_NEON,
    "simd128": lib.VITRUM_ISA_SIMD128,
}
_AMX = {
    lib.VITRUM_AMX_NOT_ASKED: "not asked",
    lib.VITRUM_AMX_ABSENT: "absent",
    lib.VITRUM_AMX_REFUSED: "refused",
    lib.VITRUM_AMX_USED: "used",
}


class Limits(TypedDict, total=False):
    """What a context, and every model and tracker made with it, may be asked for. What exceeds a limit raises
    :class:`InvalidArgumentError` before memory is taken for it. Limits may be lowered and raised; 0 is the default.
    """

    #: Pixels of a picture, a frame, or a mask of their size; 2**28.
    pixels: int
    #: Points of a prompt; 16384.
    points: int
    #: Objects that a tracker can be made for; 1024.
    objects: int
    #: Side of a model's input in pixels, whether its files or the caller ask for it; 2048.
    image_size: int
    #: Bytes of a model's weights, counted as float32: 4 for every value in its files; 16 GiB.
    weights_bytes: int
    #: Bytes of scratch memory that one step of a call takes at once; 2 GiB.
    scratch_bytes: int
    #: Bytes of scratch memory that are kept for the next calls; 512 MiB.
    idle_scratch_bytes: int
    #: Weights and results may be NaN or infinite, which raises :class:`NonFiniteError` otherwise; False.
    allow_non_finite: bool


class Context:
    """Threads, an instruction set, and scratch memory that is kept for reuse.

    Without a context, models share a default one: a thread for each core that the process may use, and the best
    instruction set of the CPU. Results are the same for any number of threads.

    Args:
        threads: Threads that work on one call, at most 1024; 1 is the calling thread alone, 0 one for each core.
        isa: ``"portable"``, ``"avx2"``, ``"avx512"``, ``"neon"`` or ``"simd128"``; ``None`` is the best.
        amx: Multiplies weights in bf16 and int8 with AMX where the CPU has it. On Linux that is a request for the whole
            process, after which small alternate signal stacks are refused.
        limits: What models may be asked for, where that is not the default.

    Raises:
        ValueError: Too many threads, or an unknown instruction set.
        UnsupportedError: This CPU lacks the instruction set.
    """

    def __init__(
        self, threads: int = 0, isa: Isa | None = None, amx: bool = False, limits: Limits | None = None
    ) -> None:
        if isa not in _ISAS:
            raise ValueError(f"isa: one of {', '.join(map(repr, _ISAS))}, not {isa!r}")
        self._options = (threads, isa, amx, limits)
        options = struct("context_options")
        options.threads, options.isa, options.amx = count("threads", threads), _ISAS[isa], bool(amx)
        c_limits = _limits(limits or {})
        options.limits = c_limits
        self._handle = Handle("context")
        call(lib.vitrum_context_new, options, self._handle.place)

    @property
    def threads(self) -> int:
        """How many threads work on one call."""
        with self._handle as context:
            return int(lib.vitrum_context_threads(context))

    @property
    def isa(self) -> str:
        """The instruction set in use."""
        with self._handle as context:
            number = lib.vitrum_context_isa(context)
        return next((name for name, it in _ISAS.items() if it == number and name), str(number))

    @property
    def amx(self) -> str:
        """``"used"``, or why AMX is not: ``"not asked"``, ``"absent"``, ``"refused"``."""
        with self._handle as context:
            number = lib.vitrum_context_amx(context)
        return _AMX.get(number, str(number))

    def trim(self) -> None:
        """Frees scratch memory that is kept for reuse."""
        with self._handle as context:
            lib.vitrum_context_trim(context)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._options

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        # Nothing of it changes: scikit-learn's `clone`, for one, need not load it again.
        return self

    def __repr__(self) -> str:
        return f"vitrum.Context(threads={self.threads}, isa={self.isa!r}, amx={self._options[2]})"


def _limits(limits: Limits) -> Any:
    """The C struct."""
    c_limits = struct("limits")
    for name, value in limits.items():
        if name not in Limits.__annotations__:
            raise TypeError(f"{name}: no such limit; there are {', '.join(Limits.__annotations__)}")
        setattr(c_limits, name, count(name, value, 2**64 - 1))
    return c_limits


_lock = threading.Lock()
# With the process that it belongs to: a child that was forked makes its own.
_default: tuple[int, Context] | None = None


def context_or_default(context: Context | None) -> Context:
    """The context that was given, or the default one, which is made when it is first needed."""
    if context is not None:
        if not isinstance(context, Context):
            raise TypeError(f"context: a vitrum.Context is needed, not {type(context).__name__}")
        return context
    global _default
    with _lock:
        if _default is None or _default[0] != os.getpid():
            _default = (os.getpid(), Context())
        return _default[1]


def _new_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # Another thread may have held it when the process forked.
    os.register_at_fork(after_in_child=_new_lock)
