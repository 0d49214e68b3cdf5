"""Engines taking turns, and the tables of what came out."""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

# ONNX Runtime and OpenMP threads spin for a while after a call; let them go to sleep.
REST = 0.1


@dataclass(frozen=True)
class Tolerance:
    """What the relative error may be at most, and the cosine at least."""

    error: float = math.inf
    cosine: float = -1.0


def relative_error(outputs: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> float:
    """The largest max |delta| / max |reference| of the outputs."""
    return max(float(np.abs(a - b).max() / np.abs(b).max())
               for a, b in zip(outputs, reference, strict=True))


def cosine(outputs: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> float:
    """The least cosine between an item of the outputs and that of the reference; the first axis counts items."""
    def rows(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [row.ravel().astype(np.float64) for array in arrays for row in array]

    return float(np.min([a @ b / np.linalg.norm(a) / np.linalg.norm(b)
                         for a, b in zip(rows(outputs), rows(reference), strict=True)]))  # NaN if any is


def attempt(engine, call: Callable, *arguments):
    """What `call` returns; or None, and the reason on stderr, if it fails and `engine` may be left out."""
    try:
        return call(*arguments)
    except Exception as error:
        if not engine.optional:
            raise
        print(f"{engine.name} is left out: {error}", file=sys.stderr, flush=True)
        return None


def start(kinds: list[type], *arguments) -> dict:
    """An engine of each kind under its name, or None."""
    return {kind.name: attempt(kind, kind, *arguments) for kind in kinds}


def references(precision: str, make: Callable, jobs: list) -> list:
    """For reduced precision what `make()`, an engine in f32 that is then dropped, says to the jobs; otherwise Nones."""
    if precision == "f32":
        return [None] * len(jobs)
    engine = make()
    return [engine(job) for job in jobs]


def interleave(engines: dict, job, seconds: float, reference: Sequence[np.ndarray] | None = None) -> dict:
    """Median and least milliseconds of each engine on `job`, and how far it is from `reference`, by default the first.

    An engine maps a job to a sequence of arrays. Its first call is compared, not timed. One that fails there has None
    for its times.
    """
    errors, cosines, running = {}, {}, []
    for name, engine in engines.items():
        outputs = attempt(engine, engine, job) if engine else None
        if outputs is None:
            continue
        running.append(name)
        if reference is None:
            reference = outputs
        else:
            errors[name], cosines[name] = relative_error(outputs, reference), cosine(outputs, reference)
    times = {name: [] for name in engines}
    begun, turn = time.perf_counter(), 0
    # At least three rounds; the order rotates, so that nobody always follows the same neighbour.
    while turn < 3 or time.perf_counter() - begun < seconds:
        for i in range(len(running)):
            name = running[(i + turn) % len(running)]
            time.sleep(REST)
            begin = time.perf_counter()
            engines[name](job)
            times[name].append(1e3 * (time.perf_counter() - begin))
        turn += 1
    return {
        "median_ms": {name: statistics.median(t) if t else None for name, t in times.items()},
        "min_ms": {name: min(t, default=None) for name, t in times.items()},
        "calls": turn, "relative_error": errors, "cosine": cosines,
    }


def ratio(row: dict, engine: str, ours: Collection[str]) -> float | None:
    """The median of `engine`, one of `ours`, over that of the fastest engine that is not."""
    peers = [ms for name, ms in row["median_ms"].items() if ms and name not in ours]
    median = row["median_ms"].get(engine)
    return median / min(peers) if peers and median else None


def table(rows: list[dict], labels: list[str], ours: Collection[str]) -> str:
    """Markdown: milliseconds as median (least), the ratio of each of `ours`, and the largest relative error."""
    names = list(rows[0]["median_ms"])
    lines = head(labels, [*(f"{name} ms" for name in names), *(f"{name} / fastest peer" for name in ours), "error"])
    for row in rows:
        times = [f"{row['median_ms'][name]:.1f} ({row['min_ms'][name]:.1f})" if row["median_ms"][name] else ""
                 for name in names]
        ratios = [ratio(row, name, ours) for name in ours]
        lines.append([*(str(row[label]) for label in labels), *times, *(f"{r:.2f}" if r else "" for r in ratios),
                      f"{max(row['relative_error'].values(), default=0):.0e}"])
    return markdown(lines)


def agreement(rows: list[dict], labels: list[str]) -> str:
    """Markdown: the relative error and the cosine of each engine."""
    names = list(rows[0]["median_ms"])
    lines = head(labels, [f"{name} error, cosine" for name in names])
    for row in rows:
        lines.append([*(str(row[label]) for label in labels),
                      *(f"{row['relative_error'][name]:.0e}, {row['cosine'][name]:.5f}"
                        if name in row["cosine"] else "" for name in names)])
    return markdown(lines)


def report(arguments: argparse.Namespace, rows: list[dict], labels: list[str], ours: Collection[str]) -> None:
    """Prints the tables."""
    print(f"\n{arguments.threads} threads, {arguments.precision}; median (least) of the calls in each row\n")
    print(table(rows, labels, ours))
    if arguments.precision == "reduced":
        print("\n" + agreement(rows, labels))


def verdict(rows: list[dict], labels: list[str], tolerance: Callable[[dict], Tolerance]) -> int:
    """The exit status: 1, with the reasons on stderr, if an engine is outside the tolerance of a row."""
    status = 0
    for row in rows:
        allowed = tolerance(row)
        for engine, error in row["relative_error"].items():
            if not (error <= allowed.error and row["cosine"][engine] >= allowed.cosine):
                print(f"{engine} disagrees on {' '.join(str(row[label]) for label in labels)}: "
                      f"{error:.1e}, cosine {row['cosine'][engine]:.5f}", file=sys.stderr)
                status = 1
    return status


def names(engines: dict[str, type], base: type) -> list[str]:
    """The names of the engines that are a `base`."""
    return [engine.name for engine in engines.values() if issubclass(engine, base)]


def head(labels: list[str], numbers: list[str]) -> list[list[str]]:
    """The first lines of a table."""
    return [[*labels, *numbers], ["---"] * len(labels) + ["---:"] * len(numbers)]


def markdown(lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def add_precision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--precision", choices=("f32", "reduced"), default="f32",
                        help="f32 (default), or bf16 and int8 beside PyTorch's results in f32, without a memory table")


def choose(parser: argparse.ArgumentParser, arguments: argparse.Namespace, option: str,
           allowed: Collection[str]) -> None:
    """Makes all of `allowed` the default of an option of `listed` strings, and refuses what is not among them."""
    values = getattr(arguments, option)
    if values is None:
        setattr(arguments, option, list(allowed))
    elif wrong := [value for value in values if value not in allowed]:
        parser.error(f"argument --{option}: {wrong[0]!r} is none of {', '.join(allowed)}")


def listed(convert: Callable, allowed=None) -> Callable:
    """For argparse: values separated by commas, each one of `allowed`."""
    def parse(text: str) -> list:
        values = [convert(value) for value in text.split(",")]
        if allowed and (wrong := [value for value in values if value not in allowed]):
            raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {', '.join(allowed)}")
        return values
    return parse
