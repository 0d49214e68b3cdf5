"""Seeds, file output and test pictures shared by the generators."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file


def seeded(name: str) -> torch.Generator:
    """A generator whose stream depends only on `name`, not on what ran before."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def write_tensors(path: Path, tensors: dict[str, torch.Tensor | np.ndarray]) -> None:
    """Write a safetensors file, creating its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    as_torch = {
        name: torch.from_numpy(t.copy()) if isinstance(t, np.ndarray) else t.detach().clone()
        for name, t in tensors.items()
    }
    as_torch = {name: t.contiguous() for name, t in as_torch.items()}
    save_file(as_torch, path, metadata={"format": "pt"})


def strip_source_positions(path: Path) -> None:
    """Remove the members `*.debug_pkl` of a TorchScript archive: they hold paths of the machine that wrote it.

    The other members are copied byte for byte, deflated code included, which `zipfile` cannot do.
    """
    old = path.read_bytes()
    end = old.rindex(b"PK\x06\x06")
    directory_len, directory_at = struct.unpack_from("<QQ", old, end + 40)
    entries, at = [], directory_at
    while at < directory_at + directory_len:
        name, extra, comment = struct.unpack_from("<HHH", old, at + 28)
        size = 46 + name + extra + comment
        entries.append((struct.unpack_from("<I", old, at + 42)[0], old[at : at + size], old[at + 46 : at + 46 + name]))
        at += size
    ends = [entry[0] for entry in entries[1:]] + [directory_at]
    new, directory = b"", b""
    kept = 0
    for (header, record, name), stop in zip(entries, ends):
        if name.endswith(b".debug_pkl"):
            continue
        directory += record[:42] + struct.pack("<I", len(new)) + record[46:]
        new += old[header:stop]
        kept += 1
    sizes = (kept, kept, len(directory), len(new))
    record_at = len(new) + len(directory)
    path.write_bytes(
        new
        + directory
        + struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 30, 45, 0, 0, *sizes)
        + struct.pack("<4sIQI", b"PK\x06\x07", 0, record_at, 1)
        + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, *sizes, 0)
    )


def write_json(path: Path, value, indent: int | None = 2) -> None:
    """Write JSON as UTF-8 with a final newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=indent) + "\n", encoding="utf-8")


def picture(name: str, height: int, width: int, channels: int) -> np.ndarray:
    """A u8 test picture [height, width, channels].

    Smooth gradients, hard 0/255 edges (so that bicubic overshoots and must clamp) and noise
    (so that a tap taken from the wrong place shows).
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    out = np.empty((height, width, channels), np.uint8)
    for c in range(channels):
        phase = rng.uniform(0, 6.28)
        smooth = 127.5 + 100 * np.sin(phase + 0.21 * (c + 1) * x) * np.cos(0.17 * y + phase)
        checks = ((x // 5 + y // 7 + c) % 3 == 0) * 255.0
        noise = rng.integers(0, 256, (height, width))
        third = (x * 3 // max(width, 1)).astype(int)
        out[..., c] = np.select([third == 0, third == 1], [smooth, checks], noise)
    return out
