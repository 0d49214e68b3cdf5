"""SAM in the engines, behind one interface: `Engine(setup, part)(job) -> arrays`.

`part` is "encoder", whose result is `[embedding [1, C, G, G]]`, or "decoder", whose result is
`[masks [P, 3, 4G, 4G], iou [P, 3]]`: logits at low resolution, before anything is upscaled. `F32` has the engines in
f32, `REDUCED` those in reduced precision.

As a program, `sam_engines.py ENGINE …` encodes a picture and predicts masks from points, and prints the
bytes of peak resident memory as JSON. What it needs must be in the cache already.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import sam_models
import vitrum_c
from runtimes import OnnxRuntimeSession, OpenVinoRequest, TorchModule, reduced


@dataclass(frozen=True)
class Setup:
    """What an engine is made from."""

    model: str  # a key of `sam_models.MODELS`
    directory: Path
    threads: int
    mobile_source: Path | None = None
    library: Path = vitrum_c.default_library()


@dataclass(frozen=True)
class Job:
    """One call: the picture and its pixels for encoders; points, and the embedding they ask, for decoders."""

    rgb: np.ndarray  # u8 [S, S, 3]
    pixels: np.ndarray | None = None  # f32 [1, 3, S, S]
    embedding: np.ndarray | None = None  # f32 [1, C, G, G]
    points: np.ndarray | None = None  # f32 [P, 2], each a prompt of its own

    def tensors(self, part: str) -> tuple[np.ndarray, ...]:
        """Inputs of the exported part."""
        return (self.pixels,) if part == "encoder" else (self.embedding, self.points[None, :, None])


def unbatched(part: str, outputs: list[np.ndarray]) -> list[np.ndarray]:
    """Without the axis of pictures, which decoders have before that of prompts."""
    return outputs if part == "encoder" else [output[0] for output in outputs]


class PyTorch:
    """Eager mode: transformers with its default attention (sdpa), MobileSAM with its own."""

    name, precision, optional = "PyTorch", "f32", False

    def __init__(self, setup: Setup, part: str):
        model = sam_models.MODELS[setup.model]
        module = (model.load_encoder(setup.directory, setup.mobile_source) if part == "encoder"
                  else model.load_decoder(setup.directory))
        self._part, self._call = part, TorchModule(module, setup.threads, self.precision)

    def __call__(self, job: Job) -> list[np.ndarray]:
        return unbatched(self._part, self._call(*job.tensors(self._part)))


class OnnxRuntime:
    name, precision, optional, runtime = "ONNX Runtime", "f32", False, OnnxRuntimeSession

    def __init__(self, setup: Setup, part: str):
        self._part = part
        self._call = self.runtime(sam_models.onnx_file(setup.directory, part), setup.threads, self.precision)

    def __call__(self, job: Job) -> list[np.ndarray]:
        return unbatched(self._part, self._call(*job.tensors(self._part)))


class OpenVino(OnnxRuntime):
    name, runtime = "OpenVINO", OpenVinoRequest


class Vitrum:
    """The C library through ctypes. It normalises the picture itself, and prepares the decoder's first layer
    when it encodes; masks come from its own embedding of the picture."""

    name, precision, optional = "Vitrum", "f32", False

    def __init__(self, setup: Setup, part: str):
        self._sam = vitrum_c.Sam(setup.library, setup.directory, setup.threads, self.precision)
        self._part, self._embedding = part, None

    def __call__(self, job: Job) -> list[np.ndarray]:
        height, width, _ = job.rgb.shape
        if self._part == "encoder" or self._embedding is None:
            self._embedding = self._sam.encode(job.rgb.ctypes.data, width, height)
        if self._part == "encoder":
            tokens = np.frombuffer(self._sam.values(self._embedding), np.float32)
            return [tokens.reshape(1, sam_models.GRID, sam_models.GRID, -1).transpose(0, 3, 1, 2)]
        masks, iou = self._sam.predict_points(self._embedding, job.points.tolist())
        shape = (len(job.points), 3)
        return [np.frombuffer(masks, np.float32).reshape(*shape, 4 * sam_models.GRID, -1),
                np.frombuffer(iou, np.float32).reshape(shape)]


F32 = {"pytorch": PyTorch, "onnxruntime": OnnxRuntime, "openvino": OpenVino, "vitrum": Vitrum}
REDUCED = reduced(F32)


def main() -> None:
    engine, model, directory, threads, library, mobile_source = sys.argv[1:]
    setup = Setup(model, Path(directory), int(threads), Path(mobile_source), Path(library))
    rgb = sam_models.picture()
    report = {"start": vitrum_c.peak_bytes()}
    encoder = F32[engine](setup, "encoder")
    report["load"] = vitrum_c.peak_bytes()
    embedding = encoder(Job(rgb, sam_models.pixels_of(rgb)))[0]
    report["encode"] = vitrum_c.peak_bytes()
    if "decoder" in sam_models.MODELS[model].parts:
        del encoder
        decoder = F32[engine](setup, "decoder")
        for count in (1, 64):
            decoder(Job(rgb, embedding=np.ascontiguousarray(embedding), points=sam_models.points(count)))
            report[f"points_{count}"] = vitrum_c.peak_bytes()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
