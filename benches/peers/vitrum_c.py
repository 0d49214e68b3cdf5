"""Vitrum's CLIP through its C library (`include/vitrum.h`), with the standard library alone.

As a program, `vitrum_c.py LIBRARY MODEL IMAGE_SIZE THREADS` loads the model, runs batches of 1 and 8
through both towers, and prints as JSON the bytes of weights and of peak resident memory.
"""

import ctypes
import json
import os
import platform
import sys
from ctypes import POINTER, byref, c_char, c_char_p, c_float, c_int32, c_size_t, c_uint32, c_void_p
from pathlib import Path

PIXEL_RGB8 = 1


class Error(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("code", c_int32), ("message", c_char * 512)]


class ContextOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("threads", c_uint32), ("isa", c_int32),
                ("parallel_for", c_void_p), ("parallel_for_user", c_void_p)]


class Image(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("format", c_int32), ("data", c_void_p),
                ("width", c_uint32), ("height", c_uint32), ("row_stride", c_size_t)]


EMBEDDINGS = [c_uint32, POINTER(c_float), c_size_t, POINTER(c_size_t), POINTER(Error)]
FALLIBLE = {
    "vitrum_context_new": [POINTER(ContextOptions), POINTER(c_void_p), POINTER(Error)],
    "vitrum_clip_load": [c_void_p, c_char_p, c_void_p, POINTER(c_void_p), POINTER(Error)],
    "vitrum_clip_encode_image": [c_void_p, POINTER(Image), c_size_t, *EMBEDDINGS],
    "vitrum_clip_encode_text": [c_void_p, POINTER(c_char_p), c_size_t, *EMBEDDINGS],
}


def default_library() -> Path:
    """Where `cargo rustc -p vitrum --release --features capi --crate-type cdylib` leaves it."""
    name = "libvitrum.dylib" if platform.system() == "Darwin" else "libvitrum.so"
    return Path(__file__).parents[2] / "target" / "release" / name


class VitrumError(Exception):
    """The message of a call that failed."""


class Clip:
    """A model with a context of its own. Embeddings come back as float arrays, not normalised."""

    def __init__(self, library: Path, directory: Path, threads: int):
        self._library = ctypes.CDLL(str(library))
        for name, types in FALLIBLE.items():
            getattr(self._library, name).argtypes = types
        for name in ("vitrum_context_free", "vitrum_clip_free"):
            function = getattr(self._library, name)
            function.argtypes, function.restype = [c_void_p], None
        self._library.vitrum_clip_embed_dim.argtypes = [c_void_p]
        self._library.vitrum_clip_embed_dim.restype = c_size_t

        self._context, self._clip = c_void_p(), c_void_p()
        options = ContextOptions(struct_size=ctypes.sizeof(ContextOptions), threads=threads)
        self._call("vitrum_context_new", byref(options), byref(self._context))
        self._call("vitrum_clip_load", self._context, os.fsencode(directory), None, byref(self._clip))
        self.embed_dim = self._library.vitrum_clip_embed_dim(self._clip)

    def __del__(self):
        if hasattr(self, "_clip"):
            self._library.vitrum_clip_free(self._clip)
            self._library.vitrum_context_free(self._context)

    def encode_images(self, data: int, count: int, width: int, height: int) -> ctypes.Array:
        """Embeds `count` RGB pictures that lie one after the other at address `data`."""
        images = (Image * count)(*(
            Image(ctypes.sizeof(Image), PIXEL_RGB8, data + i * 3 * width * height, width, height, 3 * width)
            for i in range(count)))
        return self._embed("vitrum_clip_encode_image", images, count)

    def encode_texts(self, texts: list[str]) -> ctypes.Array:
        """Embeds texts."""
        strings = (c_char_p * len(texts))(*(text.encode() for text in texts))
        return self._embed("vitrum_clip_encode_text", strings, len(texts))

    def _embed(self, function: str, inputs: ctypes.Array, count: int) -> ctypes.Array:
        out = (c_float * (count * self.embed_dim))()
        self._call(function, self._clip, inputs, count, 0, out, len(out), None)
        return out

    def _call(self, function: str, *arguments) -> None:
        error = Error(struct_size=ctypes.sizeof(Error))
        if getattr(self._library, function)(*arguments, byref(error)) != 0:
            raise VitrumError(f"{function}: {error.message.decode()}")


def peak_bytes() -> int:
    """Peak resident memory of this process so far (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise OSError("no VmHWM in /proc/self/status")


def main() -> None:
    library, directory, size, threads = sys.argv[1:]
    side, weights = int(size), Path(directory) / "model.safetensors"
    clip = Clip(Path(library), Path(directory), int(threads))
    report = {"weights": weights.stat().st_size, "peak_load": peak_bytes()}
    for batch in (1, 8):
        pictures = ctypes.create_string_buffer(os.urandom(3 * side * side * batch))
        clip.encode_images(ctypes.addressof(pictures), batch, side, side)
        clip.encode_texts(["cat " * 75] * batch)
        report[f"peak_{batch}"] = peak_bytes()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
