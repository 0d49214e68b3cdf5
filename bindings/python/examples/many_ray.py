"""Embeds, classifies or segments many pictures with Ray Data, on one machine or on a cluster.

    pip install "ray[data]" aiohttp
    python many_ray.py --task embed --model path/to/clip --input pictures --output embeddings --workers 16

Each batch of --rows-per-file pictures becomes one Parquet file, which gets its name when it is whole. If the job is killed,
start it again: pictures that are in the output already are left out. With RAY_ADDRESS set, or under `ray job submit`, it
runs on that cluster; otherwise it starts Ray on this machine.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Sequence
from typing import Any

import many_options
import pyarrow
import pyarrow.compute
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
import ray.data

from vitrum import batch

# Ray's threads import this while they list files. Where it can't be imported, for want of aiohttp, Ray means to go on
# without it, but a thread that meets another one's failing import gets another error, and the job ends at random.
importlib.import_module("fsspec.implementations.http")

# The most that is lost when a worker is killed. One picture of `segment` takes as long as a hundred of the others.
ROWS_PER_FILE = {"embed": 1000, "classify": 1000, "segment": 50}


def located(path: str) -> tuple[Any, str]:
    """The file system of a path or a URI such as s3://bucket/pictures, and the path in it."""
    where: tuple[Any, str] = pyarrow.fs.FileSystem.from_uri(path if "://" in path else os.path.abspath(path))
    return where


def files_below(path: str, *endings: str) -> list[str]:
    """The files of a directory and those below whose names end so, or the file itself."""
    system, root = located(path)
    if system.get_file_info(root).type == pyarrow.fs.FileType.File:
        return [root]
    found = system.get_file_info(pyarrow.fs.FileSelector(root, recursive=True))
    files = (it.path for it in found if it.type == pyarrow.fs.FileType.File)
    return sorted(it for it in files if it.lower().endswith(endings))


class Worker:
    """An actor: one process with one model. It writes a file for each batch, and returns how many rows it has."""

    def __init__(self, task: batch.Task, output: str) -> None:
        self.task, self.output = task, output
        task.load()

    def __call__(self, rows: dict[str, Any]) -> dict[str, list[int]]:
        results = self.task(rows)
        if not len(results):
            # All of them were in the output already.
            return {"rows": [], "errors": []}
        # The name follows from the rows: if Ray repeats a batch, the file takes the place of the first one.
        name = hashlib.sha256("\n".join(map(str, rows[self.task.path])).encode()).hexdigest()[:24]
        system, root = located(self.output)
        # Readers of Parquet pass over names with a dot.
        unfinished = f"{root}/.{name}.unfinished"
        with system.open_output_stream(unfinished) as file:
            pyarrow.parquet.write_table(results, file)
        system.move(unfinished, f"{root}/{name}.parquet")
        errors = results["error"]
        return {"rows": [len(errors)], "errors": [len(errors) - errors.null_count]}


def main(arguments: Sequence[str] | None = None) -> tuple[int, int]:
    """Runs the job, and returns how many rows it has written and how many of them have errors."""
    parser = many_options.arguments(__doc__)
    parser.add_argument("--rows-per-file", type=int, help="pictures of one Parquet file; 1000, of segment 50")
    options = parser.parse_args(arguments)
    if not ray.is_initialized():
        # One CPU more than the workers hold, for the tasks that read. On a cluster its own CPUs count.
        is_cluster = bool(os.environ.get("RAY_ADDRESS"))
        ray.init(num_cpus=None if is_cluster else options.workers * options.threads + 1, log_to_driver=False)

    system, _ = located(options.input)
    is_parquet = many_options.is_parquet(options)
    inputs = files_below(options.input, *([".parquet"] if is_parquet else many_options.EXTENSIONS))
    contents: str | None = "bytes"
    if is_parquet and inputs:
        names = pyarrow.parquet.read_schema(inputs[0], filesystem=system).names
        contents = next((name for name in many_options.CONTENTS if name in names), None)
    task = many_options.task_of(options, contents)

    output_system, output = located(options.output)
    output_system.create_dir(output, recursive=True)
    is_there = pyarrow.array([], pyarrow.string())
    if files_below(options.output, ".parquet"):
        results = pyarrow.dataset.dataset(output, filesystem=output_system, format="parquet")
        many_options.check_output(results.schema.names, task)
        is_there = results.to_table(columns=["path"])["path"].combine_chunks()
    for path in files_below(options.output, ".unfinished"):
        output_system.delete_file(path)

    if is_parquet:
        known = ray.put(is_there)

        def is_new(table: pyarrow.Table) -> pyarrow.Table:
            return table.filter(pyarrow.compute.invert(pyarrow.compute.is_in(table["path"], value_set=ray.get(known))))

        data = ray.data.read_parquet(inputs, filesystem=system).select_columns(task.inputs) if inputs else None
        data = data.map_batches(is_new, batch_format="pyarrow") if data and len(is_there) else data
    else:
        known_paths = set(is_there.to_pylist())
        inputs = [path for path in inputs if path not in known_paths]
        data = ray.data.read_binary_files(inputs, filesystem=system, include_paths=True) if inputs else None
    rows = errors = 0
    if data is not None:
        done = data.map_batches(
            Worker,
            fn_constructor_args=(task, options.output),
            batch_size=options.rows_per_file or ROWS_PER_FILE[options.task],
            compute=ray.data.ActorPoolStrategy(size=options.workers),
            num_cpus=options.threads,
        )
        for counts in done.iter_rows():
            rows, errors = rows + counts["rows"], errors + counts["errors"]
    print(f"{rows} pictures done, {errors} of them with errors; {len(is_there)} were there already")
    return rows, errors


if __name__ == "__main__":
    main()
