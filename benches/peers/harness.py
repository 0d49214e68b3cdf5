"""Engines taking turns, and the tables of what came out."""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

# ONNX Runtime and OpenMP threads spin for a while after a call; let them go to sleep.
REST = 0.1


def relative_error(outputs: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> float:
    """The largest max |delta| / max |reference| of the outputs."""
    return max(float(np.abs(a - b).max() / np.abs(b).max())
               for a, b in zip(outputs, reference, strict=True))


def interleave(engines: list, job, seconds: float) -> dict:
    """Median and least milliseconds of each engine on `job`, and its error against the first of them.

    An engine has a `name` and maps a job to a sequence of arrays. Its first call is compared, not timed.
    """
    reference = engines[0](job)
    errors = {engine.name: relative_error(engine(job), reference) for engine in engines[1:]}
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
    return {
        "median_ms": {name: statistics.median(t) for name, t in times.items()},
        "min_ms": {name: min(t) for name, t in times.items()},
        "calls": turn, "relative_error": errors,
    }


def ratio(row: dict, ours: str) -> float | None:
    """The median of engine `ours` over that of the fastest other one."""
    peers = [ms for engine, ms in row["median_ms"].items() if engine != ours]
    return row["median_ms"][ours] / min(peers) if peers and ours in row["median_ms"] else None


def table(rows: list[dict], labels: list[str], ours: str) -> str:
    """Markdown: milliseconds as median (least), the ratio, and the largest relative error."""
    names = list(rows[0]["median_ms"])
    head = [*labels, *(f"{name} ms" for name in names), f"{ours} / fastest peer", "error"]
    lines = [head, ["---"] * len(labels) + ["---:"] * (len(head) - len(labels))]
    for row in rows:
        times = [f"{row['median_ms'][name]:.1f} ({row['min_ms'][name]:.1f})" for name in names]
        value = ratio(row, ours)
        lines.append([*(str(row[label]) for label in labels), *times, f"{value:.2f}" if value else "",
                      f"{max(row['relative_error'].values(), default=0):.0e}"])
    return markdown(lines)


def markdown(lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def listed(convert: Callable, allowed=None) -> Callable:
    """For argparse: values separated by commas, each one of `allowed`."""
    def parse(text: str) -> list:
        values = [convert(value) for value in text.split(",")]
        if allowed and (wrong := [value for value in values if value not in allowed]):
            raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {', '.join(allowed)}")
        return values
    return parse
