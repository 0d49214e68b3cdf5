#!/usr/bin/env python3
"""Times CLIP's towers in PyTorch, ONNX Runtime, OpenVINO and Vitrum, side by side.

    cargo rustc -p vitrum --release --features capi --crate-type cdylib
    python -m venv venv && venv/bin/pip install -r benches/peers/requirements.txt
    venv/bin/python benches/peers/clip_peers.py --cache DIR

All engines get the same random f32 weights, the same inputs and the same number of threads, and take
turns within one process, so that a change of the machine's speed meets all of them. Figures are
medians. The first call of every engine is checked against the first of them and not timed.

What one timed call covers: for PyTorch, ONNX Runtime and OpenVINO, a ready f32 tensor to embeddings.
For Vitrum, u8 pictures or UTF-8 texts to embeddings: its normalisation and tokenizer are inside. The
pictures have the model's input size and the texts fill the context.

With `--precision reduced` the engines are PyTorch in bf16, ONNX Runtime in int8 (dynamic), OpenVINO as it chooses
itself (bf16 where the CPU has it) and in int8 (NNCF, calibrated on the row's own inputs), and Vitrum in bf16 and
int8; AMX is permitted. Their reference is PyTorch in f32, and a second table has the error and the cosine of each. A
peer that cannot run leaves its cells empty and its reason on stderr. Quantising takes minutes, on first use.

DIR keeps weights and ONNX files (B/32 and B/16: 1.2 GB each, L/14: 3.4 GB; a half more with those in int8).
"""

import argparse
import gc
import json
import subprocess
import sys
from pathlib import Path

import clip_models as models
import harness
import vitrum_c
from clip_engines import F32, REDUCED, Job, PyTorch, Vitrum
from harness import Tolerance

SIZES = models.SIZES | models.OTHERS
ENGINES = {"f32": F32, "reduced": REDUCED}
LABELS = ["model", "tower", "batch"]
# To models with random weights inputs look alike: the cosine of two pictures of noise is up to 0.999, of two with large
# squares up to 0.98, of two texts up to 0.99. Whoever mixes them up, or is further off than that, must fail.
TOLERANCE = {"f32": Tolerance(error=1e-4), "reduced": Tolerance(cosine=0.99)}
BLOCK = {"f32": 1, "reduced": 56}


def jobs(size: models.Size | models.Other, tower: str, directory: Path, batches: list[int], block: int) -> list[Job]:
    """One job per batch size; larger batches begin with the rows of smaller ones. Pictures have squares of `block`."""
    most = max(batches)
    if tower == "image":
        pictures = models.images(size, most, block)
        pixels = models.pixels_of(size, pictures)
        return [Job(tower, pixels[:b], pictures=pictures[:b]) for b in batches]
    texts = models.prompts(size, most)
    ids = models.ids_of(size, directory, texts)
    return [Job(tower, ids[:b], texts=texts[:b]) for b in batches]


def run(arguments) -> list[dict]:
    """All rows of the table, one tower in memory at a time."""
    rows = []
    for name in arguments.sizes:
        size = SIZES[name]
        directory = models.model_directory(arguments.cache, size)
        for tower in arguments.towers:
            work = jobs(size, tower, directory, arguments.batches, BLOCK[arguments.precision])
            setup = directory, work[0], arguments.threads
            references = harness.references(arguments.precision, lambda: PyTorch(*setup), work)
            engines = harness.start([ENGINES[arguments.precision][e] for e in arguments.engines], *setup)
            for job, reference in zip(work, references):
                rows.append({"model": name, "tower": tower, "batch": len(job.tensor)}
                            | harness.interleave(engines, job, arguments.seconds, reference))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
            del engines
            gc.collect()
    return rows


def memory_table(arguments) -> str:
    """Vitrum's peak resident memory, each model in a process of its own."""
    lines = ["| model | weights MiB | peak MiB: loading | batch 1 | batch 8 | (batch 8 - 64) / weights |",
             "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for name in arguments.sizes:
        directory = models.model_directory(arguments.cache, SIZES[name])
        out = subprocess.run(
            [sys.executable, vitrum_c.__file__, arguments.library, directory,
             str(SIZES[name].image), str(arguments.threads)],
            check=True, capture_output=True, text=True).stdout
        probe = json.loads(out)
        weights, *peaks = (probe[k] / 2**20 for k in ("weights", "peak_load", "peak_1", "peak_8"))
        shown = " | ".join(f"{mib:.0f}" for mib in (weights, *peaks))
        lines.append(f"| {name} | {shown} | {(peaks[-1] - 64) / weights:.2f} |")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="directory for weights and ONNX files")
    parser.add_argument("--library", type=Path, default=vitrum_c.default_library(),
                        help="libvitrum, by default of the release build")
    parser.add_argument("--sizes", type=harness.listed(str, SIZES), default=list(models.SIZES),
                        help="also: " + ", ".join(models.OTHERS))
    parser.add_argument("--towers", type=harness.listed(str, models.TOWERS), default=list(models.TOWERS))
    parser.add_argument("--batches", type=harness.listed(int), default=[1, 8])
    harness.add_precision(parser)
    parser.add_argument("--engines", type=harness.listed(str), help="of a precision: " + ", ".join(F32 | REDUCED))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10, help="shortest time to spend on a row; three rounds at least")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory table")
    arguments = parser.parse_args()
    harness.choose(parser, arguments, "engines", ENGINES[arguments.precision])
    return arguments


def main() -> int:
    arguments = parse()
    Vitrum.library = arguments.library
    rows = run(arguments)
    harness.report(arguments, rows, LABELS, harness.names(ENGINES[arguments.precision], Vitrum))
    if "vitrum" in arguments.engines and not arguments.no_memory:
        print("\n" + memory_table(arguments))
    return harness.verdict(rows, LABELS, lambda row: TOLERANCE[arguments.precision])


if __name__ == "__main__":
    sys.exit(main())
