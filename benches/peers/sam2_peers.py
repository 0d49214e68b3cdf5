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

With `--precision reduced` the engines are PyTorch in bf16, ONNX Runtime in int8 (dynamic), OpenVINO as it chooses
itself (bf16 where the CPU has it) and in int8 (NNCF, calibrated on the row's own inputs), and Vitrum in bf16 and
int8; AMX is permitted. Their reference is PyTorch in f32, and a second table has the error and the cosine of each. A
peer that cannot run leaves its cells empty and its reason on stderr. Rows are `encoder` and `frame`: Vitrum keeps the
other parts in f32. Quantising takes minutes, on first use.

The mask of `frame` may differ more than other results: Vitrum has tracked sixteen frames up to it, with memories in
bf16. The memory table has each engine in a process of its own. DIR keeps weights, ONNX files and inputs (1.3 GB;
1.9 GB with files in int8).
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
from harness import Tolerance
from sam2_engines import F32, REDUCED, PyTorch, Setup, Vitrum

ENGINES = {"f32": F32, "reduced": REDUCED}
LABELS = ["part"]
ROWS = {"f32": list(sam2_models.PARTS), "reduced": ["encoder", "frame"]}

# With random weights the decoder magnifies differences by a thousand (noise of 1e-6 in its features moves the masks of
# any engine by 1e-3), and the frame has been through it. Vitrum's memories are bf16 already.
# In reduced precision engines reach cosines of 0.994 and more. Another frame's features have 0.82, and its mask 0.55.
TOLERANCE = {
    "f32": {"encoder": Tolerance(error=1e-4), "attention": Tolerance(error=1e-4), "decoder": Tolerance(error=5e-3),
            "memory": Tolerance(error=4e-3), "frame": Tolerance(error=5e-2)},
    "reduced": {"encoder": Tolerance(cosine=0.98), "frame": Tolerance(cosine=0.98)},
}


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
        [reference] = harness.references(arguments.precision, lambda: PyTorch(setup, part), [job])
        engines = harness.start([ENGINES[arguments.precision][e] for e in arguments.engines], setup, part)
        rows.append({"part": part} | harness.interleave(engines, job, arguments.seconds, reference))
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
        lines.append([F32[name].name, f"{weights / 2**20:.0f}", *shown,
                      f"{(peaks['later'] - weights) / 2**20:.0f}"])
    return harness.markdown(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="directory for weights and ONNX files")
    parser.add_argument("--library", type=Path, default=vitrum_c.default_library(),
                        help="libvitrum, by default of the release build")
    parser.add_argument("--rows", type=harness.listed(str), help=", ".join(sam2_models.PARTS))
    harness.add_precision(parser)
    parser.add_argument("--engines", type=harness.listed(str), help="of a precision: " + ", ".join(F32 | REDUCED))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20,
                        help="shortest time to spend on a row; three rounds at least")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory table")
    parser.add_argument("--no-times", action="store_true", help="the memory table alone")
    arguments = parser.parse_args()
    harness.choose(parser, arguments, "engines", ENGINES[arguments.precision])
    harness.choose(parser, arguments, "rows", ROWS[arguments.precision])
    return arguments


def main() -> int:
    arguments = parse()
    setup = setup_of(arguments)
    rows = [] if arguments.no_times else run(arguments, setup)
    if rows:
        harness.report(arguments, rows, LABELS, harness.names(ENGINES[arguments.precision], Vitrum))
    if arguments.precision == "f32" and not arguments.no_memory:
        print("\n" + memory_table(arguments, setup))
    return harness.verdict(rows, LABELS, lambda row: TOLERANCE[arguments.precision][row["part"]])


if __name__ == "__main__":
    sys.exit(main())
