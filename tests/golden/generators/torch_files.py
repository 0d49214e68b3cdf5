"""Checkpoints as PyTorch writes them: state dicts in every format, what training leaves, TorchScript."""

import argparse
import warnings
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import torch

from . import common


def sample() -> dict[str, torch.Tensor]:
    """Every data type, and every kind of view."""
    generator = common.seeded("torch_files")
    noise = lambda *shape: torch.randn(shape, generator=generator)  # noqa: E731
    f32 = noise(2, 3)
    wide = noise(4, 6)
    deep = noise(2, 3, 4).bfloat16()
    return {
        "f32": f32,
        "f16": noise(3).half(),
        "bf16": noise(2, 2).bfloat16(),
        "f64": noise(3).double(),
        "f8": noise(4).to(torch.float8_e4m3fn),
        "c64": torch.complex(noise(2), noise(2)),
        "i64": torch.tensor(77),
        "i32": torch.tensor([-5, 6], dtype=torch.int32),
        "i16": torch.tensor([-5, 6], dtype=torch.int16),
        "i8": torch.tensor([-5, 6], dtype=torch.int8),
        "u8": torch.tensor([5, 200], dtype=torch.uint8),
        "u16": torch.tensor([5, 60000], dtype=torch.uint16),
        "bool": torch.tensor([True, False, True]),
        "tied": f32,
        "row": f32[1],
        "transposed": wide.T,
        "sliced": wide[1:, 1:6:2],
        "expanded": noise(2, 1).expand(2, 5),
        "permuted": deep.permute(2, 0, 1),
        "channels_last": noise(2, 3, 2, 2).half().to(memory_format=torch.channels_last),
        "f64_transposed": noise(3, 2).double().T,
        "empty": noise(0, 4),
        "scalar": noise()[()],
        "parameter": torch.nn.Parameter(noise(2, 2)),
    }


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)
        self.norm = torch.nn.BatchNorm1d(3)

    def forward(self, x):
        return self.norm(self.linear(x))


class Model(torch.nn.Module):
    """Submodules, a list of them, one of them twice, buffers, and a tensor that is none."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(4.6))
        self.blocks = torch.nn.ModuleList([Block(), Block()])
        self.again = self.blocks[0].linear
        self.head = torch.nn.Linear(3, 2, bias=False)
        self.register_buffer("context_length", torch.tensor(77))
        self.mask = torch.full((3, 3), -1.0).triu(1)
        self.layers = 2
        self.sizes = [1, 2]

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(self.again(x) + self.mask[0]) * self.scale


def model() -> Model:
    result = Model().eval()
    generator = common.seeded("torch_files.model")
    with torch.no_grad():
        for parameter in result.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    result.head.half()
    return result


def training(trained: Model) -> dict:
    """What a training script keeps beside the weights."""
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    for parameter in trained.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    trained.zero_grad()
    losses = defaultdict(list)
    losses["train"].append(np.float64(0.25))
    numpy_state = np.random.RandomState(1).get_state()
    return {
        "epoch": 3,
        "name": "tiny",
        "args": argparse.Namespace(lr=1e-3, path=Path("runs/1"), dtype=torch.float16, device=torch.device("cpu"), size=(1, 2)),
        "losses": losses,
        "best": np.float32(0.5),
        "history": np.arange(3.0),
        "lr_scheduler": scheduler.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": {"scale": 65536.0, "growth_interval": 2000},
        "random": (numpy_state[0], numpy_state[1][:4], *numpy_state[2:]),
        "torch_random": torch.get_rng_state()[:16],
        "ema": {name: tensor * 0 for name, tensor in trained.state_dict().items()},
        "tags": {"a", "b"},
        "step": 1 << 40,
        "raw": b"\x00\xff",
    }


def generate(output: Path) -> None:
    warnings.simplefilter("ignore")
    directory = output / "torch"
    directory.mkdir(parents=True, exist_ok=True)
    tensors = sample()
    common.write_tensors(directory / "sample.safetensors", {k: v.clone() for k, v in tensors.items()})
    torch.save(tensors, directory / "sample.pt")
    torch.save(tensors, directory / "sample-protocol-5.pt", pickle_protocol=5)
    torch.save(tensors, directory / "sample-legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(tensors, directory / "sample-legacy-protocol-4.pth", pickle_protocol=4, _use_new_zipfile_serialization=False)
    trained = model()
    beside = training(trained)
    state = trained.state_dict()
    common.write_tensors(directory / "model.safetensors", state)
    torch.save(beside | {"model": state}, directory / "training.pth")
    torch.save({"checkpoint": {"state_dict": OrderedDict(state)}, "optimizer": beside["optimizer"]}, directory / "nested.ckpt")
    half = trained
    half.head.float()
    traced = torch.jit.trace(half, torch.zeros(2, 3))
    half.head.half()
    traced.head.half()
    torch.jit.save(traced, directory / "traced.pt")
    torch.jit.save(torch.jit.script(trained), directory / "scripted.pt")
    for name in ("traced", "scripted"):
        common.strip_source_positions(directory / f"{name}.pt")
        loaded = torch.jit.load(directory / f"{name}.pt").state_dict()
        assert list(loaded) == list(state), (list(loaded), list(state))
        assert all(torch.equal(loaded[key], state[key]) for key in state)
    # What is not read.
    torch.save(trained, directory / "whole-model.pt")
    torch.save({"a": tensors["f32"], "sparse": tensors["f32"].to_sparse()}, directory / "sparse.pt")
    torch.save({"q": torch.quantize_per_tensor(tensors["f32"], 0.1, 0, torch.qint8)}, directory / "quantized.pt")
    torch.save({"m": torch.empty(2, device="meta")}, directory / "meta.pt")
    torch.save({"neg": torch.complex(tensors["f32"], tensors["f32"]).conj().imag}, directory / "negated.pt")
    torch.save([tensors["f32"]], directory / "list.pt")
