"""The engines behind one interface: `Engine(directory, job, threads)(job) -> embeds [B, E]`.

`embeds` are the projected, unnormalised f32 embeddings. An engine serves the tower of the job that
it was made for, at any batch; what it does once per batch size happens in its first call.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import vitrum_c
from models import load_tower, onnx_file


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

    def __call__(self, job: Job) -> np.ndarray:
        with self.torch.inference_mode():
            return self.tower(self.torch.from_numpy(job.tensor)).numpy()


class OnnxRuntime:
    """CPU provider, all graph optimisations."""

    name = "ONNX Runtime"

    def __init__(self, directory: Path, job: Job, threads: int):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(
            onnx_file(directory, job.tower, job.tensor), options,
            providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    def __call__(self, job: Job) -> np.ndarray:
        return self.session.run(None, {self.input: job.tensor})[0]


class OpenVino:
    """CPU plugin, compiled for the batch at hand, held to f32 (its default may be bf16)."""

    name = "OpenVINO"

    def __init__(self, directory: Path, job: Job, threads: int):
        import openvino

        self.core = openvino.Core()
        self.path = onnx_file(directory, job.tower, job.tensor)
        self.options = {
            "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
        }
        self.shape, self.request = None, None

    def __call__(self, job: Job) -> np.ndarray:
        if job.tensor.shape != self.shape:
            self.request = None  # before the next one is made, for the memory
            model = self.core.read_model(self.path)
            model.reshape(list(job.tensor.shape))
            compiled = self.core.compile_model(model, "CPU", self.options)
            self.shape, self.request = job.tensor.shape, compiled.create_infer_request()
        return next(iter(self.request.infer([job.tensor]).values()))


class Vitrum:
    """The C library through ctypes."""

    name = "Vitrum"
    library: Path = vitrum_c.default_library()

    def __init__(self, directory: Path, job: Job, threads: int):
        self.clip = vitrum_c.Clip(self.library, directory, threads)

    def __call__(self, job: Job) -> np.ndarray:
        if job.pictures is not None:
            batch, height, width, _ = job.pictures.shape
            embeds = self.clip.encode_images(job.pictures.ctypes.data, batch, width, height)
        else:
            embeds = self.clip.encode_texts(job.texts)
        return np.frombuffer(embeds, np.float32).reshape(len(job.tensor), -1)
