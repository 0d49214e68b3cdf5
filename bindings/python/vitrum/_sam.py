"""SAM and SAM 2 on pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from numpy.typing import ArrayLike

from ._clip import Clip
from ._context import Context
from ._embedding import Embedding
from ._ffi import Handle, c_text, c_texts, call, count, ffi, lib, list_of_texts, readable, struct
from ._image import Format, Image, View
from ._long import Progress, refuse_in_progress, run_long, run_short
from ._model import Model, Weights
from ._prediction import Prediction
from ._prompt import CPrompts, Prompt
from ._records import EverythingOptions, Finding, Match, Record, everything_options, on_match, on_record

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class Sam(Model):
    """A SAM or SAM 2 model. Several threads may use one model at the same time.

    Args:
        path: A Hugging Face model directory, a safetensors file or a PyTorch checkpoint, also in Meta's naming. Nothing
            is downloaded.
        weights: What the image encoder's weights are kept as: ``"f32"``, ``"f16"``, ``"bf16"``, ``"int8"``, ``"q4"``.
        image_size: Side of the model's square input in pixels. A smaller one is faster and shows less detail.
        mmap: Reads weights through a memory map. If another process truncates the file, the system kills this one.
        in_place: Uses what ``vitrum quantize --pack`` has packed for this CPU in place, in the mapped file: the model is there
            in milliseconds, and processes share it. Nobody may write to the file as long as the model lives.
        lenient: Loads a model with parts that are not understood; ``warnings`` says which.
        context: The threads to work with; those of all models without one by default.
        progress: Called with the fraction that is loaded, on the calling thread. ``False`` stops loading.

    Raises:
        Cancelled: ``progress`` returned ``False``.
        FileNotFoundError: There is no such file.
        ModelError: A file is malformed, or of another model.
        UnsupportedError: The model has parts that are not understood.
        ValueError: An impossible ``image_size``.

    A model pickles as its path and its options, so that other processes load it themselves.
    """

    _kind = "sam"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        weights: Weights | None = None,
        image_size: int | None = None,
        mmap: bool = False,
        in_place: bool = False,
        lenient: bool = False,
        context: Context | None = None,
        progress: Progress | None = None,
    ) -> None:
        options = {"weights": weights, "image_size": image_size, "mmap": mmap, "in_place": in_place, "lenient": lenient}
        self._load(path, context, options, progress)

    @classmethod
    def from_files(
        cls,
        files: Mapping[str, bytes],
        *,
        weights: Weights | None = None,
        image_size: int | None = None,
        lenient: bool = False,
        context: Context | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Loads a model from memory: the files of a model directory by name. They are not kept."""
        self = cls.__new__(cls)
        options = {"weights": weights, "image_size": image_size, "lenient": lenient}
        self._load_memory(files, context, options, progress)
        return self

    def _c_options(self, options: dict[str, Any]) -> tuple[Any, list[Any]]:
        c_options, kept = super()._c_options(options)
        c_options.image_size = count("image_size", options["image_size"] or 0)
        return c_options, kept

    @property
    def image_size(self) -> int:
        """Side of the model's square input, in pixels."""
        with self._handle as sam:
            return int(lib.vitrum_sam_image_size(sam))

    @property
    def mask_side(self) -> int:
        """Side of the square low-resolution masks."""
        with self._handle as sam:
            return int(lib.vitrum_sam_mask_side(sam))

    @property
    def _grid_side(self) -> int:
        # The mask decoder makes each side of the encoder's grid four times as long.
        return self.mask_side // 4

    @property
    def can_track(self) -> bool:
        """Whether it is a SAM 2 for videos: whether a :class:`Tracker` can be made with it."""
        with self._handle as sam:
            limit = ffi.new("size_t *")
            return bool(lib.vitrum_tracker_memory_limit(sam, 64, 64, ffi.NULL, limit, ffi.NULL) == lib.VITRUM_OK)

    def encode(self, image: Image, progress: Progress | None = None, *, format: Format = "rgb") -> Embedding:
        """Runs the image encoder: the slow part. Then ``predict`` answers prompts from the embedding.

        ``progress`` is called with the fraction done, on the calling thread. ``False`` stops the call.

        Raises:
            Cancelled: ``progress`` returned ``False``.
            TypeError: Pixels that are not uint8, or something that is no picture.
            ValueError: An array of another shape, or a picture that is too narrow.
        """
        view, out, side = View(image, format, "image"), Handle("sam_embedding"), self._grid_side

        def encode(report: Any, user: Any, error: Any) -> int:
            with self._handle as sam:
                return int(lib.vitrum_sam_encode(sam, view.image, report, user, out.place, error))

        run_long(encode, progress)
        return Embedding(out, side)

    def restore(self, saved: bytes) -> Embedding:
        """The embedding that ``Embedding.save`` wrote. The bytes need not be trusted.

        Raises:
            ModelError: They are damaged.
            ValueError: They are of another model, or of another input size.
        """
        out, buffer = Handle("sam_embedding"), readable(saved, "uint8_t")
        with self._handle as sam:
            call(lib.vitrum_sam_embedding_load, sam, buffer, len(buffer), out.place)
            return Embedding(out, self._grid_side)

    def predict(
        self,
        image: Embedding | Image,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        *,
        multimask: bool = True,
        max_hole_area: int = 0,
        max_sprinkle_area: int = 0,
        threshold: float = 0.0,
        format: Format = "rgb",
        progress: Progress | None = None,
    ) -> Prediction:
        """The masks of one object. The arguments up to ``mask`` are those of :class:`Prompt`.

        Args:
            image: An embedding, or a picture, which is then encoded for this call alone.
            points: Clicks ``[n, 2]``, x and y in pixels of the picture.
            labels: ``[n]``: 1 for the object, 0 for what it is not. ``None``: all 1.
            box: Left, top, right, bottom: ``[4]``.
            mask: Logits of an earlier mask, ``Prediction.low_res[i]``, which are refined.
            multimask: Three masks, for prompts that may mean a part, the whole object or more; otherwise one.
            max_hole_area: Holes of at most this area are filled, counted in values of the low-resolution mask.
            max_sprinkle_area: Islands of at most this area are removed.
            threshold: A mask is where its logits are above this.
            format: The order of channels if ``image`` is an array.
            progress: As of ``encode``, but for the encoding of a picture.

        Raises:
            Cancelled: ``progress`` returned ``False``.
            ValueError: Arrays of other shapes, numbers outside their domain, or an embedding of another model.
        """
        options = {"multimask": multimask, "max_hole_area": max_hole_area, "max_sprinkle_area": max_sprinkle_area}
        prompt = Prompt(points, labels, box, mask)
        return self._predict(image, [prompt], options, threshold, format, progress)[0]

    def predict_many(
        self,
        image: Embedding | Image,
        prompts: Iterable[Prompt],
        *,
        multimask: bool = True,
        max_hole_area: int = 0,
        max_sprinkle_area: int = 0,
        threshold: float = 0.0,
        format: Format = "rgb",
        progress: Progress | None = None,
    ) -> list[Prediction]:
        """The masks of several objects, independently of each other: faster than one prompt after the other."""
        options = {"multimask": multimask, "max_hole_area": max_hole_area, "max_sprinkle_area": max_sprinkle_area}
        return self._predict(image, list(prompts), options, threshold, format, progress)

    def _predict(
        self,
        image: Any,
        prompts: list[Prompt],
        options: dict[str, int],
        threshold: float,
        format: Format,
        progress: Progress | None,
    ) -> list[Prediction]:
        refuse_in_progress()
        c_prompts, c_options = CPrompts(prompts), struct("sam_predict_options")
        for name, value in options.items():
            setattr(c_options, name, count(name, value))
        embedding = image if isinstance(image, Embedding) else self.encode(image, format=format)
        out, side = Handle("sam_prediction"), self.mask_side
        with self._handle as sam:
            call(lib.vitrum_sam_prediction_new, sam, out.place)

        def predict(report: Any, user: Any, error: Any) -> int:
            c_options.progress, c_options.progress_user = report, user
            with self._handle as sam, embedding._handle as encoded, out as prediction:
                prompts = c_prompts.array, len(c_prompts)
                return int(lib.vitrum_sam_predict(sam, encoded, *prompts, c_options, prediction, error))

        run_short(predict, progress)
        return [Prediction(out, i, embedding.size, side, float(threshold)) for i in range(len(c_prompts))]

    @overload
    def everything(
        self,
        image: Image,
        *,
        progress: Progress | None = ...,
        format: Format = ...,
        return_embedding: Literal[False] = ...,
        **options: Unpack[EverythingOptions],
    ) -> list[Record]: ...
    @overload
    def everything(
        self,
        image: Image,
        *,
        progress: Progress | None = ...,
        format: Format = ...,
        return_embedding: Literal[True],
        **options: Unpack[EverythingOptions],
    ) -> tuple[list[Record], Embedding]: ...
    def everything(
        self,
        image: Image,
        *,
        progress: Progress | None = None,
        format: Format = "rgb",
        return_embedding: bool = False,
        **options: Unpack[EverythingOptions],
    ) -> list[Record] | tuple[list[Record], Embedding]:
        """All masks of a picture, found from a grid of clicks. Options are those of :class:`EverythingOptions`.

        With ``return_embedding``, the second result is the picture's embedding, for prompts.

        Raises:
            Cancelled: ``progress`` returned ``False``.
            TypeError: Pixels that are not uint8, something that is no picture, or an unknown option.
            ValueError: An option outside its domain.
        """
        view, kept, side = View(image, format, "image"), Handle("sam_embedding"), self._grid_side
        with self._handle as sam:
            c_options, _buffers = everything_options(options, sam)
        records: list[Record] = []

        def take(record: Any) -> None:
            records.append(Record.of(record))

        def everything(report: Any, user: Any, error: Any) -> int:
            place = kept.place if return_embedding else ffi.NULL
            with self._handle as sam:
                arguments = (c_options, on_record, report, user, place, error)
                return int(lib.vitrum_sam_everything(sam, view.image, *arguments))

        Finding(progress, take).run(everything)
        return (records, Embedding(kept, side)) if return_embedding else records

    def ground(
        self,
        clip: Clip,
        image: Image,
        texts: Sequence[str] | str,
        *,
        others: Sequence[str] = (),
        template: str = "a photo of {}",
        top: int = 1,
        min_probability: float = 0.0,
        candidates: EverythingOptions | None = None,
        progress: Progress | None = None,
        format: Format = "rgb",
    ) -> list[Match]:
        """The masks that texts describe: text by text, the best first. Everything is segmented; ``clip`` compares.

        Args:
            clip: The model that compares masks with texts.
            image: The picture.
            texts: What is looked for, with articles: ``["a red apple"]``.
            others: Other things in the picture, with which the texts compete. Without, words for the background.
            template: A sentence with ``{}`` in the place of the text.
            top: Masks for each text at most.
            min_probability: Masks of a lower probability are dropped.
            candidates: How masks are found before they are compared.
            progress: As of ``encode``.
            format: The order of channels if ``image`` is an array.

        Raises:
            Cancelled: ``progress`` returned ``False``.
            ValueError: No texts, an empty one, a template without ``{}``, or a number outside its domain.
        """
        view, names = View(image, format, "image"), list_of_texts(texts)
        prompt = struct("sam_text_prompt")
        (c_names, _kept), (c_others, _kept_others) = c_texts(names, "texts"), c_texts(list_of_texts(others), "others")
        with self._handle as sam:
            c_candidates, _buffers = everything_options(candidates or {}, sam)
        c_template = c_text(template, "template")
        prompt.top, prompt.min_probability = count("top", top), min_probability
        prompt.texts, prompt.text_count = c_names, len(c_names)
        prompt.others, prompt.other_count = c_others, len(c_others)
        prompt.text_template, prompt.candidates = c_template, c_candidates
        matches: list[Match] = []

        def take(text: int, probability: float, record: Any) -> None:
            matches.append(Match(names[text], text, probability, Record.of(record)))

        def ground(report: Any, user: Any, error: Any) -> int:
            with self._handle as sam, clip._handle as by:
                arguments = (prompt, on_match, report, user, ffi.NULL, error)
                return int(lib.vitrum_sam_ground(sam, by, view.image, *arguments))

        Finding(progress, take).run(ground)
        return matches
