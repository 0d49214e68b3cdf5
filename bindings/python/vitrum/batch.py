"""CLIP and SAM over tables of pictures: what each worker process of a job on many machines runs.

    from vitrum import batch

    task = batch.Embed("path/to/clip")
    task.columns({"path": ["a.jpg", "b.png"], "bytes": [a, b]})  # {"path": [...], "embedding": [...], "error": [...]}

A task knows no engine. Ray Data calls it with batches of columns (``__call__`` returns an Arrow table), Spark's
``mapInPandas`` with frames (``frames``); ``examples/many_ray.py`` and ``examples/many_spark.py`` are whole programs.

A task pickles as its settings. The model is loaded where the first batch arrives, once for a process, and stays there for
later batches and later tasks of the same settings. A picture that cannot be read becomes a row with a text in ``error``
and nulls in the place of results. What is wrong with the job, such as a model that is not there, is raised.

Threads: one for a worker by default. A machine is full with one worker for each core, and pictures are independent of each
other. Threads that share a picture would wait for each other after each step, and all but one of them while it is decoded.
More threads for fewer workers save memory, since each process has a model of its own.
"""

from __future__ import annotations

import functools
import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ._clip import DEFAULT_TEMPLATE, Clip
from ._context import Context
from ._errors import ImageError
from ._image import _of_pil
from ._model import Weights
from ._prompt import Prompt
from ._records import EverythingOptions, everything_options
from ._rle import Rle
from ._sam import Sam
from ._zero_shot import ZeroShotClassifier

if TYPE_CHECKING:
    import pandas
    import pyarrow

__all__ = ["Classify", "Columns", "Embed", "Segment", "Task"]

# Decoded pictures in memory at the same time. CLIP gains up to a tenth from 8 at once.
_AT_ONCE = 8
# Prompts that go through SAM's mask decoder at once, as `everything` has it.
_PROMPTS_AT_ONCE = 64


class Columns(Protocol):
    """Columns by name: a dict of lists or numpy arrays, a pandas DataFrame, or an Arrow table."""

    def __getitem__(self, name: str, /) -> Any: ...


class Task:
    """What all tasks have in common.

    Args:
        model: The model's directory or file, at the same place on every machine.
        weights: What weights are kept as, such as ``"int8"``; ``None``: as the files have them.
        threads: Threads of a worker process.
        path: The column, of strings, that names a row. It is the first column of the results.
        contents: The column of encoded pictures (JPEG, PNG, ...) as bytes. ``None``: the files that ``path`` names are read.

    Columns of the results: ``path`` (string), those of the task, ``error`` (string, null if all went well).
    """

    # The task's own columns.
    _names: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        weights: Weights | None = None,
        threads: int = 1,
        path: str = "path",
        contents: str | None = "bytes",
    ) -> None:
        # Workers have other working directories.
        self.model = os.path.abspath(os.fspath(model))
        self.weights, self.threads, self.path, self.contents = weights, threads, path, contents

    def load(self) -> None:
        """Loads the model now, unless this process has it already.

        Raises:
            What ``Clip`` and ``Sam`` raise, and ImportError without Pillow.
        """
        import PIL.Image  # noqa: F401

        self._worker()

    def columns(self, batch: Columns) -> dict[str, list[Any]]:
        """The results of a batch, by column; row by row those of its pictures."""
        # Outside of what is caught below: without a model the job cannot go on.
        self.load()
        rows = list(zip(*(_values(batch[name]) for name in self.inputs)))
        out: dict[str, list[Any]] = {name: [] for name in (self.path, *self._names, "error")}
        out[self.path] = [row[0] for row in rows]
        for first in range(0, len(rows), _AT_ONCE):
            for result, error in self._outcomes(rows[first : first + _AT_ONCE]):
                for name in self._names:
                    out[name].append(None if result is None else result[name])
                out["error"].append(error)
        return out

    def __call__(self, batch: Columns) -> pyarrow.Table:
        """The results of a batch as an Arrow table of this ``schema``: for Ray Data's ``map_batches``."""
        import pyarrow

        return pyarrow.Table.from_pydict(self.columns(batch), schema=self.schema)

    def frames(self, frames: Iterable[pandas.DataFrame]) -> Iterator[pandas.DataFrame]:
        """The results of frames, frame by frame: for Spark's ``mapInPandas``."""
        import pandas

        for frame in frames:
            # As objects: pandas would make other types of columns with nulls.
            columns = {name: pandas.Series(it, dtype=object) for name, it in self.columns(frame).items()}
            yield pandas.DataFrame(columns)

    @property
    def schema(self) -> pyarrow.Schema:
        """The names and Arrow types of the results."""
        import pyarrow

        types = {self.path: pyarrow.string(), **self._types(pyarrow), "error": pyarrow.string()}
        return pyarrow.schema(list(types.items()))

    def _outcomes(self, rows: Sequence[Sequence[Any]]) -> list[tuple[dict[str, Any] | None, str | None]]:
        """A result or an error for each row."""
        errors: list[str | None] = [None] * len(rows)
        pictures: list[NDArray[np.uint8]] = []
        prompts: list[Sequence[Any]] = []
        for i, row in enumerate(rows):
            source, *prompt = row if self.contents is None else row[1:]
            try:
                pictures.append(_decoded(source))
                prompts.append(prompt)
            # Anything at all: Pillow raises OSError, SyntaxError, ValueError and others for damaged files.
            except Exception as error:
                errors[i] = _told(error)
        results = iter(self._attempted(pictures, prompts))
        return [next(results) if error is None else (None, error) for error in errors]

    def _attempted(
        self, pictures: list[NDArray[np.uint8]], prompts: list[Sequence[Any]]
    ) -> list[tuple[dict[str, Any] | None, str | None]]:
        if not pictures:
            return []
        try:
            return [(it, None) for it in self._results(pictures, prompts)]
        except self._fault_of_picture() as error:
            if len(pictures) == 1:
                return [(None, _told(error))]
        # One of them is at fault; the others are not to suffer.
        return [it for one, prompt in zip(pictures, prompts) for it in self._attempted([one], [prompt])]

    @property
    def inputs(self) -> list[str]:
        """The columns that are read: the name, the contents, then those of prompts."""
        return [self.path] if self.contents is None else [self.path, self.contents]

    def _fault_of_picture(self) -> tuple[type[Exception], ...]:
        """What the library raises for a row, while everything else is raised for the job."""
        return (ImageError,)

    def _types(self, arrow: Any) -> dict[str, Any]:
        """The task's own columns with their types. ``arrow`` is the module pyarrow."""
        raise NotImplementedError

    def _worker(self) -> Any:
        """The loaded model, or what has it."""
        raise NotImplementedError

    def _results(self, pictures: list[NDArray[np.uint8]], prompts: list[Sequence[Any]]) -> list[dict[str, Any]]:
        """The task's columns for each picture."""
        raise NotImplementedError


class Embed(Task):
    """Embeds pictures with CLIP. Arguments are those of :class:`Task`, and:

    Args:
        normalize: Embeddings of length 1.

    Columns of the results: ``embedding`` (list of float32, ``embed_dim`` long).
    """

    _names = ("embedding",)

    def __init__(self, model: str | os.PathLike[str], *, normalize: bool = True, **options: Any) -> None:
        super().__init__(model, **options)
        self.normalize = normalize

    def _types(self, arrow: Any) -> dict[str, Any]:
        return {"embedding": arrow.list_(arrow.float32())}

    def _worker(self) -> Clip:
        return _clip(self.model, self.weights, self.threads, os.getpid())

    def _results(self, pictures: list[NDArray[np.uint8]], prompts: list[Sequence[Any]]) -> list[dict[str, Any]]:
        # Copies: a row of the whole array would keep all of it.
        return [{"embedding": row.copy()} for row in self._worker().encode_images(pictures, self.normalize)]


class Classify(Task):
    """Classifies pictures by words with CLIP. Labels are embedded once for a process. Arguments: those of :class:`Task`, and:

    Args:
        labels: The classes, in words.
        template: A sentence with ``{}`` in the place of the label, or several, whose embeddings are averaged.
        top: How many labels a row gets at most.

    Columns of the results, the most probable first: ``labels`` (list of string), ``probabilities`` (list of float32, of all
    labels together 1).
    """

    _names = ("labels", "probabilities")

    def __init__(
        self,
        model: str | os.PathLike[str],
        labels: Sequence[str],
        *,
        template: str | Sequence[str] = DEFAULT_TEMPLATE,
        top: int = 5,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        if isinstance(labels, str) or not labels:
            raise ValueError("labels: a list of texts that are not empty is needed")
        if top < 1:
            raise ValueError(f"top: at least 1 is needed, not {top}")
        self.labels, self.top = tuple(labels), top
        self.template = template if isinstance(template, str) else tuple(template)

    def _types(self, arrow: Any) -> dict[str, Any]:
        return {"labels": arrow.list_(arrow.string()), "probabilities": arrow.list_(arrow.float32())}

    def _worker(self) -> ZeroShotClassifier:
        return _classifier(self.model, self.weights, self.threads, os.getpid(), self.labels, self.template)

    def _results(self, pictures: list[NDArray[np.uint8]], prompts: list[Sequence[Any]]) -> list[dict[str, Any]]:
        results = []
        for row in self._worker().predict_proba(pictures):
            # Of equal ones the first label comes first, on every machine.
            best = np.argsort(-row, kind="stable")[: self.top]
            results.append({"labels": [self.labels[i] for i in best], "probabilities": row[best]})
        return results


class Segment(Task):
    """Segments pictures with SAM or SAM 2. Arguments are those of :class:`Task`, and:

    Args:
        boxes: The column of boxes, one for each object: lists of left, top, right, bottom.
        points: The column of clicks, one for each object: lists of x, y. With ``boxes`` too, an object has one of each.
        image_size: Side of the model's input in pixels; a smaller one is faster and shows less detail.
        everything: Without ``boxes`` and ``points``, how everything is looked for: options of ``Sam.everything``.

    Columns of the results: ``records`` (list of structs), one for each mask that is found, or for each prompt in their order:
    ``size`` (list of int32: height, width) and ``counts`` (string), which are COCO's run lengths; ``area`` (int64), ``bbox``
    (list of int32: x, y, width, height, as COCO has it), ``predicted_iou`` and ``stability_score`` (float32, the latter null
    where an empty mask has none).
    """

    _names = ("records",)

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        boxes: str | None = None,
        points: str | None = None,
        image_size: int | None = None,
        everything: EverythingOptions | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        self.boxes, self.points, self.image_size = boxes, points, image_size
        self.everything: dict[str, Any] = dict(everything or {})
        if self.everything and (boxes or points):
            raise ValueError("everything: options for it do not go with boxes or points")
        # A wrong name is told here, before a job starts.
        everything_options(self.everything)

    @property
    def inputs(self) -> list[str]:
        return [*super().inputs, *(name for name in (self.boxes, self.points) if name is not None)]

    def _fault_of_picture(self) -> tuple[type[Exception], ...]:
        # Prompts belong to the row, options of `everything` to the job.
        return (ValueError, TypeError) if self.boxes or self.points else super()._fault_of_picture()

    def _types(self, arrow: Any) -> dict[str, Any]:
        record = {
            "size": arrow.list_(arrow.int32()),
            "counts": arrow.string(),
            "area": arrow.int64(),
            "bbox": arrow.list_(arrow.int32()),
            "predicted_iou": arrow.float32(),
            "stability_score": arrow.float32(),
        }
        return {"records": arrow.list_(arrow.struct(list(record.items())))}

    def _worker(self) -> Sam:
        return _sam(self.model, self.weights, self.threads, os.getpid(), self.image_size)

    def _results(self, pictures: list[NDArray[np.uint8]], prompts: list[Sequence[Any]]) -> list[dict[str, Any]]:
        return [{"records": self._records(one, prompt)} for one, prompt in zip(pictures, prompts)]

    def _records(self, picture: NDArray[np.uint8], prompt: Sequence[Any]) -> list[dict[str, Any]]:
        sam = self._worker()
        if not self.boxes and not self.points:
            found = sam.everything(picture, **self.everything)
            return [_record(it.rle, it.predicted_iou, it.stability_score) for it in found]
        objects = self._prompts(prompt)
        records = []
        if objects:
            embedding = sam.encode(picture)
            for first in range(0, len(objects), _PROMPTS_AT_ONCE):
                some = objects[first : first + _PROMPTS_AT_ONCE]
                # A click may mean a part or the whole: of three masks the best one. A box says what is meant.
                for it in sam.predict_many(embedding, some, multimask=not self.boxes):
                    stats = it.stats()
                    records.append(_record(it.rle(), stats.score, stats.stability))
        return records

    def _prompts(self, columns: Sequence[Any]) -> list[Prompt]:
        """A prompt for each object of a row. Nothing, or null, is no object."""
        given = iter(columns)
        boxes, points = (_listed(next(given)) if name is not None else None for name in (self.boxes, self.points))
        if boxes is None or points is None:
            return [Prompt(box=it) for it in boxes or []] + [Prompt(points=[it]) for it in points or []]
        if len(boxes) != len(points):
            raise ValueError(
                f"{self.boxes}, {self.points}: one of each for each object, not {len(boxes)} and {len(points)}"
            )
        return [Prompt(box=box, points=[point]) for box, point in zip(boxes, points)]


def _record(rle: Rle, score: float, stability: float) -> dict[str, Any]:
    coco = rle.to_coco()
    return {
        "size": coco["size"],
        "counts": coco["counts"].decode(),
        "area": rle.area,
        "bbox": list(rle.bbox),
        "predicted_iou": score,
        "stability_score": None if math.isnan(stability) else stability,
    }


def _values(column: Any) -> list[Any]:
    # Those of Arrow would be scalars of its own.
    return list(column.to_pylist() if hasattr(column, "to_pylist") else column)


def _listed(lists: Any) -> list[list[float]]:
    # Engines nest lists and arrays as they like.
    return [] if lists is None else [[float(it) for it in one] for one in lists]


def _decoded(source: Any) -> NDArray[np.uint8]:
    """The pixels of a file, or of its contents."""
    from PIL import Image

    if source is None:
        raise ValueError("no contents")
    with Image.open(source if isinstance(source, str) else io.BytesIO(source)) as image:
        return _of_pil(image, "picture")


def _told(error: Exception) -> str:
    name = type(error).__name__
    # Pillow tells the address of an object there, which is another one each time.
    return f"{name}: {'no picture that Pillow can read' if name == 'UnidentifiedImageError' else error}"


# One model for a process, also if an engine unpickles the task for each of its own tasks. The process is part of the key
# since models do not survive a fork.
@functools.lru_cache(maxsize=4)
def _clip(path: str, weights: Weights | None, threads: int, process: int) -> Clip:
    return Clip(path, weights=weights, context=Context(threads=threads))


@functools.lru_cache(maxsize=4)
def _sam(path: str, weights: Weights | None, threads: int, process: int, image_size: int | None) -> Sam:
    return Sam(path, weights=weights, image_size=image_size, context=Context(threads=threads))


@functools.lru_cache(maxsize=4)
def _classifier(
    path: str,
    weights: Weights | None,
    threads: int,
    process: int,
    labels: tuple[str, ...],
    template: str | tuple[str, ...],
) -> ZeroShotClassifier:
    return ZeroShotClassifier(_clip(path, weights, threads, process), labels, template).fit()
