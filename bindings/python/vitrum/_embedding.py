"""Pictures as a SAM's image encoder sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._ffi import Handle, Owner, call, collect, ffi, lib
from ._image import Format, Image, View


class Embedding(Owner):
    """A picture as a SAM's image encoder sees it: made once, it answers any number of prompts.

    Several threads may use one embedding. It belongs to the model that made it, or to one of the same weights and input
    size.
    """

    def __init__(self, handle: Handle, side: int) -> None:
        self._handle, self._side = handle, side

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture."""
        with self._handle as it:
            return lib.vitrum_sam_embedding_height(it), lib.vitrum_sam_embedding_width(it)

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory that the embedding occupies."""
        with self._handle as it:
            return int(lib.vitrum_sam_embedding_memory_bytes(it))

    def values(self) -> NDArray[np.float32]:
        """The encoder's output: float32 ``[side, side, channels]``, a square grid of tokens."""
        with self._handle as it:
            values = collect(lib.vitrum_sam_embedding_values, it, dtype=np.float32, ctype="float")
        return values.reshape(self._side, self._side, -1)

    def save(self) -> bytes:
        """Bytes for a file or a database; ``Sam.restore`` makes them an embedding again, on any machine."""
        with self._handle as it:
            return collect(lib.vitrum_sam_embedding_save, it, dtype=np.uint8, ctype="uint8_t").tobytes()

    def is_of(self, image: Image, *, format: Format = "rgb") -> bool | None:
        """Whether it was made from this picture, pixel by pixel. ``None``: an earlier version saved it and did not say."""
        view, answer = View(image, format, "image"), ffi.new("int32_t *")
        with self._handle as it:
            call(lib.vitrum_sam_embedding_is_of, it, view.image, answer)
        return {lib.VITRUM_PICTURE_SAME: True, lib.VITRUM_PICTURE_OTHER: False}.get(answer[0])

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("an embedding does not pickle: save() gives bytes, and sam.restore(bytes) the embedding")
