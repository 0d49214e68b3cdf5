"""PyTorch modules and ONNX files as callables, with a number of threads and in a precision.

Precisions are "f32"; "bf16" (PyTorch); "default", what a runtime chooses itself for f32 weights (OpenVINO); and "int8"
(ONNX Runtime, OpenVINO), for which a quantised file is kept beside the ONNX file. `reduced` makes engines of them.

The runtimes are imported when they are used, so that a process holds only the one that it measures.
"""

import contextlib
import sys
from pathlib import Path

import numpy as np


def reduced(engines: dict[str, type]) -> dict[str, type]:
    """Engines in f32 -> the same in reduced precision. Peers, unlike Vitrum, may be left out where they fail."""
    formats = {"pytorch": ["bf16"], "onnxruntime": ["int8"], "openvino": ["default", "int8"],
               "vitrum": ["bf16", "int8"]}
    return {
        f"{key}-{precision}": type(f"{engine.__name__}_{precision}", (engine,), {
            "name": f"{engine.name} {precision}", "precision": precision, "optional": key != "vitrum"})
        for key, engine in engines.items() for precision in formats[key]
    }


class TorchModule:
    """A module in eager mode. In bf16, weights and activations are bf16, or with `autocast` only those of products."""

    def __init__(self, module, threads: int, precision: str = "f32", autocast: bool = False):
        import torch

        torch.set_num_threads(threads)
        if precision == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            raise RuntimeError("no products of bf16 on this CPU but a fallback that takes 30 times as long as f32")
        self._torch, self._autocast = torch, autocast and precision == "bf16"
        self._dtype = torch.bfloat16 if precision == "bf16" and not autocast else torch.float32
        self._module = module.to(self._dtype)

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        tensors = map(self._torch.from_numpy, arrays)
        with self._torch.inference_mode(), self._torch.autocast("cpu", self._torch.bfloat16, self._autocast):
            result = self._module(*(t.to(self._dtype) if t.is_floating_point() else t for t in tensors))
        return [output.float().numpy() for output in (result if isinstance(result, tuple) else (result,))]


class OnnxRuntimeSession:
    """CPU provider, all graph optimisations. "int8": weights per channel, activations quantised in every call."""

    def __init__(self, path: Path, threads: int, precision: str = "f32"):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        path = self._quantized(path) if precision == "int8" else path
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._inputs = [value.name for value in self._session.get_inputs()]

    @staticmethod
    def _quantized(path: Path) -> Path:
        """The file of `path` with products in int8, made on first use."""
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantized = path.with_suffix(".int8.onnx")
        if not quantized.exists():
            scratch = quantized.with_suffix(".partial")
            quantize_dynamic(path, scratch, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True,
                             weight_type=QuantType.QInt8)
            scratch.rename(quantized)
        return quantized

    def __call__(self, *tensors: np.ndarray) -> list[np.ndarray]:
        return self._session.run(None, dict(zip(self._inputs, tensors, strict=True)))


class OpenVinoRequest:
    """CPU plugin, compiled for the shapes at hand. "f32" holds it to f32; its default may be bf16. "int8": NNCF's
    quantisation of weights and activations, calibrated on the inputs at hand; what remains is "default"."""

    def __init__(self, path: Path, threads: int, precision: str = "f32"):
        import openvino

        self._core, self._path, self._precision = openvino.Core(), path, precision
        self._options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
        if precision == "f32":
            self._options["INFERENCE_PRECISION_HINT"] = "f32"
        self._shapes, self._request = None, None

    def _quantized(self, tensors: list[np.ndarray]) -> Path:
        """The file of `self._path` in int8 for this batch, made on first use."""
        import nncf
        import openvino

        quantized = self._path.with_suffix(f".{len(tensors[0])}.int8.xml")
        if not quantized.exists():
            with contextlib.redirect_stdout(sys.stderr):  # its progress
                model = nncf.quantize(self._core.read_model(self._path), nncf.Dataset([tensors]), subset_size=1,
                                      model_type=nncf.ModelType.TRANSFORMER)
            # The weights first: a file without them is not taken for a whole one.
            scratch = self._path.with_suffix(".partial.xml")
            openvino.save_model(model, scratch, compress_to_fp16=False)
            scratch.with_suffix(".bin").rename(quantized.with_suffix(".bin"))
            scratch.rename(quantized)
        return quantized

    def __call__(self, *tensors: np.ndarray) -> list[np.ndarray]:
        shapes = [tensor.shape for tensor in tensors]
        if shapes != self._shapes:
            self._request = None  # before the next one is made, for the memory
            path = self._quantized(list(tensors)) if self._precision == "int8" else self._path
            model = self._core.read_model(path)
            model.reshape({i: list(shape) for i, shape in enumerate(shapes)})
            compiled = self._core.compile_model(model, "CPU", self._options)
            self._shapes, self._request = shapes, compiled.create_infer_request()
        return list(self._request.infer(list(tensors)).values())
