"""The masks that answer a prompt."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._ffi import Handle, Scalar, call, collect, ffi, lib, struct, writable
from ._rle import Polygon, Rle


class MaskStats(NamedTuple):
    """Area, box and scores of a mask."""

    #: Pixels of the mask.
    area: int
    #: x, y, width and height in pixels; all 0 if the mask is empty.
    bbox: tuple[int, int, int, int]
    #: The IoU (intersection over union) with the object that the model predicts.
    score: float
    #: Pixels above the threshold + 1, over those above the threshold - 1. Not a number if there are none.
    stability: float


class Prediction:
    """The masks that answer one prompt: three of them, or one without ``multimask``.

    Arrays are made when they are first asked for. Several threads may read a prediction.
    """

    def __init__(self, handle: Handle, prompt: int, size: tuple[int, int], mask_side: int, threshold: float) -> None:
        self._handle, self._prompt, self._mask_side = handle, prompt, mask_side
        #: Height and width of the picture.
        self.size = size
        #: A mask is where its logits are above this.
        self.threshold = threshold

    def __len__(self) -> int:
        with self._handle as prediction:
            return int(lib.vitrum_sam_prediction_masks(prediction))

    @cached_property
    def scores(self) -> NDArray[np.float32]:
        """The IoU with the object that the model predicts for each mask: float32 ``[k]``."""
        with self._handle as prediction:
            scores = collect(lib.vitrum_sam_prediction_scores, prediction, dtype=np.float32, ctype="float")
        own: NDArray[np.float32] = scores.reshape(-1, len(self))[self._prompt].copy()
        return own

    @property
    def best(self) -> int:
        """Which mask has the highest score."""
        return int(self.scores.argmax())

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """The masks in the size of the picture: bool ``[k, h, w]``."""
        function = lib.vitrum_sam_prediction_mask
        return self._stack(function, self.size, np.uint8, "uint8_t", self.threshold).view(np.bool_)

    @property
    def best_mask(self) -> NDArray[np.bool_]:
        """The mask with the highest score: bool ``[h, w]``."""
        mask: NDArray[np.bool_] = self.masks[self.best]
        return mask

    @cached_property
    def logits(self) -> NDArray[np.float32]:
        """Logits in the size of the picture: float32 ``[k, h, w]``."""
        return self._stack(lib.vitrum_sam_prediction_logits, self.size, np.float32, "float")

    @cached_property
    def low_res(self) -> NDArray[np.float32]:
        """Logits as the model predicts them: float32 ``[k, side, side]``. One of them can be a later prompt's ``mask``."""
        side = (self._mask_side, self._mask_side)
        return self._stack(lib.vitrum_sam_prediction_low_res, side, np.float32, "float")

    def rle(self, i: int | None = None) -> Rle:
        """Mask ``i`` in run lengths; the best one by default."""
        with self._handle as prediction:
            at = (prediction, self._prompt, self._index(i), self.threshold)
            counts = collect(lib.vitrum_sam_prediction_rle, *at, dtype=np.uint32, ctype="uint32_t")
        return Rle(self.size, counts)

    def polygons(self, i: int | None = None, tolerance: float = 0.0) -> list[Polygon]:
        """Mask ``i`` as polygons, exact, or with fewer corners up to ``tolerance`` pixels from its outline."""
        return self.rle(i).polygons(tolerance)

    def stats(self, i: int | None = None) -> MaskStats:
        """Area, box and scores of mask ``i``; of the best one by default."""
        stats = struct("sam_mask_stats")
        with self._handle as prediction:
            at = (prediction, self._prompt, self._index(i), self.threshold)
            call(lib.vitrum_sam_prediction_stats, *at, stats)
        left, top, width, height = stats.bounding_box
        return MaskStats(stats.area, (left, top, width, height), stats.score, stats.stability_score)

    def stability(self, i: int | None = None, offset: float = 1.0) -> float:
        """Pixels of mask ``i`` above the threshold + ``offset``, over those above the threshold - ``offset``."""
        out = ffi.new("float *")
        with self._handle as prediction:
            at = (prediction, self._prompt, self._index(i), self.threshold)
            call(lib.vitrum_sam_prediction_stability, *at, offset, out)
        return float(out[0])

    def _index(self, i: int | None) -> int:
        if i is None:
            return self.best
        count = len(self)
        if not -count <= i < count:
            raise IndexError(f"mask {i} of {count}")
        return int(i) % count

    def _stack(
        self,
        function: Callable[..., int],
        size: tuple[int, int],
        dtype: type[Scalar],
        ctype: str,
        *arguments: Any,
    ) -> NDArray[Scalar]:
        values = np.empty((len(self), *size), dtype)
        with self._handle as prediction:
            for i, plane in enumerate(values):
                out = (writable(plane, ctype), plane.size, ffi.NULL)
                call(function, prediction, self._prompt, i, *arguments, *out)
        return values

    def __repr__(self) -> str:
        scores = ", ".join(f"{score:.3f}" for score in self.scores)
        return f"<vitrum.Prediction of {len(self)} masks, {self.size[0]} x {self.size[1]}, scores {scores}>"
