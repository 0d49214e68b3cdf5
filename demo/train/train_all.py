"""Trains all three demo models further in a given time, on a machine with a GPU.

    python train_all.py --cache CACHE --runs RUNS --minutes 9 [--device cuda]

Each begins with the weights in `..`, or goes on with its run in RUNS. How many steps fit into its share of the time is
found by a few of them first. Checkpoints are written every minute; `*_export.py` makes models of them, anywhere.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
# Share of the time, and how many times as many pictures a step has on a GPU.
MODELS = {"clip": (0.2, 1), "sam": (0.4, 4), "sam2": (0.4, 4)}
PROBE = 50  # steps; the second half is timed
STARTING = 40.0  # seconds until the first step


def command(model: str, run: Path, steps: int, arguments: argparse.Namespace) -> list[str]:
    scale = MODELS[model][1] if arguments.device == "cuda" else 1
    begin = HERE.parent / f"{model}-nano"
    return [sys.executable, f"{model}_train.py", "--cache", arguments.cache, "--run", run, "--begin", begin,
            "--steps", str(steps), "--decay-from", "0.3", "--device", arguments.device, "--scale", str(scale),
            "--threads", str(arguments.threads), "--workers", str(arguments.workers), *arguments.options]


def seconds_per_step(model: str, arguments: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory() as run:
        out = subprocess.run(command(model, Path(run), PROBE, arguments), cwd=HERE, check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    return float(re.findall(r"([0-9.]+) s/step", out)[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="downloads and rasterised icons")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs' folders")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("options", nargs="*", help="after --: further options of the trainings, such as --compile")
    arguments = parser.parse_args()
    arguments.cache, arguments.runs = arguments.cache.resolve(), arguments.runs.resolve()
    total = sum(MODELS[model][0] for model in arguments.models)
    for model in arguments.models:
        each = seconds_per_step(model, arguments)
        seconds = 60 * arguments.minutes * MODELS[model][0] / total - 2 * STARTING - PROBE * each
        steps = max(PROBE, int(seconds / each))
        print(f"{model}: {each:.3f} s a step, {steps} steps", flush=True)
        subprocess.run(command(model, arguments.runs / model, steps, arguments), cwd=HERE, check=True)


if __name__ == "__main__":
    main()
