"""CLIP in the engines, behind one interface: `Engine(directory, job, threads)(job) -> [embeds [B, E]]`.

`embeds` are the projected, unnormalised f32 embeddings. An engine serves the tower of the job that
it was made for, at any batch; what it does once per batch size happens in its first call.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import vitrum_c
from clip_models import load_tower, onnx_file
from runtimes import OnnxRuntimeSession, OpenVinoRequest


@dataclass
class Job:
    """One call: u8 pictures or texts for Vitrum, and the same as tensors for the others."""

    tower: str
    tensor: np.ndarray  # pixels f32 [B, 3, S, S] or ids i64 [B, 77]
    pictures: np.ndarray | None = None  # u8 [B, S, S, 3]
    texts: list[str] | None = None


class PyTorch:
    """transformers in eager mode with its default attention (sdpa)."""

    name = "PyTorch"

    def __init__(self, directory: Path, job: Job, threads: int):
        import torch

        torch.set_num_threads(threads)
        self.torch = torch
        self.tower = load_tower(directory, job.tower)

    def __call__(self, job: Job) -> list[np.ndarray]:
        with self.torch.inference_mode():
            return [self.tower(self.torch.from_numpy(job.tensor)).numpy()]


class OnnxRuntime:
    name = "ONNX Runtime"

    def __init__(self, directory: Path, job: Job, threads: int):
        self.session = OnnxRuntimeSession(onnx_file(directory, job.tower, job.tensor), threads)

    def __call__(self, job: Job) -> list[np.ndarray]:
        return self.session(job.tensor)


class OpenVino:
    name = "OpenVINO"

    def __init__(self, directory: Path, job: Job, threads: int):
        self.request = OpenVinoRequest(onnx_file(directory, job.tower, job.tensor), threads)

    def __call__(self, job: Job) -> list[np.ndarray]:
        return self.request(job.tensor)


class Vitrum:
    """The C library through ctypes."""

    name = "Vitrum"
    library: Path = vitrum_c.default_library()

    def __init__(self, directory: Path, job: Job, threads: int):
        self.clip = vitrum_c.Clip(self.library, directory, threads)

    def __call__(self, job: Job) -> list[np.ndarray]:
        if job.pictures is not None:
            batch, height, width, _ = job.pictures.shape
            embeds = self.clip.encode_images(job.pictures.ctypes.data, batch, width, height)
        else:
            embeds = self.clip.encode_texts(job.texts)
        return [np.frombuffer(embeds, np.float32).reshape(len(job.tensor), -1)]
