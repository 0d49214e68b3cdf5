"""CLIP: pictures and texts in one space."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._context import Context
from ._errors import Cancelled, Status
from ._ffi import c_text, c_texts, call, collect, contiguous, ffi, lib, list_of_texts, readable, struct, writable
from ._image import Format, Image, View, views
from ._long import Progress, refuse_in_progress, run_short
from ._model import Model, Weights, choice

if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from typing_extensions import Self

#: The activation function of the towers.
Activation: TypeAlias = "Literal['gelu', 'quick_gelu']"

_ACTIVATIONS: dict[str | None, int] = {
    None: lib.VITRUM_ACTIVATION_OF_FILES,
    "gelu": lib.VITRUM_ACTIVATION_GELU,
    "quick_gelu": lib.VITRUM_ACTIVATION_QUICK_GELU,
}
# How much goes to the library at once; the results do not depend on it. Between two calls Ctrl-C is heard, so that one
# should take no longer than a second, and of many pictures no more need be in memory.
_FIRST, _MOST, _SECONDS = 4, 64, 0.5

DEFAULT_TEMPLATE = "a photo of a {}"

Item = TypeVar("Item")


def _of_part(progress: Progress | None, done: int, count: int, total: int | None) -> Progress | None:
    """What reports on a part of ``count`` items behind ``done`` others, of ``total`` or nobody knows how many."""
    if progress is None:
        return None
    if total is None:
        return lambda fraction: progress(0.0)
    return lambda fraction: progress((done + fraction * count) / total)


class Clip(Model):
    """A CLIP model: image tower, text tower, tokenizer. Several threads may use one model at the same time.

    Args:
        path: A Hugging Face model directory, a safetensors file or a PyTorch checkpoint. Nothing is downloaded;
            ``huggingface_hub.snapshot_download`` returns the path of a model by its name.
        weights: What the weights are kept as: ``"f32"``, ``"f16"``, ``"bf16"``, ``"int8"`` or ``"q4"``. ``None``: the
            format that ``vitrum quantize`` wrote, otherwise f32.
        mmap: Reads weights through a memory map. If another process truncates the file, the system kills this one.
        in_place: Uses what ``vitrum quantize --pack`` has packed for this CPU in place, in the mapped file: the model is there
            in milliseconds, and processes share it. Nobody may write to the file as long as the model lives.
        lenient: Loads a model with tensors or settings that are not understood. Its results may be wrong; ``warnings``
            says why.
        activation: ``"gelu"`` or ``"quick_gelu"`` in the place of what the files say.
        vocabulary: OpenAI's ``bpe_simple_vocab_16e6.txt``, gzipped or not, for weights without a tokenizer.
        context: The threads to work with; those of all models without one by default.
        progress: Called with the fraction that is loaded, on the calling thread. ``False`` stops loading.

    Raises:
        Cancelled: ``progress`` returned ``False``.
        FileNotFoundError: There is no such file, or the model's directory lacks one.
        ModelError: A file is malformed, or of another model.
        UnsupportedError: The model has parts that are not understood.

    A model pickles as its path and its options, so that other processes load it themselves.
    """

    _kind = "clip"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        weights: Weights | None = None,
        mmap: bool = False,
        in_place: bool = False,
        lenient: bool = False,
        activation: Activation | None = None,
        vocabulary: bytes | None = None,
        context: Context | None = None,
        progress: Progress | None = None,
    ) -> None:
        options = {"weights": weights, "mmap": mmap, "in_place": in_place, "lenient": lenient}
        self._load(path, context, dict(options, activation=activation, vocabulary=vocabulary), progress)

    @classmethod
    def from_files(
        cls,
        files: Mapping[str, bytes],
        *,
        weights: Weights | None = None,
        lenient: bool = False,
        activation: Activation | None = None,
        vocabulary: bytes | None = None,
        context: Context | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Loads a model from memory: the files of a model directory by name, such as ``config.json``. They are not kept."""
        self = cls.__new__(cls)
        options = {"weights": weights, "lenient": lenient, "activation": activation, "vocabulary": vocabulary}
        self._load_memory(files, context, options, progress)
        return self

    def _c_options(self, options: dict[str, Any]) -> tuple[Any, list[Any]]:
        c_options, kept = super()._c_options(options)
        c_options.activation = choice("activation", options["activation"], _ACTIVATIONS)
        if options["vocabulary"] is not None:
            kept.append(readable(options["vocabulary"], "uint8_t"))
            c_options.vocabulary, c_options.vocabulary_size = kept[-1], len(kept[-1])
        return c_options, kept

    @property
    def embed_dim(self) -> int:
        """Number of floats of an embedding."""
        with self._handle as clip:
            return int(lib.vitrum_clip_embed_dim(clip))

    @property
    def logit_scale(self) -> float:
        """The scale that the model has learnt: logits are cosines multiplied by it, plus ``logit_bias``."""
        same, opposite = self._extreme_logits()
        return (same - opposite) / 2

    @property
    def logit_bias(self) -> float:
        """What a SigLIP adds to its logits; 0 of a CLIP."""
        same, opposite = self._extreme_logits()
        return (same + opposite) / 2

    @property
    def has_independent_probabilities(self) -> bool:
        """Whether a probability says of its label alone whether it fits the picture, as with a SigLIP."""
        with self._handle as clip:
            return bool(lib.vitrum_clip_has_independent_probabilities(clip))

    def _extreme_logits(self) -> tuple[float, float]:
        """The logits of an embedding and itself, and of it and its opposite."""
        unit = np.zeros((1, self.embed_dim), np.float32)
        unit[0, 0] = 1
        same, opposite = self.similarity(unit, np.concatenate([unit, -unit]))[0]
        return float(same), float(opposite)

    def encode_images(
        self,
        images: Iterable[Image] | Image,
        normalize: bool = True,
        *,
        format: Format = "rgb",
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """Embeddings of pictures of any sizes: float32 ``[n, embed_dim]``, of length 1 if ``normalize``.

        ``images`` may be any iterable, a uint8 array ``[n, h, w, channels]``, or one picture (then n is 1). ``format`` is
        the order of channels in arrays: ``"bgr"`` for those of OpenCV.

        ``progress`` is called with the fraction done, on the calling thread; it stays 0 to the end if ``images`` does not
        tell how many there are. ``False`` stops the call.

        Raises:
            Cancelled: ``progress`` returned ``False``.
            TypeError: Pixels that are not uint8, or something that is no picture.
            ValueError: No pictures, or an array of another shape.
            UnsupportedError: The model has no image tower.
        """

        def encode(clip: Any, pictures: list[View], *more: Any) -> int:
            array = ffi.new("vitrum_image[]", [picture.image[0] for picture in pictures])
            return int(lib.vitrum_clip_encode_image(clip, array, len(array), *more))

        is_counted = isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4
        total = len(images) if is_counted else None  # type: ignore[arg-type]
        return self._encode(encode, views(images, format, "images"), normalize, "images", total, progress)

    def encode_texts(
        self, texts: Iterable[str] | str, normalize: bool = True, *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Embeddings of texts: float32 ``[n, embed_dim]``, of length 1 if ``normalize``.

        Texts longer than the model's context are cut, as the model's reference does. ``progress`` is called with the
        fraction done, on the calling thread. ``False`` stops the call.

        Raises:
            Cancelled: ``progress`` returned ``False``.
            ValueError: No texts, or one with a NUL.
            FileNotFoundError: The model was loaded without a tokenizer.
            UnsupportedError: The model has no text tower.
        """

        def encode(clip: Any, some: list[str], *more: Any) -> int:
            array, _kept = c_texts(some, "texts")
            return int(lib.vitrum_clip_encode_text(clip, array, len(array), *more))

        all_texts = list_of_texts(texts)
        return self._encode(encode, iter(all_texts), normalize, "texts", len(all_texts), progress)

    def _encode(
        self,
        encode: Any,
        items: Iterator[Item],
        normalize: bool,
        argument: str,
        total: int | None,
        progress: Progress | None,
    ) -> NDArray[np.float32]:
        refuse_in_progress()
        options = struct("clip_encode_options")
        options.normalize = bool(normalize)
        parts: list[NDArray[np.float32]] = []
        dim, at_once, done = self.embed_dim, _FIRST, 0
        while some := list(itertools.islice(items, at_once)):
            part = np.empty((len(some), dim), np.float32)

            def run(report: Any, user: Any, error: Any, some: list[Item] = some, part: Any = part) -> int:
                options.progress, options.progress_user = report, user
                with self._handle as clip:
                    return int(encode(clip, some, options, writable(part, "float"), part.size, ffi.NULL, error))

            start = time.monotonic()
            run_short(run, _of_part(progress, done, len(some), total))
            parts.append(part)
            done += len(some)
            is_quick = time.monotonic() - start < _SECONDS / 2
            at_once = min(2 * at_once, _MOST) if is_quick else max(at_once // 2, 1)
        if not parts:
            raise ValueError(f"{argument}: there are none")
        if progress is not None and total is None and progress(1.0) is False:
            raise Cancelled(Status.CANCELLED, "cancelled by the caller")
        return np.concatenate(parts)

    def classify(
        self,
        image: Image,
        labels: Sequence[str],
        template: str = DEFAULT_TEMPLATE,
        *,
        format: Format = "rgb",
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """How well each label describes a picture: float32 ``[len(labels)]``, which sum to 1.

        With ``has_independent_probabilities`` they need not: each says of its label alone whether it fits.

        In ``template``, ``{}`` stands for the label. For many pictures, :class:`ZeroShotClassifier` embeds labels once.
        ``progress`` is called with the fraction done, on the calling thread. ``False`` stops the call.

        Raises:
            Cancelled: ``progress`` returned ``False``.
            ValueError: No labels, an empty one, or a template without ``{}``.
        """
        refuse_in_progress()
        view = View(image, format, "image")
        if isinstance(labels, str):
            raise TypeError("labels: a list of labels is needed, not one str")
        names, _kept = c_texts(list(labels), "labels")
        options = struct("clip_classify_options")
        text = c_text(template, "template")
        options.label_template = text
        probabilities = np.empty(len(names), np.float32)
        count, out = len(names), writable(probabilities, "float")

        def run(report: Any, user: Any, error: Any, _kept: Any = (_kept, text)) -> int:
            options.progress, options.progress_user = report, user
            with self._handle as clip:
                answer = options, out, count, ffi.NULL, error
                return int(lib.vitrum_clip_classify(clip, view.image, names, count, *answer))

        run_short(run, progress)
        return probabilities

    def similarity(self, images: ArrayLike, texts: ArrayLike) -> NDArray[np.float32]:
        """Logits of embeddings: float32 ``[images, texts]``, their cosines multiplied by ``logit_scale``, plus ``logit_bias``.

        Both are ``[n, embed_dim]``, or ``[embed_dim]`` for one, normalised or not. A softmax over a row gives the
        probabilities of the texts, or with ``has_independent_probabilities`` the sigmoid of each.

        Raises:
            ValueError: Arrays of another shape, or without any embedding.
        """
        a, b = self._embeddings(images, "images"), self._embeddings(texts, "texts")
        logits = np.empty((len(a), len(b)), np.float32)
        with self._handle as clip:
            pairs = [readable(a, "float"), len(a), readable(b, "float"), len(b)]
            call(lib.vitrum_clip_similarity, clip, *pairs, writable(logits, "float"), logits.size, ffi.NULL)
        return logits

    def _embeddings(self, values: ArrayLike, argument: str) -> NDArray[np.float32]:
        array = np.atleast_2d(contiguous(values, np.float32))
        if array.ndim != 2 or array.shape[1] != self.embed_dim or not len(array):
            raise ValueError(f"{argument}: embeddings have shape [n, {self.embed_dim}], not {np.shape(values)}")
        return array

    def tokenize(self, text: str) -> NDArray[np.uint32]:
        """The token ids of a text, with the start and end tokens: uint32 ``[n]``, cut at the model's context.

        Raises:
            FileNotFoundError: The model was loaded without a tokenizer.
        """
        with self._handle as clip:
            return collect(lib.vitrum_clip_tokenize, clip, c_text(text, "text"), dtype=np.uint32, ctype="uint32_t")
