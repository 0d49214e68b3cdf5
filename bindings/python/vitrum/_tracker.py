"""SAM 2 on video: objects are pointed at on any frame and followed through the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._ffi import Handle, Owner, Scalar, call, collect, count, ffi, lib, readable, struct
from ._image import Format, Image, View
from ._long import Progress, run_long
from ._model import choice
from ._prompt import CPrompts, Prompt
from ._rle import Polygon, Rle
from ._sam import Sam
from ._tracker_options import TrackerOptions, TrackStats, tracker_options

if TYPE_CHECKING:
    from typing import TypeAlias

    from typing_extensions import Self, Unpack

Direction: TypeAlias = "Literal['forward', 'backward']"

_DIRECTIONS = {"forward": lib.VITRUM_DIRECTION_FORWARD, "backward": lib.VITRUM_DIRECTION_BACKWARD}


class Tracker(Owner):
    """Objects followed through one video, in memory that does not grow with it.

    Frames are numbered from 0; the caller chooses the numbers of objects. Where a ``frame`` is asked for, ``None`` is the
    one pushed last. One thread may use a tracker at a time: a call of another one meanwhile raises ``RuntimeError``. A
    call that fails or is stopped leaves the tracker as it was.

    Args:
        sam: A SAM 2 for videos.
        width: Width of the frames in pixels.
        height: Height of the frames in pixels.
        options: :class:`TrackerOptions`.

    Raises:
        UnsupportedError: ``sam`` is not SAM 2, or its checkpoint is for pictures only.
        ValueError: An option outside its domain, or an impossible size.
        TypeError: An unknown option.
    """

    def __init__(self, sam: Sam, width: int, height: int, **options: Unpack[TrackerOptions]) -> None:
        self._prepare()
        with sam._handle as model:
            call(lib.vitrum_tracker_new, model, *_size(width, height), tracker_options(options), self._handle.place)

    def _prepare(self) -> None:
        self._handle = Handle("tracker")
        self._lock = threading.Lock()
        # Whether the current frame was pushed or prompted since it was tracked.
        self._is_pending = False

    @classmethod
    def restore(cls, sam: Sam, saved: bytes) -> Self:
        """The tracker that ``save`` wrote. The bytes need not be trusted.

        Raises:
            ModelError: They are damaged.
            ValueError: They are of another model, or of another input size.
        """
        self = cls.__new__(cls)
        self._prepare()
        buffer = readable(saved, "uint8_t")
        with sam._handle as model:
            call(lib.vitrum_tracker_load, model, buffer, len(buffer), self._handle.place)
        return self

    def save(self) -> bytes:
        """Bytes for a file; ``restore`` makes them a tracker again, on any machine, which gives the same results."""
        with self._alone() as tracker:
            return collect(lib.vitrum_tracker_save, tracker, dtype=np.uint8, ctype="uint8_t").tobytes()

    @staticmethod
    def memory_limit(sam: Sam, width: int, height: int, **options: Unpack[TrackerOptions]) -> int:
        """The most bytes that a tracker with these arguments ever holds. Most hold much less."""
        limit = ffi.new("size_t *")
        with sam._handle as model:
            call(lib.vitrum_tracker_memory_limit, model, *_size(width, height), tracker_options(options), limit)
        return int(limit[0])

    @contextmanager
    def _alone(self) -> Iterator[Any]:
        """Holds the tracker for one call; the library has no lock of its own."""
        if not self._lock.acquire(blocking=False):
            raise RuntimeError("this tracker is in use by another call: give each thread a tracker of its own")
        try:
            with self._handle as tracker:
                yield tracker
        finally:
            self._lock.release()

    def _number(self, function: Callable[[Any], int]) -> int:
        with self._alone() as tracker:
            return int(function(tracker))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self._number(lib.vitrum_tracker_height), self._number(lib.vitrum_tracker_width)

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory that the tracker occupies now."""
        return self._number(lib.vitrum_tracker_memory_bytes)

    @property
    def frame(self) -> int:
        """The number of the current frame, the one pushed last; -1 before the first."""
        return self._number(lib.vitrum_tracker_frame)

    @property
    def held_frames(self) -> list[int]:
        """The frames that are held, in the order in which they were pushed."""
        return self._list(lib.vitrum_tracker_held_frames, np.int64, "int64_t")

    @property
    def objects(self) -> list[int]:
        """The numbers of the objects, in the order in which they were added."""
        return self._list(lib.vitrum_tracker_objects, np.uint32, "uint32_t")

    def _list(self, function: Callable[..., int], dtype: type[Scalar], ctype: str) -> list[int]:
        with self._alone() as tracker:
            return [int(it) for it in collect(function, tracker, dtype=dtype, ctype=ctype)]

    def push(
        self,
        image: Image,
        *,
        frame: int | None = None,
        format: Format = "rgb",
        progress: Progress | None = None,
    ) -> int:
        """Takes the next frame of the video and returns its number; encodes it, once for all objects.

        With ``frame`` it is frame number ``frame`` of a video that can be read in any order.

        Raises:
            ValueError: A picture of another size than the tracker's, or a number outside the video.
            Cancelled: ``progress`` returned ``False``.
        """
        view, number = View(image, format, "image"), ffi.new("int64_t *")

        def push(report: Any, user: Any, error: Any) -> int:
            with self._alone() as tracker:
                if frame is None:
                    it = lib.vitrum_tracker_push_frame(tracker, view.image, report, user, number, error)
                else:
                    number[0] = _frame(frame)
                    it = lib.vitrum_tracker_push_frame_at(tracker, number[0], view.image, report, user, error)
                return int(it)

        run_long(push, progress)
        self._is_pending = True
        return int(number[0])

    def add_points(
        self,
        object: int,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        *,
        frame: int | None = None,
        keep_earlier: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Says by clicks, by a box, or by both where object number ``object`` is on a frame that is held.

        ``points``, ``labels`` and ``box`` are those of :class:`Prompt`. The first prompt with a new number adds the
        object. Its mask on this frame can be read at once; other frames change with the next step. ``keep_earlier`` adds
        the clicks to those of earlier prompts.

        Raises:
            ValueError: A frame that is not held, an empty prompt, or arrays of other shapes.
            InvalidArgumentError: Too many objects, with the code ``Status.LIMIT``.
            Cancelled: ``progress`` returned ``False``.
        """
        prompt, options = CPrompts([Prompt(points, labels, box)]), struct("tracker_prompt_options")
        options.keep_earlier = bool(keep_earlier)
        where = (_frame(frame), count("object", object), prompt.array, options)
        self._long(lib.vitrum_tracker_add_points, where, progress, leaves_pending=True)

    def add_mask(
        self, object: int, mask: ArrayLike, *, frame: int | None = None, progress: Progress | None = None
    ) -> None:
        """Says by a mask ``[h, w]`` in the size of the frames where an object is: where its values are not 0.

        A mask without such a pixel means that the object is not visible. Otherwise as ``add_points``.
        """
        pixels = np.asarray(mask)
        if pixels.shape != self.size:
            raise ValueError(f"mask: the shape of the frames {self.size} is needed, not {pixels.shape}")
        height, width = pixels.shape
        buffer = readable(np.ascontiguousarray(pixels != 0).view(np.uint8), "uint8_t")
        where = (_frame(frame), count("object", object), buffer, width, height)
        self._long(lib.vitrum_tracker_add_mask, where, progress, leaves_pending=True)

    def step(
        self,
        frame: int | None = None,
        direction: Direction = "forward",
        *,
        progress: Progress | None = None,
    ) -> None:
        """Follows all objects to the current frame, or to a held one, coming from either side.

        Raises:
            ValueError: There is no frame or no object, or an object has no prompts any more.
            Cancelled: ``progress`` returned ``False``.
        """
        towards = choice("direction", direction, _DIRECTIONS)
        if frame is None and direction == "forward":
            self._long(lib.vitrum_tracker_step, (), progress)
        else:
            at = self.frame if frame is None else _frame(frame)
            self._long(lib.vitrum_tracker_step_at, (at, towards), progress)

    def _long(
        self,
        function: Callable[..., int],
        arguments: tuple[Any, ...],
        progress: Progress | None,
        leaves_pending: bool = False,
    ) -> None:
        def run(report: Any, user: Any, error: Any) -> int:
            with self._alone() as tracker:
                return int(function(tracker, *arguments, report, user, error))

        run_long(run, progress)
        self._is_pending = leaves_pending

    def propagate(
        self,
        frames: Iterable[Image],
        direction: Direction = "forward",
        *,
        first: int | None = None,
        format: Format = "rgb",
        threshold: float = 0.0,
    ) -> Iterator[tuple[int, dict[int, NDArray[np.bool_]]]]:
        """Follows all objects through ``frames``: yields the number of each frame and its masks, bool ``[h, w]``.

        The frames are those after the current one; the current one is tracked and yielded first if it was pushed or
        prompted since the last step. So, for a list of all frames::

            tracker.push(video[0])
            tracker.add_points(1, [[320, 200]])
            for frame, masks in tracker.propagate(video[1:]):
                ...

        With ``direction="backward"`` (and the option ``both_directions``) the frames are those before the current one, the
        nearest first. ``first`` is the number of the first of ``frames`` if it is not the current one's neighbour. Frames
        that are held are not encoded again. Objects can be added and corrected between two frames.
        """
        step = 1 if choice("direction", direction, _DIRECTIONS) == lib.VITRUM_DIRECTION_FORWARD else -1
        if self._is_pending and first is None:
            self.step(direction=direction)
            yield self.frame, self.masks(threshold=threshold)
        number = self.frame + step if first is None else first
        for image in frames:
            if number not in self.held_frames:
                self.push(image, frame=number, format=format)
            self.step(number, direction)
            yield number, self.masks(number, threshold=threshold)
            number += step

    def has_mask(self, object: int, frame: int | None = None) -> bool:
        """Whether there is a mask of an object on a frame."""
        number, at = count("object", object), _frame(frame)
        return bool(self._number(lambda tracker: lib.vitrum_tracker_has_mask(tracker, number, at)))

    def masks(self, frame: int | None = None, *, threshold: float = 0.0) -> dict[int, NDArray[np.bool_]]:
        """The masks of all objects that have one on a frame: bool ``[h, w]`` by the object's number."""
        present = [it for it in self.objects if self.has_mask(it, frame)]
        return {it: self.mask(it, frame, threshold=threshold) for it in present}

    def mask(self, object: int, frame: int | None = None, *, threshold: float = 0.0) -> NDArray[np.bool_]:
        """The mask of an object: bool ``[h, w]``.

        Raises:
            ValueError: An unknown object, or a frame without a mask of it.
        """
        pixels = self._values(lib.vitrum_tracker_mask, object, frame, threshold, dtype=np.uint8, ctype="uint8_t")
        return pixels.reshape(self.size).view(np.bool_)

    def rle(self, object: int, frame: int | None = None, *, threshold: float = 0.0) -> Rle:
        """The mask in run lengths. Errors as of ``mask``."""
        counts = self._values(lib.vitrum_tracker_rle, object, frame, threshold, dtype=np.uint32, ctype="uint32_t")
        return Rle(self.size, counts)

    def polygons(
        self, object: int, frame: int | None = None, *, tolerance: float = 0.0, threshold: float = 0.0
    ) -> list[Polygon]:
        """The mask as polygons. Errors as of ``mask``."""
        return self.rle(object, frame, threshold=threshold).polygons(tolerance)

    def logits(self, object: int, frame: int | None = None) -> NDArray[np.float32]:
        """Logits in the size of the frames: float32 ``[h, w]``. Errors as of ``mask``."""
        values = self._values(lib.vitrum_tracker_logits, object, frame, dtype=np.float32, ctype="float")
        return values.reshape(self.size)

    def low_res(self, object: int, frame: int | None = None) -> NDArray[np.float32]:
        """Logits as the model predicts them: float32 ``[side, side]``. Errors as of ``mask``."""
        values = self._values(lib.vitrum_tracker_low_res, object, frame, dtype=np.float32, ctype="float")
        side = round(values.size**0.5)
        return values.reshape(side, side)

    def stats(self, object: int, frame: int | None = None, *, threshold: float = 0.0) -> TrackStats:
        """Area, box and scores of the mask. Errors as of ``mask``."""
        stats = struct("tracker_stats")
        with self._alone() as tracker:
            call(lib.vitrum_tracker_mask_stats, tracker, count("object", object), _frame(frame), threshold, stats)
        left, top, width, height = stats.bounding_box
        return TrackStats(stats.area, (left, top, width, height), stats.object_score, stats.score)

    def _values(
        self,
        function: Callable[..., int],
        object: int,
        frame: int | None,
        *arguments: Any,
        dtype: type[Scalar],
        ctype: str,
    ) -> NDArray[Scalar]:
        with self._alone() as tracker:
            return collect(
                function, tracker, count("object", object), _frame(frame), *arguments, dtype=dtype, ctype=ctype
            )

    def clear_prompts(self, object: int, frame: int | None = None) -> None:
        """Takes back what was said about an object on a frame. Without any prompts it must be prompted or removed."""
        with self._alone() as tracker:
            call(lib.vitrum_tracker_clear_prompts, tracker, _frame(frame), count("object", object))

    def remove_object(self, object: int) -> None:
        """Forgets an object.

        Raises:
            ValueError: There is no such object.
        """
        with self._alone() as tracker:
            call(lib.vitrum_tracker_remove_object, tracker, count("object", object))

    def reset(self) -> None:
        """Forgets all objects and their prompts. Frames stay held."""
        with self._alone() as tracker:
            call(lib.vitrum_tracker_reset, tracker)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a tracker does not pickle: save() gives bytes, and Tracker.restore(sam, bytes) the tracker")


def _size(width: int, height: int) -> tuple[int, int]:
    return count("width", width), count("height", height)


def _frame(frame: int | None) -> int:
    return int(lib.VITRUM_FRAME_CURRENT) if frame is None else count("frame", frame, 2**63 - 1)
