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
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import models
import vitrum_c
from engines import Job, OnnxRuntime, OpenVino, PyTorch, Vitrum

ENGINES = {"pytorch": PyTorch, "onnxruntime": OnnxRuntime, "openvino": OpenVino, "vitrum": Vitrum}
TOLERANCE = 1e-4
# ONNX Runtime and OpenMP threads spin for a while after a call; let them go to sleep.
REST = 0.1


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


def compare(engines: list, job: Job, seconds: float) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Milliseconds of every call, and max |delta| / max |reference| against the first engine."""
    reference = engines[0](job)
    errors = {}
    for engine in engines[1:]:
        errors[engine.name] = float(np.abs(engine(job) - reference).max() / np.abs(reference).max())
    times = {engine.name: [] for engine in engines}
    start, turn = time.perf_counter(), 0
    # At least three rounds; the order rotates, so that nobody always follows the same neighbour.
    while turn < 3 or time.perf_counter() - start < seconds:
        for i in range(len(engines)):
            engine = engines[(i + turn) % len(engines)]
            time.sleep(REST)
            begin = time.perf_counter()
            engine(job)
            times[engine.name].append(1e3 * (time.perf_counter() - begin))
        turn += 1
    return times, errors


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
                times, errors = compare(engines, job, arguments.seconds)
                rows.append({
                    "model": name, "tower": tower, "batch": len(job.tensor),
                    "median_ms": {e: statistics.median(t) for e, t in times.items()},
                    "min_ms": {e: min(t) for e, t in times.items()},
                    "calls": len(times[engines[0].name]), "relative_error": errors,
                })
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
            del engines
            gc.collect()
    return rows


def ratio(row: dict) -> float | None:
    """Vitrum's median over that of the fastest other engine."""
    peers = [ms for engine, ms in row["median_ms"].items() if engine != Vitrum.name]
    ours = row["median_ms"].get(Vitrum.name)
    return ours / min(peers) if peers and ours else None


def table(rows: list[dict]) -> str:
    """Markdown: milliseconds as median (least), the ratio, and the largest relative error."""
    names = list(rows[0]["median_ms"])
    head = ["model", "tower", "batch", *(f"{n} ms" for n in names), "Vitrum / fastest peer", "error"]
    lines = [head, ["---"] * 3 + ["---:"] * (len(head) - 3)]
    for row in rows:
        times = [f"{row['median_ms'][n]:.1f} ({row['min_ms'][n]:.1f})" for n in names]
        value = ratio(row)
        lines.append([row["model"], row["tower"], str(row["batch"]), *times,
                      f"{value:.2f}" if value else "", f"{max(row['relative_error'].values(), default=0):.0e}"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


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
    def listed(convert, allowed=None):
        def parse_list(text):
            values = [convert(v) for v in text.split(",")]
            if allowed and (wrong := [v for v in values if v not in allowed]):
                raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {', '.join(allowed)}")
            return values
        return parse_list

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="directory for weights and ONNX files")
    parser.add_argument("--library", type=Path, default=vitrum_c.default_library(),
                        help="libvitrum, by default of the release build")
    parser.add_argument("--sizes", type=listed(str, models.SIZES), default=list(models.SIZES))
    parser.add_argument("--towers", type=listed(str, models.TOWERS), default=list(models.TOWERS))
    parser.add_argument("--batches", type=listed(int), default=[1, 8])
    parser.add_argument("--engines", type=listed(str, ENGINES), default=list(ENGINES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10, help="shortest time to spend on a row; three rounds at least")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory table")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    Vitrum.library = arguments.library
    rows = run(arguments)
    print(f"\n{arguments.threads} threads, f32; median (least) of the calls in each row\n")
    print(table(rows))
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
