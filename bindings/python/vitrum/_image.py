"""Pictures: from arrays, PIL images and files to what the library reads, without a copy where that is possible."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, Union

import numpy as np
from numpy.typing import NDArray

from ._ffi import ffi, lib, struct

if TYPE_CHECKING:
    from typing import Literal, TypeAlias


class SupportsArrayInterface(Protocol):
    """An object with numpy's ``__array_interface__``, such as a PIL image."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


class SupportsArray(Protocol):
    """An object with ``__array__``, such as a tensor of PyTorch on the CPU."""

    def __array__(self, *args: Any, **kwargs: Any) -> NDArray[Any]: ...


class Nv12:
    """A frame as cameras and video decoders give it.

    ``luma`` is uint8 ``[h, w]``; ``chroma`` uint8 ``[(h + 1) // 2, (w + 1) // 2, 2]``, a pair of U and V for every 2 x 2
    pixels. ``matrix`` is ``"bt601"`` or ``"bt709"``. Not ``full_range``: luma from 16 to 235, as in most videos.
    """

    def __init__(
        self,
        luma: NDArray[np.uint8],
        chroma: NDArray[np.uint8],
        *,
        matrix: Literal["bt601", "bt709"] = "bt601",
        full_range: bool = False,
    ) -> None:
        if matrix not in ("bt601", "bt709"):
            raise ValueError(f"matrix: 'bt601' or 'bt709', not {matrix!r}")
        for name, plane, dimensions in (("luma", luma, 2), ("chroma", chroma, 3)):
            if not isinstance(plane, np.ndarray) or plane.dtype != np.uint8 or plane.ndim != dimensions:
                raise TypeError(f"{name}: a uint8 array with {dimensions} dimensions is needed")
        height, width = luma.shape
        expected = ((height + 1) // 2, (width + 1) // 2, 2)
        if chroma.shape != expected:
            raise ValueError(f"chroma: shape {expected} belongs to luma of shape {luma.shape}, not {chroma.shape}")
        self.luma, self.chroma = luma, chroma
        self.matrix, self.full_range = matrix, bool(full_range)


#: What is taken for a picture: a uint8 array ``[h, w, 3]``, ``[h, w, 4]``, ``[h, w]`` or ``[h, w, 1]``, or an object with
#: ``__array_interface__`` or ``__array__`` that gives one; a PIL image; the path of a file; ``Nv12``.
Image: TypeAlias = Union["NDArray[np.uint8]", SupportsArrayInterface, SupportsArray, str, "os.PathLike[str]", Nv12]
#: The order of an array's channels.
Format: TypeAlias = "Literal['rgb', 'bgr', 'rgba', 'bgra', 'gray']"

_FORMATS = {
    ("rgb", 3): lib.VITRUM_PIXEL_RGB8,
    ("bgr", 3): lib.VITRUM_PIXEL_BGR8,
    ("rgb", 4): lib.VITRUM_PIXEL_RGBA8,
    ("bgr", 4): lib.VITRUM_PIXEL_BGRA8,
    ("rgba", 4): lib.VITRUM_PIXEL_RGBA8,
    ("bgra", 4): lib.VITRUM_PIXEL_BGRA8,
    ("rgb", 1): lib.VITRUM_PIXEL_GRAY8,
    ("bgr", 1): lib.VITRUM_PIXEL_GRAY8,
    ("gray", 1): lib.VITRUM_PIXEL_GRAY8,
}


class View:
    """A picture that the library can read, and the memory that it lies in."""

    __slots__ = ("_kept", "height", "image", "width")

    def __init__(self, picture: Any, format: str, argument: str) -> None:
        self.image: Any = struct("image")
        if isinstance(picture, Nv12):
            luma, chroma = _rows(picture.luma), _rows(picture.chroma)
            self._set(luma, lib.VITRUM_PIXEL_NV12)
            self.image.chroma = ffi.cast("uint8_t *", chroma.ctypes.data)
            self.image.chroma_stride = _stride(chroma)
            bt709 = picture.matrix == "bt709"
            self.image.yuv_matrix = lib.VITRUM_YUV_BT709 if bt709 else lib.VITRUM_YUV_BT601
            self.image.yuv_full_range = picture.full_range
            self._kept = [luma, chroma]
            return
        if format not in ("rgb", "bgr", "rgba", "bgra", "gray"):
            raise ValueError(f"format: 'rgb', 'bgr', 'rgba', 'bgra' or 'gray', not {format!r}")
        array, is_decoded = _array_of(picture, argument)
        channels = 1 if array.ndim == 2 else array.shape[2]
        # `format` tells about arrays; what was read from a file or from PIL is known to be RGB.
        layout = _FORMATS.get(("rgb" if is_decoded else format, channels))
        if layout is None:
            raise ValueError(f"{argument}: format {format!r} does not go with {channels} channels")
        rows = _rows(array)
        self._set(rows, layout)
        self._kept = [rows]

    def _set(self, rows: NDArray[np.uint8], layout: int) -> None:
        self.height, self.width = rows.shape[:2]
        self.image.format = layout
        self.image.data = ffi.cast("uint8_t *", rows.ctypes.data)
        self.image.width, self.image.height = self.width, self.height
        self.image.row_stride = _stride(rows)


def _stride(rows: NDArray[np.uint8]) -> int:
    # numpy may say anything about the stride of a dimension of length 1.
    return rows.strides[0] if rows.shape[0] > 1 else rows[0].size


def _rows(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The array itself if each row has no gaps and begins behind the one before it; otherwise a copy."""
    is_readable = array[0].flags.c_contiguous and (array.shape[0] == 1 or array.strides[0] >= array[0].size)
    return array if is_readable else np.ascontiguousarray(array)


def _array_of(picture: Any, argument: str) -> tuple[NDArray[np.uint8], bool]:
    """The picture as a uint8 array of two or three dimensions, and whether its channels are known to be RGB."""
    if isinstance(picture, (str, os.PathLike)):
        return _of_file(picture, argument), True
    if _is_of_pil(picture):
        return _of_pil(picture, argument), True
    if not isinstance(picture, np.ndarray):
        if not hasattr(picture, "__array_interface__") and not hasattr(picture, "__array__"):
            advice = "; decode it with PIL.Image.open(io.BytesIO(...))" if isinstance(picture, bytes) else ""
            raise TypeError(
                f"{argument}: a picture is a uint8 array, a PIL image or a path, not {type(picture).__name__}{advice}"
            )
        picture = np.asarray(picture)
    if picture.dtype != np.uint8:
        raise TypeError(f"{argument}: pixels are uint8, from 0 to 255, not {picture.dtype}{_advice(picture.dtype)}")
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] not in (1, 3, 4)):
        advice = ""
        if picture.ndim == 3 and picture.shape[0] in (1, 3, 4):
            advice = "; channels come last: numpy.moveaxis(a, 0, -1)"
        raise ValueError(f"{argument}: a picture has shape [h, w], [h, w, 3] or [h, w, 4], not {picture.shape}{advice}")
    if picture.size == 0:
        raise ValueError(f"{argument}: a picture without pixels, of shape {picture.shape}")
    return picture, False


def _is_of_pil(picture: Any) -> bool:
    # If nobody has imported Pillow, it cannot be one of its images.
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(picture, pil.Image)


def _advice(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "f":
        return "; if they go from 0 to 1: (a * 255).round().astype(numpy.uint8)"
    if dtype == np.uint16:
        return "; if they go to 65535: (a >> 8).astype(numpy.uint8)"
    if dtype == np.bool_:
        return "; a * numpy.uint8(255) makes a picture of a mask"
    return "; a.astype(numpy.uint8) if they go from 0 to 255"


def _of_file(path: Any, argument: str) -> NDArray[np.uint8]:
    try:
        from PIL import Image as pil
    except ImportError:
        raise ImportError(f"{argument}: paths are opened by Pillow: pip install pillow") from None
    with pil.open(path) as image:
        return _of_pil(image, argument)


def _of_pil(image: Any, argument: str) -> NDArray[np.uint8]:
    """As the command `vitrum` reads files: turned as EXIF says, transparency dropped, the upper 8 of 16 bits."""
    from PIL import ImageOps

    is_of_file = getattr(image, "format", None) is not None
    image = ImageOps.exif_transpose(image)
    mode = image.mode
    if mode in ("L", "RGB", "RGBA"):
        return np.asarray(image)
    if mode.startswith("I;16") or (mode == "I" and is_of_file):
        # In mode "I", too, older versions of Pillow read 16 bits.
        values = np.asarray(image)
        if values.min() >= 0 and values.max() <= 0xFFFF:
            return (values >> 8).astype(np.uint8)
    if mode in ("I", "F"):
        raise TypeError(f"{argument}: a PIL image of mode {mode!r} has no fixed range; make it uint8 first")
    return np.asarray(image.convert("L" if mode in ("LA", "La") else "RGB"))


def views(pictures: Any, format: str, argument: str) -> Iterator[View]:
    """Many pictures, or one that stands alone, one view after the other."""
    is_alone = isinstance(pictures, (str, os.PathLike, Nv12)) or _is_of_pil(pictures)
    if not isinstance(pictures, (list, tuple)) and not is_alone:
        is_array = hasattr(pictures, "__array_interface__") or hasattr(pictures, "__array__")
        is_alone = is_array and np.ndim(pictures) <= 3
    for i, picture in enumerate([pictures] if is_alone else pictures):
        yield View(picture, format, argument if is_alone else f"{argument}[{i}]")
