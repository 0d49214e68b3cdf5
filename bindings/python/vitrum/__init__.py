"""CLIP, SAM and SAM 2 on CPUs: numpy arrays in, numpy arrays out.

    clip = vitrum.Clip("path/to/clip")
    clip.classify("photo.jpg", ["cat", "dog"])

    sam = vitrum.Sam("path/to/sam")
    embedding = sam.encode("photo.jpg")
    mask = sam.predict(embedding, points=[[320, 200]]).best_mask

    tracker = vitrum.Tracker(vitrum.Sam("path/to/sam2"), width=640, height=480)

A picture is a uint8 array ``[h, w, 3]`` in RGB (or with ``format="bgr"`` as OpenCV has it), ``[h, w, 4]`` or ``[h, w]``,
with any strides; a PIL image; or the path of a file. PIL images and files are turned as their EXIF orientation says,
transparency is dropped, and of 16 bits the upper 8 are taken, as the command ``vitrum`` does.

Models may be shared by threads, which then work at the same time. They do not survive a fork: load them in the child.
"""

from __future__ import annotations

from ._clip import Activation, Clip
from ._context import Context, Isa, Limits
from ._embedding import Embedding
from ._errors import (
    Cancelled,
    Error,
    ImageError,
    InvalidArgumentError,
    ModelError,
    NonFiniteError,
    NotFoundError,
    OutOfMemoryError,
    ReadError,
    Status,
    UnsupportedError,
)
from ._ffi import __version__, library_path
from ._image import Format, Image, Nv12
from ._long import Progress
from ._model import Weights
from ._prediction import MaskStats, Prediction
from ._prompt import Prompt
from ._records import EverythingOptions, Match, Record
from ._rle import Polygon, Rle
from ._sam import Sam
from ._search import QuantizedVectors, quantize_vectors, topk
from ._tracker import Direction, Tracker
from ._tracker_options import TrackerOptions, TrackStats
from ._zero_shot import ZeroShotClassifier

__all__ = [
    "Activation",
    "Cancelled",
    "Clip",
    "Context",
    "Direction",
    "Embedding",
    "Error",
    "EverythingOptions",
    "Format",
    "Image",
    "ImageError",
    "InvalidArgumentError",
    "Isa",
    "Limits",
    "MaskStats",
    "Match",
    "ModelError",
    "NonFiniteError",
    "NotFoundError",
    "Nv12",
    "OutOfMemoryError",
    "Polygon",
    "Prediction",
    "Progress",
    "Prompt",
    "QuantizedVectors",
    "ReadError",
    "Record",
    "Rle",
    "Sam",
    "Status",
    "TrackStats",
    "Tracker",
    "TrackerOptions",
    "UnsupportedError",
    "Weights",
    "ZeroShotClassifier",
    "__version__",
    "library_path",
    "quantize_vectors",
    "topk",
]

# Tracebacks and pickles name what users import.
for _it in list(globals().values()):
    if isinstance(_it, type) and _it.__module__.startswith("vitrum."):
        _it.__module__ = "vitrum"
del _it
