#!/usr/bin/env python3
"""Times the parts of SAM 2.1 Hiera-T in PyTorch, ONNX Runtime, OpenVINO and Vitrum, side by side.

    cargo rustc -p vitrum --lib --release --features capi --crate-type cdylib
    cargo build --release -p vitrum --example sam2_parts
    python -m venv venv && venv/bin/pip install -r benches/peers/requirements.txt
    venv/bin/python benches/peers/sam2_peers.py --cache DIR

All engines get the same random f32 weights, the same inputs and the same number of threads, and take turns, so that a
change of the machine's speed meets all of them. Figures are medians. The first call of every engine is checked
against the first of them and not timed.

Rows: `encoder` is one picture of 1024 x 1024; `attention` the memory attention of one object with 7 memories and 16
pointers (64 tokens); `decoder` one click, with three masks of 256 x 256 logits and their scores; `memory` the memory
encoder; `frame` a whole frame of one object that was clicked before: encoder, attention, decoder, memory encoder. What
one timed call covers: for PyTorch, ONNX Runtime and OpenVINO, ready f32 tensors to f32 tensors, a frame in one graph.
For Vitrum, a u8 picture or frame through the C interface, and the other parts through `sam2_parts`.

The mask of `frame` may differ more than other results: Vitrum has tracked sixteen frames up to it, with memories in
bf16. The memory table has each engine in a process of its own. DIR keeps weights, ONNX files and inputs (1.3 GB).
"""

import argparse
import gc
import json
import subprocess
import sys
from pathlib import Path

import harness
import sam2_engines
import sam2_models
import vitrum_c
from sam2_engines import ENGINES, Setup, Vitrum

# With random weights the decoder magnifies differences by a thousand (noise of 1e-6 in its features moves the masks of
# any engine by 1e-3), and the frame has been through it. Vitrum's memories are bf16 already.
TOLERANCE = {"encoder": 1e-4, "attention": 1e-4, "decoder": 5e-3, "memory": 4e-3, "frame": 5e-2}


def setup_of(arguments) -> Setup:
    """The model, with everything that the engines need of it in the cache."""
    directory = sam2_models.model_directory(arguments.cache)
    sam2_models.parts_file(directory)
    for part in dict.fromkeys([*arguments.rows, "frame"]):
        sam2_models.export(directory, part)
    return Setup(directory, arguments.threads, arguments.library)


def run(arguments, setup: Setup) -> list[dict]:
    """All rows of the table, the engines of one part in memory at a time."""
    rows, job = [], sam2_models.bank(setup.directory)
    for part in arguments.rows:
        engines = [ENGINES[engine](setup, part) for engine in arguments.engines]
        rows.append({"part": part} | harness.interleave(engines, job, arguments.seconds))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        del engines
        gc.collect()
    return rows


def memory_table(arguments, setup: Setup) -> str:
    """Peak resident memory of each engine, in a process of its own."""
    lines = [["engine", "weights MiB", "peak MiB: before", "loaded", "a frame", "4 frames more", "frame - weights"],
             ["---"] + ["---:"] * 6]
    weights = (setup.directory / "model.safetensors").stat().st_size
    for name in arguments.engines:
        out = subprocess.run(
            [sys.executable, sam2_engines.__file__, name, setup.directory, str(setup.threads), setup.library],
            check=True, stdout=subprocess.PIPE, text=True).stdout
        peaks = json.loads(out)
        shown = [f"{peaks[key] / 2**20:.0f}" for key in ("start", "load", "first", "later")]
        lines.append([ENGINES[name].name, f"{weights / 2**20:.0f}", *shown,
                      f"{(peaks['later'] - weights) / 2**20:.0f}"])
    return harness.markdown(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="directory for weights and ONNX files")
    parser.add_argument("--library", type=Path, default=vitrum_c.default_library(),
                        help="libvitrum, by default of the release build")
    parser.add_argument("--rows", type=harness.listed(str, sam2_models.PARTS), default=list(sam2_models.PARTS),
                        help=", ".join(sam2_models.PARTS))
    parser.add_argument("--engines", type=harness.listed(str, ENGINES), default=list(ENGINES),
                        help=", ".join(ENGINES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20,
                        help="shortest time to spend on a row; three rounds at least")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory table")
    parser.add_argument("--no-times", action="store_true", help="the memory table alone")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    setup = setup_of(arguments)
    rows = [] if arguments.no_times else run(arguments, setup)
    if rows:
        print(f"\n{arguments.threads} threads, f32; median (least) of the calls in each row\n")
        print(harness.table(rows, ["part"], Vitrum.name))
    if not arguments.no_memory:
        print("\n" + memory_table(arguments, setup))
    wrong = [(row, engine) for row in rows for engine, error in row["relative_error"].items()
             if not error <= TOLERANCE[row["part"]]]
    for row, engine in wrong:
        print(f"{engine} disagrees on {row['part']}: {row['relative_error'][engine]:.1e}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
