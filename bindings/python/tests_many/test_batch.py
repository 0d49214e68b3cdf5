"""Tasks without an engine."""

import io
import pickle

import numpy as np
import pandas
import pyarrow
import pytest
from PIL import Image

import vitrum
from vitrum import batch

LABELS = ["octopus", "bicycle", "strawberry", "coffee"]


@pytest.fixture(scope="module")
def columns(good, bad):
    paths = good[:5] + bad[:2] + good[5:11]
    return {"path": [str(it) for it in paths], "bytes": [it.read_bytes() for it in paths]}


def test_embeddings_and_errors(demo, columns):
    out = batch.Embed(demo / "clip-nano").columns(columns)
    assert list(out) == ["path", "embedding", "error"] and out["path"] == columns["path"]
    clip = vitrum.Clip(demo / "clip-nano")
    for path, embedding, error in zip(*out.values()):
        if "text" in path or "truncated" in path:
            assert embedding is None and error
        else:
            assert error is None and np.array_equal(embedding, clip.encode_images(path)[0])
    assert out["error"][5] == "UnidentifiedImageError: no picture that Pillow can read"
    assert out["error"][6].startswith("OSError: ")


def test_labels(demo, columns):
    out = batch.Classify(demo / "clip-nano", LABELS, template=["a {}", "the {}"], top=2).columns(columns)
    classifier = vitrum.ZeroShotClassifier(vitrum.Clip(demo / "clip-nano"), LABELS, ["a {}", "the {}"])
    for path, labels, probabilities, error in zip(*out.values()):
        if error is None:
            expected = classifier.predict_proba(path)[0]
            best = expected.argsort()[::-1][:2]
            assert labels == [LABELS[i] for i in best] and np.array_equal(probabilities, expected[best])
        else:
            assert labels is None and probabilities is None
    assert sum(it is not None for it in out["error"]) == 2


def test_any_kind_of_batch_and_any_number_of_threads(demo, columns):
    task = batch.Embed(demo / "clip-nano", normalize=False)
    table = task(columns)
    assert table.schema == task.schema and table.column_names == ["path", "embedding", "error"]
    arrays = {name: np.array(values, dtype=object) for name, values in columns.items()}
    assert task(arrays) == table
    assert task(pyarrow.table(columns)) == table
    assert batch.Embed(demo / "clip-nano", normalize=False, threads=2)(columns) == table
    frame = pandas.DataFrame(columns)
    frames = list(task.frames([frame[:7], frame[7:]]))
    assert [len(it) for it in frames] == [7, 6]
    assert pyarrow.Table.from_pandas(pandas.concat(frames), task.schema, preserve_index=False).equals(table)
    assert task({"path": [], "bytes": []}).num_rows == 0


def test_paths_in_the_place_of_contents(demo, columns):
    by_path = batch.Embed(demo / "clip-nano", contents=None)({"path": columns["path"]})
    assert by_path["embedding"] == batch.Embed(demo / "clip-nano")(columns)["embedding"]
    missing = batch.Embed(demo / "clip-nano", contents=None).columns({"path": ["not-there.png", None]})
    assert missing["error"][0].startswith("FileNotFoundError: ") and missing["error"][1] == "ValueError: no contents"


def test_a_model_is_loaded_once_for_a_process(demo, columns):
    batch._classifier.cache_clear()
    for _ in range(3):
        task = pickle.loads(pickle.dumps(batch.Classify(demo / "clip-nano", LABELS)))
        task({name: values[:1] for name, values in columns.items()})
    assert batch._classifier.cache_info().misses == 1
    assert task._worker() is batch.Classify(demo / "clip-nano", LABELS)._worker()
    assert task._worker().clip is batch.Embed(demo / "clip-nano")._worker()
    assert task._worker() is not batch.Classify(demo / "clip-nano", LABELS[:2])._worker()


def test_what_is_wrong_with_the_job_is_raised(demo, columns):
    with pytest.raises(FileNotFoundError):
        batch.Embed(demo / "not-there")({"path": [], "bytes": []})
    with pytest.raises(ValueError, match="labels"):
        batch.Classify(demo / "clip-nano", [])
    with pytest.raises(ValueError, match="template"):
        batch.Classify(demo / "clip-nano", LABELS, template="no place")(columns)
    with pytest.raises(TypeError, match="points_per_sid"):
        batch.Segment(demo / "sam-nano", everything={"points_per_sid": 4})
    with pytest.raises(ValueError, match="everything"):
        batch.Segment(demo / "sam-nano", boxes="boxes", everything={"points_per_side": 4})
    # Outside of its domain, which the library tells with the first picture.
    with pytest.raises(ValueError, match="has no points"):
        batch.Segment(demo / "sam-nano", everything={"points_per_side": 0})(columns)
    with pytest.raises(KeyError):
        batch.Embed(demo / "clip-nano", contents="content")(columns)


def test_prompts(demo, good, pictures):
    boxes = [[[10, 20, 80, 90], [5, 5, 50, 60]], [], None, [[1, 2, 3]], [[30, 30, 90, 120]]]
    clicks = [[[40, 50], [20, 20]], [], None, [[1, 2]], [[float("nan"), 4]]]
    paths = good[:5]
    columns = {"path": [str(it) for it in paths], "boxes": boxes, "clicks": clicks}
    sam, options = vitrum.Sam(demo / "sam2-nano"), {"contents": None}

    def expected(prompts, multimask):
        predictions = sam.predict_many(str(paths[0]), prompts, multimask=multimask)
        return [(it.size, it.rle().to_coco()["counts"].decode(), float(it.scores[it.best])) for it in predictions]

    def found(out, row):
        return [(tuple(it["size"]), it["counts"], it["predicted_iou"]) for it in out["records"][row]]

    out = batch.Segment(demo / "sam2-nano", boxes="boxes", **options).columns(columns)
    assert found(out, 0) == expected([vitrum.Prompt(box=it) for it in boxes[0]], False)
    assert out["records"][1] == out["records"][2] == [] and out["error"][:3] == [None] * 3
    assert out["records"][3] is None and "shape [4] is needed" in out["error"][3]
    assert len(out["records"][4]) == 1 and out["error"][4] is None
    for it in out["records"][0]:
        mask = vitrum.Rle.from_coco(it)
        assert it["area"] == mask.area and it["bbox"] == list(mask.bbox)

    out = batch.Segment(demo / "sam2-nano", points="clicks", **options).columns(columns)
    assert found(out, 0) == expected([vitrum.Prompt(points=[it]) for it in clicks[0]], True)
    assert out["records"][4] is None and out["error"][4]

    out = batch.Segment(demo / "sam2-nano", boxes="boxes", points="clicks", **options).columns(columns)
    prompts = [vitrum.Prompt(box=box, points=[click]) for box, click in zip(boxes[0], clicks[0])]
    assert found(out, 0) == expected(prompts, False)
    columns["clicks"] = [[[1, 2]], *clicks[1:]]
    out = batch.Segment(demo / "sam2-nano", boxes="boxes", points="clicks", **options).columns(columns)
    assert "not 2 and 1" in out["error"][0] and out["error"][1] is None


def test_a_picture_that_the_model_refuses_is_its_own_error(demo, columns):
    file = io.BytesIO()
    Image.new("RGB", (5000, 1)).save(file, "png")
    options = {"points_per_side": 2, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    task = batch.Segment(demo / "sam-nano", everything=options)
    mixed = {"path": ["a", "narrow", "b"], "bytes": [columns["bytes"][0], file.getvalue(), columns["bytes"][1]]}
    out = task.columns(mixed)
    assert out["error"][0] is None and out["error"][2] is None and "ImageError" in out["error"][1]
    assert out["records"][0] and out["records"][2]
    table = task(mixed)
    assert table["records"].to_pylist()[0][0].keys() == out["records"][0][0].keys()
