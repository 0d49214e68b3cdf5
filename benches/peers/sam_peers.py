#!/usr/bin/env python3
"""Times SAM's encoder and decoder in PyTorch, ONNX Runtime, OpenVINO and Vitrum, side by side.

    cargo rustc -p vitrum --release --features capi --crate-type cdylib
    python -m venv venv && venv/bin/pip install -r benches/peers/requirements.txt
    git clone https://github.com/ChaoningZhang/MobileSAM
    venv/bin/python benches/peers/sam_peers.py --cache DIR --mobile-sam MobileSAM

All engines get the same random f32 weights, the same inputs and the same number of threads, and take
turns within one process, so that a change of the machine's speed meets all of them. Figures are
medians. The first call of every engine is checked against the first of them and not timed.

Rows: `encode` is one picture of 1024 x 1024; `points-1` and `points-64` are that many prompts of one point
each against an embedding that is there, with three masks of 256 x 256 logits and their scores for each.
What one timed call covers: for PyTorch, ONNX Runtime and OpenVINO, ready f32 tensors to f32 tensors. For
Vitrum, a u8 picture to an embedding: its normalisation is inside, and so is the part of the decoder that
does not depend on prompts, which it computes once per picture and the others in every call.

With `--precision reduced` the engines are PyTorch in bf16, ONNX Runtime in int8 (dynamic), OpenVINO as it chooses
itself (bf16 where the CPU has it) and in int8 (NNCF, calibrated on the row's own inputs), and Vitrum in bf16 and
int8; AMX is permitted. Their reference is PyTorch in f32, and a second table has the error and the cosine of each. A
peer that cannot run leaves its cells empty and its reason on stderr. Rows are those of encoders: Vitrum keeps
decoders in f32. Quantising takes minutes, on first use.

The memory table has each engine in a process of its own. DIR keeps weights and ONNX files (0.8 GB; 1.0 GB with those
in int8).
"""

import argparse
import gc
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

import harness
import sam_engines
import sam_models
import vitrum_c
from harness import Tolerance
from sam_engines import F32, REDUCED, Job, PyTorch, Setup, Vitrum

ENGINES = {"f32": F32, "reduced": REDUCED}
LABELS = ["model", "row"]
# Model, part, and prompts; encoders have none.
F32_ROWS = {
    "encode": ("vit-b", "encoder", 0),
    "points-1": ("vit-b", "decoder", 1),
    "points-64": ("vit-b", "decoder", 64),
    "mobile-encode": ("mobile", "encoder", 0),
}
ROWS = {"f32": F32_ROWS, "reduced": {name: row for name, row in F32_ROWS.items() if row[1] == "encoder"}}
# Formats reach 0.999 and more; the embedding of another picture, or of this one upside down, has 0.68.
TOLERANCE = {"f32": Tolerance(error=1e-4), "reduced": Tolerance(cosine=0.98)}


def setup_of(arguments, model: str) -> Setup:
    """The model, with everything that the engines need of it in the cache."""
    source = arguments.mobile_sam
    directory = sam_models.model_directory(arguments.cache, model, source)
    for part in sam_models.MODELS[model].parts:
        sam_models.export(directory, model, part, source)
    return Setup(model, directory, arguments.threads, source, arguments.library)


def job_of(setup: Setup, part: str, prompts: int) -> Job:
    rgb = sam_models.picture()
    if part == "encoder":
        return Job(rgb, sam_models.pixels_of(rgb))
    embedding = np.load(sam_models.embedding(setup.directory, setup.model, setup.mobile_source))
    return Job(rgb, embedding=embedding, points=sam_models.points(prompts))


def run(arguments) -> list[dict]:
    """All rows of the table, the engines of one part in memory at a time."""
    rows, loaded, engines = [], None, {}
    for name in arguments.rows:
        model, part, prompts = F32_ROWS[name]
        setup = setup_of(arguments, model)
        job = job_of(setup, part, prompts)
        if loaded != (model, part):
            engines.clear()
            gc.collect()
            [reference] = harness.references(arguments.precision, lambda: PyTorch(setup, part), [job])
            engines |= harness.start([ENGINES[arguments.precision][e] for e in arguments.engines], setup, part)
            loaded = model, part
        row = harness.interleave(engines, job, arguments.seconds, reference)
        rows.append({"model": sam_models.MODELS[model].name, "row": name} | row)
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def memory_table(arguments) -> str:
    """Peak resident memory of each engine, in a process of its own."""
    lines = [["model", "engine", "weights MiB", "peak MiB: before", "loaded", "encode", "1 point", "64 points",
              "encode - weights"], ["---"] * 2 + ["---:"] * 7]
    for model in dict.fromkeys(F32_ROWS[row][0] for row in arguments.rows):
        setup = setup_of(arguments, model)
        weights = (setup.directory / "model.safetensors").stat().st_size
        for name in arguments.engines:
            out = subprocess.run(
                [sys.executable, sam_engines.__file__, name, model, setup.directory, str(setup.threads),
                 setup.library, setup.mobile_source or ""],
                check=True, stdout=subprocess.PIPE, text=True).stdout
            peaks = json.loads(out)
            shown = [f"{peaks[k] / 2**20:.0f}" if k in peaks else ""
                     for k in ("start", "load", "encode", "points_1", "points_64")]
            lines.append([sam_models.MODELS[model].name, F32[name].name, f"{weights / 2**20:.0f}", *shown,
                          f"{(peaks['encode'] - weights) / 2**20:.0f}"])
    return harness.markdown(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="directory for weights and ONNX files")
    parser.add_argument("--mobile-sam", type=Path, help="checkout of MobileSAM, for the row mobile-encode")
    parser.add_argument("--library", type=Path, default=vitrum_c.default_library(),
                        help="libvitrum, by default of the release build")
    parser.add_argument("--rows", type=harness.listed(str), help=", ".join(F32_ROWS))
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
    rows = [] if arguments.no_times else run(arguments)
    if rows:
        harness.report(arguments, rows, LABELS, harness.names(ENGINES[arguments.precision], Vitrum))
    if arguments.precision == "f32" and not arguments.no_memory:
        print("\n" + memory_table(arguments))
    return harness.verdict(rows, LABELS, lambda row: TOLERANCE[arguments.precision])


if __name__ == "__main__":
    sys.exit(main())
