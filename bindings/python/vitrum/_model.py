"""What CLIP and SAM models have in common: loading, and what is known of a loaded model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from ._context import Context, context_or_default
from ._ffi import Handle, Owner, c_text, collect, ffi, lib, readable, struct
from ._long import Progress, run_long

if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from typing_extensions import Self

#: What weights are kept as in memory.
Weights: TypeAlias = "Literal['f32', 'f16', 'bf16', 'int8', 'q4']"

_WEIGHTS: dict[str | None, int] = {
    None: lib.VITRUM_WEIGHTS_OF_FILES,
    "f32": lib.VITRUM_WEIGHTS_F32,
    "f16": lib.VITRUM_WEIGHTS_F16,
    "bf16": lib.VITRUM_WEIGHTS_BF16,
    "int8": lib.VITRUM_WEIGHTS_INT8,
    "q4": lib.VITRUM_WEIGHTS_Q4,
}

Choice = TypeVar("Choice")


def choice(name: str, value: Any, choices: Mapping[Any, Choice]) -> Choice:
    """What ``value`` stands for among ``choices``."""
    try:
        return choices[value]
    except (KeyError, TypeError):
        raise ValueError(f"{name}: one of {', '.join(map(repr, choices))}, not {value!r}") from None


class Model(Owner):
    """A loaded model. Several threads may use one; ``close`` frees it when the calls that run have returned."""

    _kind: ClassVar[str]
    _handle: Handle
    # What it was loaded from, for pickles; None stands for files in memory.
    _path: str | None
    _options: dict[str, Any]

    def _load(
        self,
        path: str | os.PathLike[str],
        context: Context | None,
        options: dict[str, Any],
        progress: Progress | None,
    ) -> None:
        text = os.fsdecode(path)
        self._run_load("load", [c_text(text, "path")], context, options, progress)
        self._path, self._options = os.path.abspath(text), dict(options, context=context)

    def _load_memory(
        self,
        files: Mapping[str, Any],
        context: Context | None,
        options: dict[str, Any],
        progress: Progress | None,
    ) -> None:
        array = ffi.new("vitrum_file[]", len(files))
        names = [c_text(name, "files") for name in files]
        buffers = [readable(contents, "uint8_t") for contents in files.values()]
        for it, name, buffer in zip(array, names, buffers):
            it.name, it.data, it.size = name, buffer, len(buffer)
        self._run_load("load_memory", [array, len(files)], context, options, progress)
        self._path, self._options = None, {}

    def _run_load(
        self,
        function: str,
        source: list[Any],
        context: Context | None,
        options: dict[str, Any],
        progress: Progress | None,
    ) -> None:
        handle = self._handle = Handle(self._kind)
        c_options, kept = self._c_options(options)
        load = getattr(lib, f"vitrum_{self._kind}_{function}")
        threads = context_or_default(context)._handle

        def run(report: Any, user: Any, error: Any, _kept: list[Any] = kept) -> int:
            c_options.progress, c_options.progress_user = report, user
            with threads as on:
                return int(load(on, *source, c_options, handle.place, error))

        run_long(run, progress)

    def _c_options(self, options: dict[str, Any]) -> tuple[Any, list[Any]]:
        """The C struct, and what must be kept alive with it."""
        c_options = struct(f"{self._kind}_options")
        c_options.mmap = 2 if options.get("in_place") else bool(options.get("mmap"))
        c_options.lenient = bool(options.get("lenient"))
        c_options.weights = choice("weights", options.get("weights"), _WEIGHTS)
        return c_options, []

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory that the model occupies."""
        with self._handle as model:
            return int(getattr(lib, f"vitrum_{self._kind}_memory_bytes")(model))

    @property
    def warnings(self) -> list[str]:
        """What was assumed while loading, and which parts of the files are not used: a line each."""
        with self._handle as model:
            text = collect(getattr(lib, f"vitrum_{self._kind}_warnings"), model, dtype=np.uint8, ctype="char")
        return text.tobytes().rstrip(b"\0").decode().splitlines()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._path is None:
            raise TypeError("a model from files in memory cannot be pickled: it does not keep them")
        return _unpickled, (type(self), self._path, self._options)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        # Nothing of it changes: scikit-learn's `clone`, for one, need not load it again.
        return self

    def __repr__(self) -> str:
        state = "closed" if self._handle.closed else f"{self.memory_bytes / 1e6:.1f} MB"
        return f"<vitrum.{type(self).__name__} {self._path or 'from memory'!r}, {state}>"


def _unpickled(cls: type[Any], path: str, options: dict[str, Any]) -> Any:
    return cls(path, **options)
