"""What is found in a whole picture: records of masks, and how to look for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._ffi import contiguous, count, ffi, lib, readable, struct
from ._long import LongCall, Progress
from ._rle import Rle


class EverythingOptions(TypedDict, total=False):
    """How ``Sam.everything`` finds masks. Names and defaults are those of segment-anything's automatic generator."""

    #: Points along each side of the regular grid of clicks; 32.
    points_per_side: int
    #: Points that go through the mask decoder at once; 64. More need more memory.
    points_per_batch: int
    #: Layers of crops that are segmented in addition to the whole picture; 0.
    crop_n_layers: int
    #: In layer i of crops, points_per_side is divided by this to the power of i; 1.
    crop_n_points_downscale_factor: int
    #: Holes and islands of a smaller area are removed; 0. SAM counts pixels, SAM 2 values of the low-resolution mask.
    min_mask_region_area: int
    #: Masks whose predicted IoU is not above this are dropped; 0.88, with a SAM 2 that can track 0.8.
    pred_iou_thresh: float
    #: Masks whose stability score is below this are dropped; 0.95.
    stability_score_thresh: float
    #: Offset of the two thresholds that the stability score compares, in logits; 1.
    stability_score_offset: float
    #: Of two masks whose boxes have a greater IoU than this, the better one is kept; 0.7.
    box_nms_thresh: float
    #: The same for masks from different crops; 0.7.
    crop_nms_thresh: float
    #: Overlap of the crops of the first layer, of the picture's shorter side; 512/1500.
    crop_overlap_ratio: float
    #: Each mask is refined once; False.
    use_m2m: bool
    #: One mask for each point, not three; False.
    single_mask: bool
    #: Points that take the place of regular grids: an array [n, 2], from 0 to 1, for the picture and each layer of crops.
    point_grids: Sequence[ArrayLike]


_INTEGERS = (
    "points_per_side",
    "points_per_batch",
    "crop_n_layers",
    "crop_n_points_downscale_factor",
    "min_mask_region_area",
)
_FLAGS = ("use_m2m", "single_mask")


def everything_options(options: Mapping[str, Any], sam: Any = None) -> tuple[Any, list[Any]]:
    """The C struct, NULL for no options, and what must be kept alive with it. What is left out are the defaults of ``sam``."""
    if not options:
        return ffi.NULL, []
    c_options, kept = struct("sam_everything_options"), []
    if sam is not None:
        lib.vitrum_sam_everything_defaults(sam, c_options, ffi.sizeof("vitrum_sam_everything_options"))
    for name, value in options.items():
        if name not in EverythingOptions.__annotations__:
            known = ", ".join(EverythingOptions.__annotations__)
            raise TypeError(f"{name}: no such option; there are {known}")
        if name == "point_grids":
            grids = [contiguous(grid, np.float64) for grid in value]
            if any(grid.ndim != 2 or grid.shape[1] != 2 for grid in grids):
                raise ValueError("point_grids: arrays of shape [n, 2] are needed")
            buffers = [readable(grid, "double") for grid in grids]
            array = ffi.new("vitrum_point_grid[]", [(buffer, len(buffer) // 2) for buffer in buffers])
            c_options.point_grids, c_options.point_grid_count = array, len(array)
            kept += [array, buffers]
            continue
        if name in _INTEGERS:
            setattr(c_options, name, count(name, value))
        else:
            setattr(c_options, name, bool(value) if name in _FLAGS else float(value))
    return c_options, kept


@dataclass(frozen=True, eq=False)
class Record:
    """A mask that was found."""

    #: The mask in run lengths.
    rle: Rle
    #: Pixels of the mask.
    area: int
    #: x, y, width and height of the box from the first pixel to the last: as in segment-anything, width and height are 1
    #: less than ``rle.bbox`` counts.
    bbox: tuple[int, int, int, int]
    #: The IoU (intersection over union) with the object that the model predicts.
    predicted_iou: float
    #: Pixels of the mask at a higher threshold, over those at a lower one.
    stability_score: float
    #: x and y of the click that gave the mask.
    point: tuple[float, float]
    #: x, y, width and height of the crop in which it was found.
    crop_box: tuple[int, int, int, int]

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """The mask: bool ``[h, w]``, decoded when it is first asked for."""
        return self.rle.to_mask()

    def as_dict(self) -> dict[str, Any]:
        """The record as segment-anything's generator has it, with the mask as an array in ``"segmentation"``."""
        return {
            "segmentation": self.mask,
            "area": self.area,
            "bbox": list(self.bbox),
            "predicted_iou": self.predicted_iou,
            "point_coords": [list(self.point)],
            "stability_score": self.stability_score,
            "crop_box": list(self.crop_box),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the mask, which can be decoded again.
        return Record, tuple(getattr(self, name) for name in Record.__annotations__)

    @classmethod
    def of(cls, record: Any) -> Record:
        """Copies what the library owns."""
        counts = np.frombuffer(ffi.buffer(record.counts, record.count_size * 4), np.uint32).copy()
        return cls(
            Rle((record.height, record.width), counts),
            record.area,
            tuple(record.bounding_box),
            record.predicted_iou,
            record.stability_score,
            tuple(record.point),
            tuple(record.crop_box),
        )


@dataclass(frozen=True, eq=False)
class Match:
    """A mask that answers a text."""

    #: The text.
    text: str
    #: Which of the texts it is.
    index: int
    #: That this text, and no other, names the mask.
    probability: float
    #: The mask.
    record: Record


class Finding(LongCall):
    """A call that hands out records: ``take`` gets each one, which is the library's until it returns."""

    def __init__(self, progress: Progress | None, take: Callable[..., None]) -> None:
        super().__init__(progress)
        self.take = take


@ffi.callback("int32_t(void *, const vitrum_sam_record *)")  # type: ignore[untyped-decorator, unused-ignore]
def on_record(user: Any, record: Any) -> int:
    it: Finding = ffi.from_handle(user)
    return it.guarded(it.take, record)


@ffi.callback("int32_t(void *, size_t, float, const vitrum_sam_record *)")  # type: ignore[untyped-decorator, unused-ignore]
def on_match(user: Any, text: int, probability: float, record: Any) -> int:
    it: Finding = ffi.from_handle(user)
    return it.guarded(it.take, text, probability, record)
