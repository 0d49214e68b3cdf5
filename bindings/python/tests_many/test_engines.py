"""Ray Data and Spark with two workers give what one process gives, and go on where they were stopped."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import pytest
from PIL import Image

import vitrum

EVERYTHING = {"points_per_side": 4, "pred_iou_thresh": 0.3, "stability_score_thresh": 0.4}


def read(output):
    """The rows of an output by path, which is there once."""
    rows = pyarrow.dataset.dataset(output, format="parquet").to_table().to_pylist()
    by_path = {row["path"].removeprefix("file:"): row for row in rows}
    assert len(by_path) == len(rows)
    return by_path


@pytest.fixture(scope="session")
def labels(demo):
    return (demo / "labels.txt").read_text(encoding="utf-8").splitlines()[:60]


@pytest.fixture(scope="session")
def expected(demo, good, labels):
    """What one process computes from the files, without the module that is under test."""
    clip, sam = vitrum.Clip(demo / "clip-nano"), vitrum.Sam(demo / "sam-nano")
    classifier = vitrum.ZeroShotClassifier(clip, labels)
    out = {"embed": {}, "classify": {}, "segment": {}}
    for path in good:
        out["embed"][str(path)] = {"embedding": clip.encode_images(path)[0].tolist()}
        probabilities = classifier.predict_proba(path)[0]
        best = probabilities.argsort()[::-1][:3]
        found = {"labels": [labels[i] for i in best], "probabilities": probabilities[best].tolist()}
        out["classify"][str(path)] = found
        records = []
        for it in sam.everything(path, **EVERYTHING):
            coco = it.rle.to_coco()
            record = {"size": coco["size"], "counts": coco["counts"].decode(), "area": it.area, "bbox": [*it.rle.bbox]}
            records.append(dict(record, predicted_iou=it.predicted_iou, stability_score=it.stability_score))
        out["segment"][str(path)] = {"records": records}
    assert sum(len(it["records"]) for it in out["segment"].values()) > 50
    return out


@pytest.fixture
def options(demo, labels, tmp_path):
    """The arguments of each task."""
    file = tmp_path / "labels.txt"
    file.write_text("\n".join(labels) + "\n", encoding="utf-8")
    return {
        "embed": ["--task", "embed", "--model", demo / "clip-nano"],
        "classify": ["--task", "classify", "--model", demo / "clip-nano", "--labels-file", file, "--top", 3],
        "segment": ["--task", "segment", "--model", demo / "sam-nano", "--everything", json.dumps(EVERYTHING)],
    }


def small_files(engine):
    """Several output files for so few pictures."""
    return ["--rows-per-file", 5] if engine == "ray" else ["--megabytes-per-file", 1]


@pytest.mark.parametrize("task", ["embed", "classify", "segment"])
def test_equal_to_one_process_and_continued(engine, run, task, options, expected, pictures, bad, tmp_path):
    output = tmp_path / "output"
    job = [*options[task], "--output", output, "--workers", 2, "--threads", 1, *small_files(engine)]
    # As if the job had been stopped when it had half of the pictures.
    assert run(*job, "--input", pictures / "first") == (20, 2)
    before = {path: path.stat().st_mtime_ns for path in output.glob("*.parquet")}
    assert len(read(output)) == 20 and len(before) > 1
    assert run(*job, "--input", pictures) == (20, 2)
    after = {path: path.stat().st_mtime_ns for path in output.glob("*.parquet")}
    assert before.items() < after.items()

    rows = read(output)
    assert rows.keys() == expected[task].keys() | {str(it) for it in bad}
    for path, values in expected[task].items():
        row = rows[path]
        assert row.pop("error") is None
        del row["path"]
        assert row == values, path
    for path in map(str, bad):
        assert rows[path]["error"] and [it for it in rows[path].values() if it is not None] == [
            rows[path]["path"],
            rows[path]["error"],
        ]

    assert run(*job, "--input", pictures) == (0, 0)
    assert {path: path.stat().st_mtime_ns for path in output.glob("*.parquet")} == after


def test_parquet_with_prompts(engine, run, demo, good, tmp_path):
    boxes = [[[8.0, 8.0, 80.0, 90.0 + i], [40.0, 20.0, 90.0, 100.0]][: i % 3] for i in range(12)]
    boxes[5] = [[1.0, 2.0, 3.0]]
    contents = [path.read_bytes() for path in good[:12]]
    contents[7] = None
    source = {"path": [f"row {i}" for i in range(12)], "other": list(range(12)), "bytes": contents, "boxes": boxes}
    (tmp_path / "input").mkdir()
    pyarrow.parquet.write_table(pyarrow.table(source).slice(0, 7), tmp_path / "input/a.parquet")
    job = ["--task", "segment", "--model", demo / "sam2-nano", "--boxes", "boxes", "--workers", 2]
    job += ["--input", tmp_path / "input", "--output", tmp_path / "output"]
    assert run(*job) == (7, 1)
    pyarrow.parquet.write_table(pyarrow.table(source).slice(7), tmp_path / "input/b.parquet")
    assert run(*job) == (5, 1)

    rows, sam = read(tmp_path / "output"), vitrum.Sam(demo / "sam2-nano")
    assert len(rows) == 12
    for i, path in enumerate(good[:12]):
        row = rows[f"row {i}"]
        if i in (5, 7):
            assert row["records"] is None and row["error"] is not None
            continue
        prompts = [vitrum.Prompt(box=box) for box in boxes[i]]
        predictions = sam.predict_many(path, prompts, multimask=False) if prompts else []
        assert [it["counts"].encode() for it in row["records"]] == [it.rle().to_coco()["counts"] for it in predictions]
        assert [it["predicted_iou"] for it in row["records"]] == [float(it.scores[0]) for it in predictions]


def test_paths_in_parquet(engine, run, demo, good, bad, expected, options, tmp_path):
    paths = [str(it) for it in [*good[:4], bad[0]]] + [str(tmp_path / "not-there.png")]
    pyarrow.parquet.write_table(pyarrow.table({"path": paths}), tmp_path / "list.parquet")
    job = [*options["embed"], "--input", tmp_path / "list.parquet", "--output", tmp_path / "output"]
    assert run(*job) == (6, 2)
    rows = read(tmp_path / "output")
    assert all(rows[it]["embedding"] == expected["embed"][it]["embedding"] for it in paths[:4])
    assert "FileNotFoundError" in rows[paths[5]]["error"]
    # Results of another task are not to be mixed with these.
    other = [*options["classify"], "--input", tmp_path / "list.parquet", "--output", tmp_path / "output"]
    with pytest.raises(SystemExit, match="it has the columns"):
        run(*other)


def test_what_is_wrong_with_the_job_stops_it(engine, run, demo, pictures, tmp_path):
    job = ["--task", "embed", "--model", demo / "not-there", "--input", pictures, "--output", tmp_path / "output"]
    with pytest.raises(Exception, match="not-there"):
        run(*job)
    assert not list((tmp_path / "output").glob("*.parquet"))


PROGRAMS = {
    "ray": "import ray; ray.init(num_cpus=3, _node_ip_address='127.0.0.1', include_dashboard=False, "
    "log_to_driver=False, object_store_memory=100_000_000); ",
    "spark": "",
}


def test_killed_and_completed(engine, run, demo, tmp_path):
    rng = np.random.default_rng(1)
    (tmp_path / "input").mkdir()
    with Image.open(demo / "images/garden-scene-3d.png") as image:
        scene = image.convert("RGB")
    for i in range(24):
        left, top = rng.integers(0, 64, 2).tolist()
        scene.crop((left, top, left + scene.width - 64, top + scene.height - 64)).save(tmp_path / f"input/{i}.png")
    output = tmp_path / "output"
    # Slow enough to be killed in the middle.
    everything = json.dumps(dict(EVERYTHING, points_per_side=12))
    job = ["--task", "segment", "--model", demo / "sam-nano", "--everything", everything, "--workers", 2]
    job += ["--input", tmp_path / "input", "--output", output]
    job += ["--rows-per-file", 3] if engine == "ray" else ["--megabytes-per-file", 1]

    program = f"import sys, many_{engine}; {PROGRAMS[engine]} many_{engine}.main(sys.argv[1:])"
    with open(tmp_path / "log", "wb") as log:
        command = [sys.executable, "-c", program, *map(str, job)]
        process = subprocess.Popen(command, start_new_session=True, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 300
        while not list(output.glob("*.parquet")):
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    # Workers end by themselves when the program is gone.
    time.sleep(2)

    done = read(output)
    assert 0 < len(done) < 24
    assert run(*job) == (24 - len(done), 0)
    rows = read(output)
    assert {os.path.basename(it) for it in rows} == {f"{i}.png" for i in range(24)}
    assert all(rows[path] == row for path, row in done.items())
    assert all(row["records"] and row["error"] is None for row in rows.values())
    assert not [it for it in output.iterdir() if "unfinished" in it.name or it.name == "_temporary"]
