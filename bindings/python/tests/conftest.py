"""The repository's models, pictures and reference values."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vitrum

REPOSITORY = Path(__file__).resolve().parents[3]


def safetensors(path):
    """The tensors of a file by name."""
    types = {"F32": np.float32, "I64": np.int64, "U8": np.uint8}
    contents = path.read_bytes()
    start = 8 + int.from_bytes(contents[:8], "little")
    header = json.loads(contents[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, it in header.items():
        first, last = (start + offset for offset in it["data_offsets"])
        tensors[name] = np.frombuffer(contents[first:last], types[it["dtype"]]).reshape(it["shape"])
    return tensors


@pytest.fixture(scope="session")
def repository():
    return REPOSITORY


@pytest.fixture(scope="session")
def demo():
    return REPOSITORY / "demo"


@pytest.fixture(scope="session")
def golden():
    """Reads what reference implementations computed."""
    return lambda name: safetensors(REPOSITORY / "tests/golden" / name)


@pytest.fixture(scope="session")
def clip(demo):
    return vitrum.Clip(demo / "clip-nano")


@pytest.fixture(scope="session")
def sam(demo):
    return vitrum.Sam(demo / "sam-nano")


@pytest.fixture(scope="session")
def sam2(demo):
    return vitrum.Sam(demo / "sam2-nano")


@pytest.fixture(scope="session")
def photo(demo):
    """uint8 [448, 448, 3]."""
    array = np.array(Image.open(demo / "images/astronaut.jpg").convert("RGB"))
    array.flags.writeable = False
    return array


@pytest.fixture(scope="session")
def embedding(sam, photo):
    return sam.encode(photo)


@pytest.fixture(scope="session")
def command():
    """The command `vitrum`, if it has been built."""
    named = os.environ.get("VITRUM_COMMAND")
    path = Path(named) if named else REPOSITORY / "target/release/vitrum"
    if not named and not path.is_file():
        pytest.skip("the command `vitrum` is not built; VITRUM_COMMAND can name it")
    return path
