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
pictures have the model's input size and the texts fill the 77 tokens.

DIR keeps weights and ONNX files (B/32 and B/16: 1.2 GB each, L/14: 3.4 GB).
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
from clip_engines import Job, OnnxRuntime, OpenVino, PyTorch, Vitrum

ENGINES = {"pytorch": PyTorch, "onnxruntime": OnnxRuntime, "openvino": OpenVino, "vitrum": Vitrum}
TOLERANCE = 1e-4


def jobs(size: models.Size, tower: str, directory: Path, batches: list[int]) -> list[Job]:
    """One job per batch size; larger batches begin with the rows of smaller ones."""
    most = max(batches)
    if tower == "image":
        pictures = models.images(size, most)
        pixels = models.pixels_of(pictures)
        return [Job(tower, pixels[:b], pictures=pictures[:b]) for b in batches]
    texts = models.prompts(most)
    ids = models.ids_of(directory, texts)
    return [Job(tower, ids[:b], texts=texts[:b]) for b in batches]


def run(arguments) -> list[dict]:
    """All rows of the table, one tower in memory at a time."""
    rows = []
    for name in arguments.sizes:
        size = models.SIZES[name]
        directory = models.model_directory(arguments.cache, size)
        for tower in arguments.towers:
            work = jobs(size, tower, directory, arguments.batches)
            engines = [ENGINES[e](directory, work[0], arguments.threads) for e in arguments.engines]
            for job in work:
                rows.append({"model": name, "tower": tower, "batch": len(job.tensor)}
                            | harness.interleave(engines, job, arguments.seconds))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
            del engines
            gc.collect()
    return rows


def memory_table(arguments) -> str:
    """Vitrum's peak resident memory, each model in a process of its own."""
    lines = ["| model | weights MiB | peak MiB: loading | batch 1 | batch 8 | (batch 8 - 64) / weights |",
             "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for name in arguments.sizes:
        directory = models.model_directory(arguments.cache, models.SIZES[name])
        out = subprocess.run(
            [sys.executable, vitrum_c.__file__, arguments.library, directory,
             str(models.SIZES[name].image), str(arguments.threads)],
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
    parser.add_argument("--sizes", type=harness.listed(str, models.SIZES), default=list(models.SIZES))
    parser.add_argument("--towers", type=harness.listed(str, models.TOWERS), default=list(models.TOWERS))
    parser.add_argument("--batches", type=harness.listed(int), default=[1, 8])
    parser.add_argument("--engines", type=harness.listed(str, ENGINES), default=list(ENGINES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10, help="shortest time to spend on a row; three rounds at least")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory table")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    Vitrum.library = arguments.library
    rows = run(arguments)
    print(f"\n{arguments.threads} threads, f32; median (least) of the calls in each row\n")
    print(harness.table(rows, ["model", "tower", "batch"], Vitrum.name))
    if "vitrum" in arguments.engines and not arguments.no_memory:
        print("\n" + memory_table(arguments))
    wrong = [(row, engine) for row in rows for engine, error in row["relative_error"].items()
             if not error <= TOLERANCE]
    for row, engine in wrong:
        print(f"{engine} disagrees on {row['model']} {row['tower']}: "
              f"{row['relative_error'][engine]:.1e}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
