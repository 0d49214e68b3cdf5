"""The command line that many_ray.py and many_spark.py have in common."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from vitrum import batch

#: What counts as a picture in a directory.
EXTENSIONS = ("bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp")
#: Names of the column of encoded pictures in Parquet files, of which the first that is there is taken.
CONTENTS = ("bytes", "content")


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options of both programs."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--task", required=True, choices=["embed", "classify", "segment"])
    add("--model", required=True, help="the model's directory or file, at the same place on every machine")
    add("--weights", choices=["f32", "f16", "bf16", "int8", "q4"], help="what weights are kept as")
    add("--input", required=True, help="a directory of pictures, a Parquet file, or a directory of Parquet files")
    add("--parquet", action="store_true", help="the input is Parquet, although its name does not say so")
    add("--output", required=True, help="a directory of Parquet files; one task and one job at a time may write there")
    add("--workers", type=int, default=2, help="processes, each with a model of its own")
    add("--threads", type=int, default=1, help="threads of a worker")
    add("--labels-file", help="for classify: a label in each line")
    add("--template", default="a photo of a {}", help="for classify: a sentence with {} in the place of the label")
    add("--top", type=int, default=5, help="for classify: labels of a picture")
    add("--everything", type=json.loads, default={}, metavar="JSON", help='for segment: {"points_per_side": 16, ...}')
    add("--boxes", metavar="COLUMN", help="for segment: the column of boxes in the Parquet files")
    add("--points", metavar="COLUMN", help="for segment: the column of clicks in the Parquet files")
    return parser


def is_parquet(options: argparse.Namespace) -> bool:
    """Whether the input is Parquet. Local directories are looked into, others need the option or the ending."""
    path = Path(options.input)
    has_ending = options.input.rstrip("/").endswith(".parquet")
    return bool(options.parquet or has_ending or (path.is_dir() and any(path.glob("*.parquet"))))


def task_of(options: argparse.Namespace, contents: str | None) -> batch.Task:
    """The task, which reads encoded pictures from the column ``contents``, or else the files that "path" names."""
    common = {"weights": options.weights, "threads": options.threads, "contents": contents}
    if options.task == "embed":
        return batch.Embed(options.model, **common)
    if options.task == "segment":
        prompts = {"boxes": options.boxes, "points": options.points}
        return batch.Segment(options.model, everything=options.everything, **prompts, **common)
    if options.labels_file is None:
        raise SystemExit("--labels-file: classify needs labels")
    labels = Path(options.labels_file).read_text(encoding="utf-8").splitlines()
    labels = [label for label in labels if label.strip()]
    return batch.Classify(options.model, labels, template=options.template, top=options.top, **common)


def check_output(names: Sequence[str], task: batch.Task) -> None:
    """Refuses to add to the results of another task. ``names`` are the columns that are there."""
    if set(names) != set(task.schema.names):
        raise SystemExit(f"--output: it has the columns {', '.join(names)}, not {', '.join(task.schema.names)}")
