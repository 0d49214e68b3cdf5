"""Writes index-1-f32.idx and index-1-int8.idx as docs/search.md describes them, with Python alone: python3 make_index.py"""

import json
import struct
from pathlib import Path

MASK = 2**64 - 1
PATHS = [b"/pictures/1.png", b"/pictures/caf\xe9 \"<2>\".jpg", b"/pictures/3/\xc3\xa4.webp"]
ROWS = [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, -0.6, 0.8]]


def checksum(parts):
    h = 0xCBF29CE484222325
    for part in parts:
        for at in range(0, len(part), 8):
            word = int.from_bytes(part[at : at + 8].ljust(8, b"\0"), "little")
            h = (h ^ word) * 0x100000001B3 & MASK
            h ^= h >> 29
    return h


def write(name, embeddings):
    ends = [sum(map(len, PATHS[: i + 1])) for i in range(len(PATHS))]
    tensors = [
        ("sizes", "U64", [3], struct.pack("<3Q", 10, 2**40, 0)),
        ("times", "I64", [3], struct.pack("<3q", 1_700_000_000_000_000_001, -5, 0)),
        ("path_ends", "U64", [3], struct.pack("<3Q", *ends)),
        *embeddings,
        ("paths", "U8", [ends[-1]], b"".join(PATHS)),
    ]
    header = {
        "__metadata__": {
            "vitrum.kind": "index of pictures",
            "vitrum.version": "1",
            "vitrum.model": "demo:clip",
            "vitrum.model_fingerprint": "0123456789abcdef",
            "vitrum.checksum": f"{checksum([it[3] for it in tensors]):016x}",
        }
    }
    at = 0
    for tensor, dtype, shape, data in tensors:
        header[tensor] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text = text.ljust((len(text) + 7) // 8 * 8)
    data = struct.pack("<Q", len(text)) + text + b"".join(it[3] for it in tensors)
    Path(__file__).with_name(name).write_bytes(data)


def main():
    write("index-1-f32.idx", [("embeddings", "F32", [3, 3], struct.pack("<9f", *sum(ROWS, [])))])
    scales = [max(map(abs, row)) / 127 for row in ROWS]
    codes = [round(x / scale) for row, scale in zip(ROWS, scales) for x in row]
    write(
        "index-1-int8.idx",
        [("scales", "F32", [3], struct.pack("<3f", *scales)), ("codes", "I8", [3, 3], struct.pack("<9b", *codes))],
    )


main()
