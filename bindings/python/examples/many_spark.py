"""Embeds, classifies or segments many pictures with Spark, on one machine or on a cluster.

    python many_spark.py --task embed --model path/to/clip --input pictures --output embeddings --workers 2
    spark-submit --master ... --py-files many_options.py many_spark.py --task embed ...

Each of Spark's tasks writes one Parquet file, which is there when the task has ended. If the job is killed, start it again:
pictures that are in the output already are left out. Files without contents, which Spark does not list, are never in it.
Without spark-submit the job runs on this machine with --workers processes; on a cluster the number of workers is that of the
executors' cores, divided by --threads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence

import many_options
import pandas
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession, functions
from pyspark.sql.pandas.types import from_arrow_schema

# Megabytes of input of one task, and so of one output file. One picture of `segment` takes as long as a hundred others.
MEGABYTES = {"embed": 128, "classify": 128, "segment": 8}


def session(workers: int, threads: int) -> SparkSession:
    """Spark, on this machine unless spark-submit says where."""
    builder = SparkSession.builder.appName("vitrum")
    # Which spark-submit sets for the program that it starts.
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        # Otherwise workers would run the first python3 of PATH.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = builder.master(f"local[{workers * threads}]").config("spark.ui.enabled", "false")
    return builder.config("spark.task.cpus", str(threads)).getOrCreate()


def glob(extensions: Sequence[str]) -> str:
    """Hadoop's pattern of names with these endings in any case."""
    return "*.{" + ",".join("".join(f"[{it}{it.upper()}]" for it in ending) for ending in extensions) + "}"


def main(arguments: Sequence[str] | None = None) -> tuple[int, int]:
    """Runs the job, and returns how many rows it has written and how many of them have errors."""
    parser = many_options.arguments(__doc__)
    parser.add_argument("--megabytes-per-file", type=int, help="input of one Parquet file; 128, of segment 8")
    options = parser.parse_args(arguments)
    spark = session(options.workers, options.threads)
    megabytes = options.megabytes_per_file or MEGABYTES[options.task]
    spark.conf.set("spark.sql.files.maxPartitionBytes", f"{megabytes}m")
    # Spark counts a file as 4 MB more than it has, which would make tasks of 30 pictures.
    spark.conf.set("spark.sql.files.openCostInBytes", "64k")
    # Pictures that a worker gets at once. By default 10,000, which would be gigabytes.
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "64")

    if many_options.is_parquet(options):
        data = spark.read.parquet(options.input)
        contents = next((name for name in many_options.CONTENTS if name in data.columns), None)
    else:
        reader = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
        data, contents = reader.option("pathGlobFilter", glob(many_options.EXTENSIONS)).load(options.input), "content"
    task = many_options.task_of(options, contents)
    data = data.select(*task.inputs)

    try:
        results = spark.read.parquet(options.output)
    except AnalysisException as error:
        # There is no such directory, or no file in it yet.
        if error.getCondition() not in ("PATH_NOT_FOUND", "UNABLE_TO_INFER_SCHEMA"):
            raise
        there = 0
    else:
        many_options.check_output(results.columns, task)
        there = results.count()
        # Broadcast: otherwise Spark would send all pictures across the network to sort them by path.
        data = data.join(functions.broadcast(results.select("path")), "path", "left_anti").select(*task.inputs)

    rows = errors = 0
    # Contents are not read for that.
    if not data.select("path").isEmpty():
        # They count in the workers, so that nothing is computed or read twice.
        done, failed = spark.sparkContext.accumulator(0), spark.sparkContext.accumulator(0)

        def counted(frames: Iterable[pandas.DataFrame]) -> Iterator[pandas.DataFrame]:
            for frame in task.frames(frames):
                done.add(len(frame))
                failed.add(int(frame["error"].notna().sum()))
                yield frame

        writer = data.mapInPandas(counted, from_arrow_schema(task.schema)).write.mode("append")
        # A file is moved to the output when its task ends, not when all have: a job that is killed keeps what it has done.
        writer.option("mapreduce.fileoutputcommitter.algorithm.version", "2").parquet(options.output)
        rows, errors = done.value, failed.value
    print(f"{rows} pictures done, {errors} of them with errors; {there} were there already")
    return rows, errors


if __name__ == "__main__":
    main()
