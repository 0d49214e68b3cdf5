"""Masks in run lengths, as COCO stores them, and as polygons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._ffi import call, ffi, lib, readable, writable

# Comparisons of corners that joining the outlines of a part may cost: beyond, bridges start anywhere. As in the library.
_COMPARISONS = 1 << 24
# Rows of such a comparison at once, in values.
_BLOCK = 1 << 18


class Polygon(NamedTuple):
    """A connected part of a mask: pixels that touch at an edge or a corner.

    Outlines run along the edges of pixels: corner (x, y) is the left upper corner of pixel (x, y). Filling the outline
    less the holes gives the part back. Each is uint32 ``[corners, 2]``, x and y; the last corner is joined to the first.
    """

    outline: NDArray[np.uint32]
    holes: list[NDArray[np.uint32]]

    def joined(self) -> NDArray[np.uint32]:
        """One outline for formats that know no holes: a bridge without area leads to each hole and back."""
        whole, tail, budget = self.outline, [], _COMPARISONS
        for ring in self.holes:
            cost = len(whole) * len(ring)
            if cost > budget:
                tail += [whole[:1], ring, ring[:1]]
                continue
            budget -= cost
            at, start = _nearest(whole, ring)
            parts = [whole[: at + 1], ring[start:], ring[: start + 1], whole[at : at + 1], whole[at + 1 :]]
            whole = np.concatenate(parts)
        return np.concatenate([whole, *tail])


def _nearest(a: NDArray[np.uint32], b: NDArray[np.uint32]) -> tuple[int, int]:
    """Indices of the two corners that are nearest to each other; the first such pair."""
    a, b = a.astype(np.int64), b.astype(np.int64)
    rows = max(1, _BLOCK // len(b))
    best: tuple[int, int, int] | None = None
    for first in range(0, len(a), rows):
        block = a[first : first + rows, None]
        distances = (block[..., 0] - b[:, 0]) ** 2 + (block[..., 1] - b[:, 1]) ** 2
        at = int(distances.argmin())
        found = (int(distances.flat[at]), first + at // len(b), at % len(b))
        best = found if best is None else min(best, found)
    assert best is not None
    return best[1], best[2]


class Rle:
    """A mask in run lengths: of 0, of 1, of 0 and so on, down the columns from left to right, as COCO stores masks.

    ``size`` is ``(h, w)``, ``counts`` uint32 ``[runs]``.
    """

    __slots__ = ("counts", "size")

    def __init__(self, size: Sequence[int], counts: ArrayLike) -> None:
        height, width = size
        self.size: tuple[int, int] = (int(height), int(width))
        self.counts: NDArray[np.uint32] = np.asarray(counts, dtype=np.uint32)
        if (
            height < 0
            or width < 0
            or self.counts.ndim != 1
            or int(self.counts.sum(dtype=np.uint64)) != self.size[0] * self.size[1]
        ):
            raise ValueError(f"counts: runs that fill {self.size[0]} x {self.size[1]} pixels are needed")

    @classmethod
    def from_mask(cls, mask: ArrayLike) -> Rle:
        """The run lengths of a mask ``[h, w]``, in which the object is where values are not 0."""
        array = np.asarray(mask)
        if array.ndim != 2:
            raise ValueError(f"mask: shape [h, w] is needed, not {array.shape}")
        # Down the columns.
        pixels = (array != 0).T.ravel()
        changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
        # The first run is of 0, if need be of none.
        starts = [0] if pixels.size == 0 or not pixels[0] else [0, 0]
        return cls(array.shape, np.diff(np.concatenate([starts, changes, [pixels.size]])))

    @classmethod
    def from_coco(cls, segmentation: Mapping[str, Any]) -> Rle:
        """From COCO's ``{"size": [h, w], "counts": ...}``, with counts as bytes, a ``str`` or a list of runs."""
        counts = segmentation["counts"]
        if isinstance(counts, str):
            counts = counts.encode("ascii")
        return cls(segmentation["size"], _decompressed(counts) if isinstance(counts, bytes) else counts)

    def to_coco(self) -> dict[str, Any]:
        """``{"size": [h, w], "counts": bytes}``, as ``pycocotools.mask`` reads and writes masks.

        For JSON, make the counts a text: ``rle["counts"].decode()``.
        """
        return {"size": list(self.size), "counts": _compressed(self.counts)}

    def to_mask(self) -> NDArray[np.bool_]:
        """The mask: bool ``[h, w]``."""
        height, width = self.size
        values = np.arange(len(self.counts)) % 2 == 1
        return np.ascontiguousarray(np.repeat(values, self.counts).reshape(width, height).T)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a mask in run lengths must be decoded, so that there is no array without a copy")
        mask = self.to_mask()
        return mask if dtype is None else mask.astype(dtype)

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(self.counts[1::2].sum(dtype=np.uint64))

    @property
    def bbox(self) -> tuple[int, int, int, int]:
        """x, y, width and height in pixels, as ``pycocotools.mask.toBbox``; all 0 if the mask is empty."""
        height = self.size[0]
        ends = np.cumsum(self.counts, dtype=np.int64)
        starts, ends = (ends - self.counts)[1::2], ends[1::2] - 1
        starts, ends = starts[starts <= ends], ends[starts <= ends]
        if not len(starts):
            return (0, 0, 0, 0)
        left, right = int(starts[0] // height), int(ends[-1] // height)
        # A run that goes on in the next column covers the first and the last row.
        is_one_column = starts // height == ends // height
        top = int(np.where(is_one_column, starts % height, 0).min())
        bottom = int(np.where(is_one_column, ends % height, height - 1).max())
        return (left, top, right - left + 1, bottom - top + 1)

    def polygons(self, tolerance: float = 0.0) -> list[Polygon]:
        """The parts of the mask; corners that are left out are at most ``tolerance`` pixels from the outline.

        With a tolerance of 0 outlines are exact. An empty mask has no parts.
        """
        height, width = self.size
        if not self.size[0] or not self.size[1]:
            return []
        runs = readable(np.ascontiguousarray(self.counts), "uint32_t")
        mask = (runs, len(self.counts), width, height, tolerance)
        needed = ffi.new("size_t[2]")
        call(lib.vitrum_rle_polygons, *mask, ffi.NULL, 0, needed, ffi.NULL, 0, needed + 1)
        corners = np.empty((needed[0] // 2, 2), np.uint32)
        found = ffi.new("vitrum_polygon[]", needed[1])
        if len(found):
            place = (writable(corners, "uint32_t"), corners.size, ffi.NULL, found, len(found), ffi.NULL)
            call(lib.vitrum_rle_polygons, *mask, *place)
        parts: dict[int, Polygon] = {}
        for it in found:
            ring = corners[it.first : it.first + it.count]
            # The outline of a part comes before its holes.
            if it.is_hole:
                parts[it.part].holes.append(ring)
            else:
                parts[it.part] = Polygon(ring, [])
        return list(parts.values())

    def to_coco_polygons(self, tolerance: float = 0.0) -> list[list[int]]:
        """COCO's segmentation as a list of polygons ``[x, y, x, y, ...]``, one for each part.

        COCO's polygons have no holes: each hole is joined to the outline by a bridge without area. Filled, they give the
        mask back.
        """
        return [part.joined().ravel().tolist() for part in self.polygons(tolerance)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rle):
            return NotImplemented
        return self.size == other.size and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<vitrum.Rle {self.size[0]} x {self.size[1]}, {self.area} pixels in {len(self.counts)} runs>"


def _compressed(counts: NDArray[np.uint32]) -> bytes:
    """COCO's text: differences to the run before the last, 5 bits in a character, the lowest first, with a sign."""
    values = counts.astype(np.int64)
    values[3:] -= counts[1:-2].astype(np.int64)
    out = bytearray()
    for value in values.tolist():
        while True:
            bits, value = value & 0x1F, value >> 5
            is_last = value == (-1 if bits & 0x10 else 0)
            out.append((bits if is_last else bits | 0x20) + 48)
            if is_last:
                break
    return bytes(out)


def _decompressed(text: bytes) -> list[int]:
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = character - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("counts: not COCO's compressed run lengths")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift or any(not 0 <= it < 1 << 32 for it in counts):
        raise ValueError("counts: not COCO's compressed run lengths")
    return counts
