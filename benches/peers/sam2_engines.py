"""SAM 2.1 in the engines, behind one interface: `Engine(setup, part)(job) -> arrays`.

`part` is one of `sam2_models.PARTS`. Every engine gets the same inputs, those of `sam2_models.bank`, but for the whole
frame: there Vitrum has tracked its own way to it, through `vitrum_tracker_push_frame` and `vitrum_tracker_step`, and its
result is the mask alone. `F32` has the engines in f32, `REDUCED` those in reduced precision.

As a program, `sam2_engines.py ENGINE …` tracks frames, and prints the bytes of peak resident memory as JSON. What it
needs must be in the cache already.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open

import sam2_models
import vitrum_c
from runtimes import OnnxRuntimeSession, OpenVinoRequest, TorchModule, reduced


@dataclass(frozen=True)
class Setup:
    """What an engine is made from."""

    directory: Path
    threads: int
    library: Path = vitrum_c.default_library()

    @property
    def parts(self) -> Path:
        """The program for the parts that the C interface does not have, built by
        `cargo build --release -p vitrum --example sam2_parts`."""
        return self.library.parent / "examples" / "sam2_parts"


def compared(part: str, outputs: list[np.ndarray]) -> list[np.ndarray]:
    """What engines must agree on. Of pictures the features with the lowest resolution, which the C interface hands out,
    and of frames the mask."""
    return outputs[:1] if part in ("encoder", "frame") else outputs


class PyTorch:
    """The `sam2` package in eager mode, with its default attention (sdpa). In bf16 under autocast, as its authors do."""

    name, precision, optional = "PyTorch", "f32", False

    def __init__(self, setup: Setup, part: str):
        self._part = part
        self._call = TorchModule(sam2_models.part(setup.directory, part), setup.threads, self.precision, autocast=True)

    def __call__(self, job: dict[str, np.ndarray]) -> list[np.ndarray]:
        return compared(self._part, self._call(*sam2_models.tensors(job, self._part)))


class OnnxRuntime:
    name, precision, optional, runtime = "ONNX Runtime", "f32", False, OnnxRuntimeSession

    def __init__(self, setup: Setup, part: str):
        self._part = part
        self._call = self.runtime(sam2_models.onnx_file(setup.directory, part), setup.threads, self.precision)

    def __call__(self, job: dict[str, np.ndarray]) -> list[np.ndarray]:
        return compared(self._part, self._call(*sam2_models.tensors(job, self._part)))


class OpenVino(OnnxRuntime):
    name, runtime = "OpenVINO", OpenVinoRequest


class Vitrum:
    """The C library through ctypes for pictures, clicks and frames, a program on pipes for the parts between them.

    A picture is encoded from its 8-bit pixels, and with it what the decoder's first layer needs of it, which the others
    compute in every call of the decoder."""

    name, precision, optional = "Vitrum", "f32", False

    def __init__(self, setup: Setup, part: str):
        kinds = {"encoder": VitrumPicture, "decoder": VitrumPicture, "frame": VitrumFrame}
        self._call = kinds.get(part, VitrumPart)(setup, part, self.precision)

    def __call__(self, job: dict[str, np.ndarray]) -> list[np.ndarray]:
        return self._call(job)


class VitrumPicture:
    def __init__(self, setup: Setup, part: str, precision: str):
        self._sam = vitrum_c.Sam(setup.library, setup.directory, setup.threads, precision)
        self._part, self._rgb, self._embedding = part, sam2_models.picture(sam2_models.FRAME), None
        with safe_open(setup.directory / "model.safetensors", "np") as weights:
            self._no_memory = weights.get_tensor("no_mem_embed").reshape(-1)

    def __call__(self, job: dict[str, np.ndarray]) -> list[np.ndarray]:
        if self._part == "encoder" or self._embedding is None:
            self._embedding = self._sam.encode(self._rgb.ctypes.data, sam2_models.SIDE, sam2_models.SIDE)
        if self._part == "encoder":
            # A picture has no memories, and what is added then is in its embedding.
            tokens = np.frombuffer(self._sam.values(self._embedding), np.float32).reshape(-1, sam2_models.DIM)
            top = (tokens - self._no_memory).reshape(1, sam2_models.GRID, sam2_models.GRID, -1)
            return [top.transpose(0, 3, 1, 2)]
        masks, iou = self._sam.predict_points(self._embedding, job["point"][0].tolist())
        return [np.frombuffer(masks, np.float32).reshape(1, 3, 4 * sam2_models.GRID, -1),
                np.frombuffer(iou, np.float32).reshape(1, 3)]


class VitrumFrame:
    """The first call tracks up to the frame whose memory is full, and that one; later calls go on from there."""

    def __init__(self, setup: Setup, part: str, precision: str):
        self._tracker = vitrum_c.Tracker(setup.library, setup.directory, setup.threads, sam2_models.SIDE,
                                         sam2_models.SIDE, precision)
        self._frames = None

    def __call__(self, job: dict[str, np.ndarray]) -> list[np.ndarray]:
        if self._frames is None:
            for index in range(sam2_models.FRAME):
                frame = sam2_models.picture(index)
                self._tracker.push(frame.ctypes.data)
                if index == 0:
                    self._tracker.click(*sam2_models.CLICK)
                self._tracker.step()
            self._frames = [sam2_models.picture(sam2_models.FRAME + i) for i in range(2)]
        self._tracker.push(self._frames[0].ctypes.data)
        self._tracker.step()
        self._frames.reverse()
        low_res = np.frombuffer(self._tracker.low_res(), np.float32)
        return [low_res.reshape(1, 1, 4 * sam2_models.GRID, -1)]


class VitrumPart:
    """`sam2_parts` computes a part, in f32, whenever it gets a line, and answers with the values."""

    def __init__(self, setup: Setup, part: str, precision: str):
        assert precision == "f32", precision
        inputs = sam2_models.parts_file(setup.directory)
        self._process = subprocess.Popen([setup.parts, setup.directory, inputs, part, str(setup.threads)],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._shape = {"attention": (1, sam2_models.GRID, sam2_models.GRID, sam2_models.DIM),
                       "memory": (1, sam2_models.GRID, sam2_models.GRID, sam2_models.MEMORY_DIM)}[part]

    def __call__(self, job: dict[str, np.ndarray]) -> list[np.ndarray]:
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        size = 4 * int(np.prod(self._shape))
        values = self._process.stdout.read(size)
        if len(values) != size:
            raise RuntimeError(f"sam2_parts ended with {self._process.wait()}")
        return [np.frombuffer(values, np.float32).reshape(self._shape).transpose(0, 3, 1, 2)]

    def __del__(self):
        self._process.stdin.close()
        self._process.wait()


F32 = {"pytorch": PyTorch, "onnxruntime": OnnxRuntime, "openvino": OpenVino, "vitrum": Vitrum}
REDUCED = reduced(F32)


def main() -> None:
    engine, directory, threads, library = sys.argv[1:]
    setup = Setup(Path(directory), int(threads), Path(library))
    job = sam2_models.bank(setup.directory)
    report = {"start": vitrum_c.peak_bytes()}
    frame = F32[engine](setup, "frame")
    report["load"] = vitrum_c.peak_bytes()
    frame(job)
    report["first"] = vitrum_c.peak_bytes()
    for _ in range(4):
        frame(job)
    report["later"] = vitrum_c.peak_bytes()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
