"""Prompts: clicks, boxes and earlier masks, checked before the library gets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._ffi import contiguous, ffi, readable, struct


@dataclass(frozen=True, eq=False)
class Prompt:
    """All that is said about one object, in pixels of the picture. Nothing at all means the most prominent one.

    Attributes:
        points: Clicks, ``[n, 2]``, x and y.
        labels: ``[n]``: 1 for a click on the object, 0 for one on what it is not, -1 for padding. ``None``: all 1.
        box: Left, top, right and bottom: ``[4]``.
        mask: Logits of an earlier mask of this object, from ``Prediction.low_res[i]``: float32 ``[side, side]``.
    """

    points: ArrayLike | None = None
    labels: ArrayLike | None = None
    box: ArrayLike | None = None
    mask: ArrayLike | None = None


def _points(prompt: Prompt) -> NDArray[Any]:
    """Clicks as the C struct has them."""
    if prompt.points is None:
        if prompt.labels is not None:
            raise ValueError("labels: without points there is nothing to label")
        return np.empty(0, _POINT)
    points = np.asarray(prompt.points, dtype=np.float32)
    points = points.reshape(0, 2) if points.size == 0 else points
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points: shape [n, 2] is needed, not {points.shape}")
    labels = np.ones(len(points)) if prompt.labels is None else np.asarray(prompt.labels)
    if labels.shape != (len(points),):
        raise ValueError(f"labels: shape [{len(points)}], one for each point, is needed, not {labels.shape}")
    if not np.isin(labels, (-1, 0, 1)).all():
        raise ValueError("labels: 1 (the object), 0 (not the object) or -1 (padding)")
    out = np.empty(len(points), _POINT)
    out["x"], out["y"], out["label"] = points[:, 0], points[:, 1], labels
    return out


_POINT = np.dtype([("x", np.float32), ("y", np.float32), ("label", np.int32)])
assert _POINT.itemsize == ffi.sizeof("vitrum_point")


class CPrompts:
    """Prompts as the library reads them, in the memory that this object owns."""

    def __init__(self, prompts: list[Prompt]) -> None:
        self.array: Any = ffi.new("vitrum_sam_prompt[]", len(prompts))
        self._kept: list[Any] = []
        for i, prompt in enumerate(prompts):
            if not isinstance(prompt, Prompt):
                raise TypeError(f"prompts[{i}]: a vitrum.Prompt is needed, not {type(prompt).__name__}")
            self.array[i] = self._filled(prompt)[0]

    def __len__(self) -> int:
        return len(self.array)

    def _filled(self, prompt: Prompt) -> Any:
        it = struct("sam_prompt")
        points = _points(prompt)
        if len(points):
            buffer = readable(points, "uint8_t")
            it.points, it.point_count = ffi.cast("vitrum_point *", buffer), len(points)
            self._kept.append(buffer)
        if prompt.box is not None:
            box = np.asarray(prompt.box, dtype=np.float32)
            if box.shape != (4,):
                several = "; for several, use predict_many" if box.ndim == 2 else ""
                raise ValueError(f"box: shape [4] is needed, not {box.shape}{several}")
            it.has_box, it.bounding_box = 1, box.tolist()
        if prompt.mask is not None:
            mask = contiguous(prompt.mask, np.float32)
            if mask.ndim not in (2, 3) or mask.shape[-1] != mask.shape[-2] or mask.size != mask.shape[-1] ** 2:
                raise ValueError(f"mask: logits [side, side] of Prediction.low_res are needed, not {mask.shape}")
            buffer = readable(mask, "float")
            it.mask, it.mask_size = buffer, mask.size
            self._kept.append(buffer)
        return it
