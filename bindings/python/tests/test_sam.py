"""SAM on pictures: prompts, predictions, everything, texts."""

import json
import pickle

import numpy as np
import pytest

import vitrum
from vitrum import Prompt

#: With these the small model finds something, quickly.
QUICK = {"points_per_side": 6, "pred_iou_thresh": 0.2, "stability_score_thresh": 0.3}


def test_a_prediction(sam, embedding):
    prediction = sam.predict(embedding, [[150, 80]])
    assert len(prediction) == 3 and prediction.size == embedding.size == (448, 448)
    assert prediction.masks.shape == (3, 448, 448) and prediction.masks.dtype == bool
    assert prediction.logits.shape == (3, 448, 448) and prediction.logits.dtype == np.float32
    assert prediction.low_res.shape == (3, sam.mask_side, sam.mask_side)
    assert np.array_equal(prediction.masks, prediction.logits > 0)
    assert prediction.best == prediction.scores.argmax()
    assert np.array_equal(prediction.best_mask, prediction.masks[prediction.best])
    for i, mask in enumerate(prediction.masks):
        rle, stats = prediction.rle(i), prediction.stats(i)
        assert rle == vitrum.Rle.from_mask(mask)
        assert (stats.area, stats.bbox, stats.score) == (rle.area, rle.bbox, prediction.scores[i])
        assert prediction.stability(i) == stats.stability <= prediction.stability(i, 0.5)
        assert len(prediction.polygons(i)) == len(rle.polygons())
    assert prediction.rle() == prediction.rle(prediction.best) and prediction.rle(-1) == prediction.rle(2)
    with pytest.raises(IndexError, match="mask 3 of 3"):
        prediction.rle(3)
    assert "3 masks" in repr(prediction)
    higher = sam.predict(embedding, [[150, 80]], threshold=2)
    assert np.array_equal(higher.masks, prediction.logits > 2)


def test_several_prompts_are_those_of_one_after_the_other(sam, embedding):
    low_res = sam.predict(embedding, [[150, 80]]).low_res[0]
    prompts = [
        Prompt([[150, 80]]),
        Prompt([(150.5, 80), (300, 300)], [1, 0]),
        Prompt(box=[100, 20, 300, 200]),
        Prompt(np.array([[200, 100]]), np.array([True]), (100, 20, 300, 200)),
        Prompt(mask=low_res),
        Prompt([[150, 80]], mask=low_res[None]),
        Prompt(),
        Prompt(np.empty((0, 2)), [], [0, 0, 50, 50]),
    ]
    for multimask in (True, False):
        together = sam.predict_many(embedding, prompts, multimask=multimask)
        for prompt, got in zip(prompts, together):
            alone = sam.predict(embedding, prompt.points, prompt.labels, prompt.box, prompt.mask, multimask=multimask)
            assert len(got) == (3 if multimask else 1)
            assert np.array_equal(got.scores, alone.scores)
            assert np.array_equal(got.masks, alone.masks)
            assert np.array_equal(got.low_res, alone.low_res)
    assert len({it.rle().counts.tobytes() for it in together}) > 4
    # A prediction stays, whatever is predicted after it.
    assert np.array_equal(together[1].logits, sam.predict(embedding, prompts[1].points, [1, 0], multimask=False).logits)


def test_a_picture_in_the_place_of_an_embedding(sam, embedding, photo):
    expected = sam.predict(embedding, box=[100, 20, 300, 200])
    assert np.array_equal(sam.predict(photo, box=[100, 20, 300, 200]).masks, expected.masks)
    bgr = photo[..., ::-1]
    assert np.array_equal(sam.predict(bgr, box=[100, 20, 300, 200], format="bgr").masks, expected.masks)


def test_holes_and_islands(sam, embedding):
    raw = sam.predict(embedding, [[150, 80]])
    clean = sam.predict(embedding, [[150, 80]], max_hole_area=400, max_sprinkle_area=400)

    def parts(prediction):
        return sum(1 + len(it.holes) for i in range(3) for it in prediction.polygons(i))

    assert parts(clean) < parts(raw)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"points": [1, 2]}, ValueError, r"points: shape \[n, 2\] is needed, not \(2,\)"),
        ({"points": [[1, 2, 3]]}, ValueError, "points"),
        ({"points": [[1, 2]], "labels": [1, 0]}, ValueError, r"labels: shape \[1\]"),
        ({"points": [[1, 2]], "labels": [2]}, ValueError, "labels: 1 "),
        ({"labels": [1]}, ValueError, "labels: without points"),
        ({"points": [[np.nan, 2]]}, ValueError, "."),
        ({"points": "here"}, ValueError, "."),
        ({"box": [1, 2, 3]}, ValueError, r"box: shape \[4\]"),
        ({"box": [[1, 2, 3, 4]]}, ValueError, "predict_many"),
        ({"box": [9, 2, 3, 4]}, ValueError, "."),
        ({"mask": np.zeros((3, 4))}, ValueError, "mask: logits"),
        ({"mask": np.zeros((5, 5))}, ValueError, "."),
        ({"points": [[1, 2]], "max_hole_area": -1}, ValueError, "max_hole_area: -1"),
        ({"points": [[1, 2]], "max_sprinkle_area": 1.5}, TypeError, "max_sprinkle_area: a whole number"),
    ],
)
def test_prompts_that_are_refused(sam, embedding, arguments, error, message):
    with pytest.raises(error, match=message):
        sam.predict(embedding, **arguments)


def test_other_refusals(sam, sam2, embedding):
    with pytest.raises(ValueError):
        sam.predict_many(embedding, [])
    with pytest.raises(TypeError, match=r"prompts\[0\]: a vitrum.Prompt"):
        sam.predict_many(embedding, [[[1, 2]]])
    with pytest.raises(vitrum.InvalidArgumentError):
        sam2.predict(embedding, [[1, 2]])
    with pytest.raises(ValueError, match="image_size"):
        vitrum.Sam(sam._path, image_size=-16)
    with pytest.raises(ValueError):
        vitrum.Sam(sam._path, image_size=100)


def test_embeddings_are_saved_and_restored(sam, embedding, photo, demo):
    saved = embedding.save()
    assert isinstance(saved, bytes)
    restored = sam.restore(saved)
    assert np.array_equal(restored.values(), embedding.values())
    assert restored.values().shape[:2] == (sam.mask_side // 4,) * 2
    assert np.array_equal(sam.predict(restored, [[150, 80]]).masks, sam.predict(embedding, [[150, 80]]).masks)
    assert restored.memory_bytes >= embedding.values().nbytes
    assert restored.is_of(photo) is True and restored.is_of(photo[::-1]) is False
    assert restored.is_of(photo[..., ::-1].copy(), format="bgr") is True
    with pytest.raises(vitrum.ModelError):
        sam.restore(saved[:-1])
    with pytest.raises(ValueError):
        vitrum.Sam(demo / "sam-nano", image_size=128).restore(saved)
    with pytest.raises(TypeError, match="save"):
        pickle.dumps(embedding)
    with restored:
        pass
    with pytest.raises(ValueError, match="sam embedding is closed"):
        sam.predict(restored, [[1, 2]])


def test_properties(sam, sam2, demo):
    config = json.loads((demo / "sam-nano/config.json").read_text())
    assert sam.image_size == config["vision_config"]["image_size"]
    assert not sam.can_track
    assert sam2.can_track and sam2.warnings == []
    small = vitrum.Sam(demo / "sam-nano", image_size=128, weights="int8")
    assert small.image_size == 128 and small.memory_bytes < sam.memory_bytes
    files = {path.name: path.read_bytes() for path in (demo / "sam-nano").iterdir() if path.suffix != ".md"}
    assert vitrum.Sam.from_files(files, image_size=128).image_size == 128


def test_progress(sam, photo):
    fractions = []
    sam.encode(photo, progress=fractions.append)
    assert len(fractions) > 2 and fractions == sorted(fractions) and 0 <= fractions[0] <= fractions[-1] <= 1


def test_everything(sam, demo):
    picture = demo / "images/garden-scene-3d.png"
    records, embedding = sam.everything(picture, return_embedding=True, **QUICK)
    assert len(records) > 3
    assert [it.rle for it in records] == [it.rle for it in sam.everything(picture, **QUICK)]
    for it in records:
        assert it.mask.shape == embedding.size and it.mask.dtype == bool
        assert it.area == it.mask.sum()
        x, y, width, height = it.rle.bbox
        assert it.bbox == (x, y, width - 1, height - 1)
        assert it.predicted_iou > 0.2 and it.stability_score >= 0.3
        as_dict = it.as_dict()
        assert as_dict["segmentation"] is it.mask and as_dict["point_coords"] == [list(it.point)]
        assert it.crop_box == (0, 0, 512, 384)
    grid = [np.array([[0.5, 0.5], [0.25, 0.75]])]
    few = sam.everything(
        picture, point_grids=grid, single_mask=True, use_m2m=True, pred_iou_thresh=0, stability_score_thresh=0
    )
    assert 1 <= len(few) <= 2 and all(it.point in [(256.0, 192.0), (128.0, 288.0)] for it in few)
    # What is pickled is what is known, not what was decoded.
    pickled = pickle.dumps(records[0])
    assert len(pickled) < records[0].mask.size / 10
    again = pickle.loads(pickled)
    assert (again.rle, again.bbox, again.point) == (records[0].rle, records[0].bbox, records[0].point)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"points_per_slide": 3}, TypeError, "points_per_slide: no such option; there are points_per_side"),
        ({"points_per_side": -1}, ValueError, "points_per_side: -1"),
        ({"points_per_side": 2.5}, TypeError, "points_per_side: a whole number"),
        ({"points_per_batch": 0}, ValueError, "points_per_batch"),
        ({"box_nms_thresh": float("nan")}, ValueError, "."),
        ({"point_grids": [[0.5, 0.5]]}, ValueError, "point_grids"),
        ({"crop_n_layers": 100}, ValueError, "."),
    ],
)
def test_options_of_everything_that_are_refused(sam, photo, options, error, message):
    with pytest.raises(error, match=message):
        sam.everything(photo, **options)


def test_thresholds_are_those_of_the_model(sam, demo):
    picture = demo / "images/garden-scene-3d.png"
    own = json.loads((demo / "sam-nano/config.json").read_text())["task_specific_params"]["mask-generation"]
    found = sam.everything(picture, points_per_side=12)
    named = sam.everything(picture, points_per_side=12, **own)
    stricter = sam.everything(picture, points_per_side=12, pred_iou_thresh=0.999)
    assert len(found) > len(stricter)
    assert [it.rle.counts.tolist() for it in found] == [it.rle.counts.tolist() for it in named]


def test_ground(sam, clip, demo):
    picture = demo / "images/garden-scene-3d.png"
    texts = ["a strawberry", "a cat"]
    matches = sam.ground(clip, picture, texts, others=["grass"], top=2, candidates=QUICK)
    assert matches
    assert [it.index for it in matches] == sorted(it.index for it in matches)
    for it in matches:
        assert it.text == texts[it.index] and 0 <= it.probability <= 1
        assert it.record.area == it.record.mask.sum() > 0
    assert sam.ground(clip, picture, texts, min_probability=1, candidates=QUICK) == []
    one = sam.ground(clip, picture, "a strawberry", template="{}", candidates=QUICK)
    assert len(one) == 1
    with pytest.raises(ValueError):
        sam.ground(clip, picture, [])
    with pytest.raises(ValueError, match="{}"):
        sam.ground(clip, picture, texts, template="a photo")
    with pytest.raises(ValueError, match="top"):
        sam.ground(clip, picture, texts, top=-1)
