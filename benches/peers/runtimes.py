"""ONNX files as callables in ONNX Runtime and OpenVINO, held to f32 and to a number of threads.

The runtimes are imported when they are used, so that a process holds only the one that it measures.
"""

from pathlib import Path

import numpy as np


class OnnxRuntimeSession:
    """CPU provider, all graph optimisations."""

    def __init__(self, path: Path, threads: int):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._inputs = [value.name for value in self._session.get_inputs()]

    def __call__(self, *tensors: np.ndarray) -> list[np.ndarray]:
        return self._session.run(None, dict(zip(self._inputs, tensors, strict=True)))


class OpenVinoRequest:
    """CPU plugin, compiled for the shapes at hand, in f32 (its default may be bf16)."""

    def __init__(self, path: Path, threads: int):
        import openvino

        self._core, self._path = openvino.Core(), path
        self._options = {
            "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
        }
        self._shapes, self._request = None, None

    def __call__(self, *tensors: np.ndarray) -> list[np.ndarray]:
        shapes = [tensor.shape for tensor in tensors]
        if shapes != self._shapes:
            self._request = None  # before the next one is made, for the memory
            model = self._core.read_model(self._path)
            model.reshape({i: list(shape) for i, shape in enumerate(shapes)})
            compiled = self._core.compile_model(model, "CPU", self._options)
            self._shapes, self._request = shapes, compiled.create_infer_request()
        return list(self._request.infer(list(tensors)).values())
