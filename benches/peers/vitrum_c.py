"""Vitrum through its C library (`include/vitrum.h`), with the standard library alone.

As a program, `vitrum_c.py LIBRARY MODEL IMAGE_SIZE THREADS` loads the model, runs batches of 1 and 8
through both towers, and prints as JSON the bytes of weights and of peak resident memory.
"""

import ctypes
import json
import os
import platform
import sys
from ctypes import POINTER, byref, c_char, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

PIXEL_RGB8 = 1
FRAME_CURRENT = -1
WEIGHTS = {"f32": 1, "bf16": 3, "int8": 4}


class Error(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("code", c_int32), ("message", c_char * 512)]


class ContextOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("threads", c_uint32), ("isa", c_int32),
                ("parallel_for", c_void_p), ("parallel_for_user", c_void_p), ("amx", c_uint32), ("reserved", c_uint32)]


class ClipOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("mmap", c_uint32), ("lenient", c_uint32), ("activation", c_int32),
                ("vocabulary", c_void_p), ("vocabulary_size", c_size_t), ("weights", c_int32), ("reserved", c_uint32)]


class SamOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("mmap", c_uint32), ("image_size", c_uint32), ("lenient", c_uint32),
                ("weights", c_int32)]


class Image(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("format", c_int32), ("data", c_void_p),
                ("width", c_uint32), ("height", c_uint32), ("row_stride", c_size_t)]


class Point(ctypes.Structure):
    _fields_ = [("x", c_float), ("y", c_float), ("label", c_int32)]


class EncodeOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("normalize", c_uint32)]


class SamPrompt(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("has_box", c_uint32), ("points", POINTER(Point)),
                ("point_count", c_size_t), ("bounding_box", 4 * c_float), ("mask", POINTER(c_float)),
                ("mask_size", c_size_t)]


class EverythingOptions(ctypes.Structure):
    _fields_ = [(name, c_uint32) for name in (
        "struct_size", "points_per_side", "points_per_batch", "crop_n_layers", "crop_n_points_downscale_factor",
        "min_mask_region_area")]
    _fields_ += [(name, c_double) for name in (
        "pred_iou_thresh", "stability_score_thresh", "stability_score_offset", "box_nms_thresh", "crop_nms_thresh",
        "crop_overlap_ratio")]
    _fields_ += [("use_m2m", c_uint32), ("single_mask", c_uint32), ("point_grids", c_void_p),
                 ("point_grid_count", c_size_t)]


class Record(ctypes.Structure):
    _fields_ = [(name, c_uint32) for name in ("struct_size", "area", "width", "height")]
    _fields_ += [("counts", POINTER(c_uint32)), ("count_size", c_size_t), ("bounding_box", 4 * c_uint32),
                 ("crop_box", 4 * c_uint32), ("point", 2 * c_double)]


class TrackerOptions(ctypes.Structure):
    _fields_ = [(name, c_uint32) for name in ("struct_size", "max_objects", "max_prompted_frames", "held_frames")]
    _fields_ += [("num_frames", c_uint64)]
    _fields_ += [(name, c_uint32) for name in (
        "fill_hole_area", "both_directions", "non_overlap_output", "non_overlap_memory", "binarize_clicked_masks",
        "corrections_are_conditioning", "clear_memory_around_input", "dynamic_multimask_via_stability")]


RECORD = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(Record))
FLOATS = [POINTER(c_float), c_size_t, POINTER(c_size_t), POINTER(Error)]
EMBEDDINGS = [POINTER(EncodeOptions), *FLOATS]
FALLIBLE = {
    "vitrum_context_new": [POINTER(ContextOptions), POINTER(c_void_p), POINTER(Error)],
    "vitrum_clip_load": [c_void_p, c_char_p, POINTER(ClipOptions), POINTER(c_void_p), POINTER(Error)],
    "vitrum_clip_encode_image": [c_void_p, POINTER(Image), c_size_t, *EMBEDDINGS],
    "vitrum_clip_encode_text": [c_void_p, POINTER(c_char_p), c_size_t, *EMBEDDINGS],
    "vitrum_sam_load": [c_void_p, c_char_p, POINTER(SamOptions), POINTER(c_void_p), POINTER(Error)],
    "vitrum_sam_encode": [c_void_p, POINTER(Image), c_void_p, c_void_p, POINTER(c_void_p), POINTER(Error)],
    "vitrum_sam_embedding_values": [c_void_p, *FLOATS],
    "vitrum_sam_prediction_new": [c_void_p, POINTER(c_void_p), POINTER(Error)],
    "vitrum_sam_predict": [c_void_p, c_void_p, POINTER(SamPrompt), c_size_t, c_void_p, c_void_p, POINTER(Error)],
    "vitrum_sam_prediction_scores": [c_void_p, *FLOATS],
    "vitrum_sam_prediction_low_res": [c_void_p, c_size_t, c_size_t, *FLOATS],
    "vitrum_sam_everything": [c_void_p, POINTER(Image), POINTER(EverythingOptions), RECORD, c_void_p, c_void_p,
                              POINTER(c_void_p), POINTER(Error)],
    "vitrum_tracker_new": [c_void_p, c_uint32, c_uint32, c_void_p, POINTER(c_void_p), POINTER(Error)],
    "vitrum_tracker_push_frame": [c_void_p, POINTER(Image), c_void_p, c_void_p, POINTER(c_int64), POINTER(Error)],
    "vitrum_tracker_add_points": [c_void_p, c_int64, c_uint32, POINTER(SamPrompt), c_void_p, c_void_p, c_void_p,
                                  POINTER(Error)],
    "vitrum_tracker_step": [c_void_p, c_void_p, c_void_p, POINTER(Error)],
    "vitrum_tracker_low_res": [c_void_p, c_uint32, c_int64, *FLOATS],
}
FREE = ["vitrum_context_free", "vitrum_clip_free", "vitrum_sam_free", "vitrum_sam_embedding_free",
        "vitrum_sam_prediction_free", "vitrum_tracker_free"]
SIZES = ["vitrum_clip_embed_dim", "vitrum_sam_mask_side"]


def default_library() -> Path:
    """Where `cargo rustc -p vitrum --release --features capi --crate-type cdylib` leaves it."""
    name = "libvitrum.dylib" if platform.system() == "Darwin" else "libvitrum.so"
    return Path(__file__).parents[2] / "target" / "release" / name


class VitrumError(Exception):
    """The message of a call that failed."""


class Library:
    """The functions, with the types of their parameters, and errors as exceptions."""

    def __init__(self, path: Path):
        self.functions = ctypes.CDLL(str(path))
        for name, types in FALLIBLE.items():
            getattr(self.functions, name).argtypes = types
        for name in FREE:
            function = getattr(self.functions, name)
            function.argtypes, function.restype = [c_void_p], None
        for name in SIZES:
            function = getattr(self.functions, name)
            function.argtypes, function.restype = [c_void_p], c_size_t

    def call(self, name: str, *arguments) -> None:
        error = Error(struct_size=ctypes.sizeof(Error))
        if getattr(self.functions, name)(*arguments, byref(error)) != 0:
            raise VitrumError(f"{name}: {error.message.decode()}")


class Handle:
    """What a function made, freed with this object."""

    def __init__(self, library: Library, kind: str, make: str, *arguments):
        self.library, self.kind, self.pointer = library, kind, c_void_p()
        library.call(make, *arguments, byref(self.pointer))

    def __del__(self):
        getattr(self.library.functions, f"vitrum_{self.kind}_free")(self.pointer)


def load(library: Library, kind: str, directory: Path, threads: int, precision: str) -> Handle:
    """A model with weights in `precision`, which keeps what it needs of a context of its own. AMX is permitted for
    weights that are not f32."""
    options = ContextOptions(struct_size=ctypes.sizeof(ContextOptions), threads=threads, amx=precision != "f32")
    context = Handle(library, "context", "vitrum_context_new", byref(options))
    kinds = {"clip": ClipOptions, "sam": SamOptions}
    options = kinds[kind](struct_size=ctypes.sizeof(kinds[kind]), weights=WEIGHTS[precision])
    return Handle(library, kind, f"vitrum_{kind}_load", context.pointer, os.fsencode(directory), byref(options))


def rgb_image(data: int, width: int, height: int) -> Image:
    """Packed RGB pixels at address `data`."""
    return Image(ctypes.sizeof(Image), PIXEL_RGB8, data, width, height, 3 * width)


class Clip:
    """A CLIP model. Embeddings come back as float arrays, not normalised."""

    def __init__(self, library: Path, directory: Path, threads: int, precision: str = "f32"):
        self._library = Library(library)
        self._clip = load(self._library, "clip", directory, threads, precision)
        self.embed_dim = self._library.functions.vitrum_clip_embed_dim(self._clip.pointer)

    def encode_images(self, data: int, count: int, width: int, height: int) -> ctypes.Array:
        """Embeds `count` RGB pictures that lie one after the other at address `data`."""
        images = (Image * count)(*(rgb_image(data + i * 3 * width * height, width, height) for i in range(count)))
        return self._embed("vitrum_clip_encode_image", images, count)

    def encode_texts(self, texts: list[str]) -> ctypes.Array:
        """Embeds texts."""
        strings = (c_char_p * len(texts))(*(text.encode() for text in texts))
        return self._embed("vitrum_clip_encode_text", strings, len(texts))

    def _embed(self, function: str, inputs: ctypes.Array, count: int) -> ctypes.Array:
        out = (c_float * (count * self.embed_dim))()
        options = EncodeOptions(ctypes.sizeof(EncodeOptions), normalize=0)
        self._library.call(function, self._clip.pointer, inputs, count, byref(options), out, len(out), None)
        return out


class Sam:
    """A SAM model, and one prediction that is used again and again."""

    def __init__(self, library: Path, directory: Path, threads: int, precision: str = "f32"):
        self._library = Library(library)
        self._sam = load(self._library, "sam", directory, threads, precision)
        self._prediction = Handle(self._library, "sam_prediction", "vitrum_sam_prediction_new", self._sam.pointer)
        self.mask_side = self._library.functions.vitrum_sam_mask_side(self._sam.pointer)
        self._low_res = (c_float * 0)()

    def encode(self, data: int, width: int, height: int) -> Handle:
        """The embedding of the RGB picture at address `data`."""
        image = rgb_image(data, width, height)
        return Handle(self._library, "sam_embedding", "vitrum_sam_encode", self._sam.pointer, byref(image), None, None)

    def values(self, embedding: Handle) -> ctypes.Array:
        """The image encoder's output, `[G, G, C]`."""
        needed = c_size_t()
        self._library.call("vitrum_sam_embedding_values", embedding.pointer, None, 0, byref(needed))
        out = (c_float * needed.value)()
        self._library.call("vitrum_sam_embedding_values", embedding.pointer, out, len(out), None)
        return out

    def everything(self, data: int, width: int, height: int, **options: float) -> list[tuple[float, ...]]:
        """Point (x, y) and area of the masks of everything in the RGB picture at address `data`; the reference's options but for these."""
        chosen = EverythingOptions()
        size = c_size_t(ctypes.sizeof(chosen))
        if self._library.functions.vitrum_sam_everything_options_init(byref(chosen), size) != 0:
            raise VitrumError("vitrum_sam_everything_options of another size")
        for name, value in options.items():
            setattr(chosen, name, value)
        masks = []

        @RECORD
        def take(_user, record):
            masks.append((*record.contents.point, record.contents.area))
            return 0

        image = rgb_image(data, width, height)
        self._library.call("vitrum_sam_everything", self._sam.pointer, byref(image), byref(chosen), take, None, None, None)
        return masks

    def predict_points(self, embedding: Handle, points: list[tuple[float, float]]) -> tuple[ctypes.Array, ctypes.Array]:
        """Low-resolution logits, which stay valid until the next call, and scores of three masks for each point."""
        count, masks, pixels = len(points), 3, self.mask_side**2
        clicks = (Point * count)(*(Point(x, y, 1) for x, y in points))
        prompts = (SamPrompt * count)()
        for i, prompt in enumerate(prompts):
            prompt.struct_size, prompt.point_count = ctypes.sizeof(SamPrompt), 1
            prompt.points = ctypes.pointer(clicks[i])
        prediction = self._prediction.pointer
        self._library.call("vitrum_sam_predict", self._sam.pointer, embedding.pointer, prompts, count, None, prediction)

        scores = (c_float * (count * masks))()
        self._library.call("vitrum_sam_prediction_scores", prediction, scores, len(scores), None)
        if len(self._low_res) != len(scores) * pixels:
            self._low_res = (c_float * (len(scores) * pixels))()
        for i in range(len(scores)):
            room = ctypes.cast(byref(self._low_res, 4 * i * pixels), POINTER(c_float))
            self._library.call("vitrum_sam_prediction_low_res", prediction, *divmod(i, masks), room, pixels, None)
        return self._low_res, scores


class Tracker:
    """One object followed through a video. Holes are left in its masks, as sam2 leaves them on CPUs."""

    def __init__(self, library: Path, directory: Path, threads: int, width: int, height: int,
                 precision: str = "f32"):
        self._library, self._size = Library(library), (width, height)
        sam = load(self._library, "sam", directory, threads, precision)
        self._mask_side = self._library.functions.vitrum_sam_mask_side(sam.pointer)
        options = TrackerOptions()
        if self._library.functions.vitrum_tracker_options_init(byref(options), c_size_t(ctypes.sizeof(options))) != 0:
            raise VitrumError("vitrum_tracker_options of another size")
        options.fill_hole_area = 0
        self._tracker = Handle(self._library, "tracker", "vitrum_tracker_new", sam.pointer, width, height,
                               byref(options))

    def push(self, data: int) -> None:
        """Takes the RGB frame at address `data`."""
        image = rgb_image(data, *self._size)
        self._library.call("vitrum_tracker_push_frame", self._tracker.pointer, byref(image), None, None, None)

    def click(self, x: float, y: float) -> None:
        """Says where the object is on the current frame."""
        point = Point(x, y, 1)
        prompt = SamPrompt(struct_size=ctypes.sizeof(SamPrompt), points=ctypes.pointer(point), point_count=1)
        self._library.call("vitrum_tracker_add_points", self._tracker.pointer, FRAME_CURRENT, 1, byref(prompt), None,
                           None, None)

    def step(self) -> None:
        self._library.call("vitrum_tracker_step", self._tracker.pointer, None, None)

    def low_res(self) -> ctypes.Array:
        """The logits on the current frame, as the model predicts them."""
        out = (c_float * self._mask_side**2)()
        self._library.call("vitrum_tracker_low_res", self._tracker.pointer, 1, FRAME_CURRENT, out, len(out), None)
        return out


def peak_bytes() -> int:
    """Peak resident memory of this process so far (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise OSError("no VmHWM in /proc/self/status")


def main() -> None:
    library, directory, size, threads = sys.argv[1:]
    side = int(size)
    clip = Clip(Path(library), Path(directory), int(threads))
    weights = sum(file.stat().st_size for file in Path(directory).glob("*.safetensors"))
    report = {"weights": weights, "peak_load": peak_bytes()}
    for batch in (1, 8):
        pictures = ctypes.create_string_buffer(os.urandom(3 * side * side * batch))
        clip.encode_images(ctypes.addressof(pictures), batch, side, side)
        clip.encode_texts(["cat " * 75] * batch)
        report[f"peak_{batch}"] = peak_bytes()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
