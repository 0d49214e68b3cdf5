"""CLIP in the engines, behind one interface: `Engine(directory, job, threads)(job) -> [embeds [B, E]]`.

`F32` has the engines in f32, `REDUCED` those in reduced precision.

`embeds` are the projected, unnormalised f32 embeddings. An engine serves the tower of the job that
it was made for, at any batch; what it does once per batch size happens in its first call.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import vitrum_c
from clip_models import load_tower, onnx_file
from runtimes import OnnxRuntimeSession, OpenVinoRequest, TorchModule, reduced


@dataclass
class Job:
    """One call: u8 pictures or texts for Vitrum, and the same as tensors for the others."""

    tower: str
    tensor: np.ndarray  # pixels f32 [B, 3, S, S] or ids i64 [B, 77]
    pictures: np.ndarray | None = None  # u8 [B, S, S, 3]
    texts: list[str] | None = None


class PyTorch:
    """transformers in eager mode with its default attention (sdpa)."""

    name, precision, optional = "PyTorch", "f32", False

    def __init__(self, directory: Path, job: Job, threads: int):
        self._call = TorchModule(load_tower(directory, job.tower), threads, self.precision)

    def __call__(self, job: Job) -> list[np.ndarray]:
        return self._call(job.tensor)


class OnnxRuntime:
    name, precision, optional, runtime = "ONNX Runtime", "f32", False, OnnxRuntimeSession

    def __init__(self, directory: Path, job: Job, threads: int):
        self._call = self.runtime(onnx_file(directory, job.tower, job.tensor), threads, self.precision)

    def __call__(self, job: Job) -> list[np.ndarray]:
        return self._call(job.tensor)


class OpenVino(OnnxRuntime):
    name, runtime = "OpenVINO", OpenVinoRequest


class Vitrum:
    """The C library through ctypes."""

    name, precision, optional = "Vitrum", "f32", False
    library: Path = vitrum_c.default_library()

    def __init__(self, directory: Path, job: Job, threads: int):
        self.clip = vitrum_c.Clip(self.library, directory, threads, self.precision)

    def __call__(self, job: Job) -> list[np.ndarray]:
        if job.pictures is not None:
            batch, height, width, _ = job.pictures.shape
            embeds = self.clip.encode_images(job.pictures.ctypes.data, batch, width, height)
        else:
            embeds = self.clip.encode_texts(job.texts)
        return [np.frombuffer(embeds, np.float32).reshape(len(job.tensor), -1)]


F32 = {"pytorch": PyTorch, "onnxruntime": OnnxRuntime, "openvino": OpenVino, "vitrum": Vitrum}
REDUCED = reduced(F32)
