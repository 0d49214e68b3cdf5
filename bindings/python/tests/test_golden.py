"""Results equal those of the reference implementations, from the repository's golden files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vitrum

GOLDEN = Path(__file__).resolve().parents[3] / "tests/golden"


def assert_near(values, reference, bound=1e-4):
    assert values.shape == reference.shape
    assert np.abs(values - reference).max() <= bound * np.abs(reference).max()


def test_clip_equals_transformers(golden):
    reference = golden("clip/quickgelu-p32/end_to_end.safetensors")
    said = json.loads((GOLDEN / "clip/quickgelu-p32/end_to_end.json").read_text())
    clip = vitrum.Clip(GOLDEN / "clip/quickgelu-p32")
    pictures = [reference["image.0"], reference["image.1"]]
    texts = [said["template"].replace("{}", label) for label in said["labels"]]

    images, words = clip.encode_images(pictures), clip.encode_texts(texts)
    assert_near(images, reference["image_embeds_normalized"])
    assert_near(words, reference["text_embeds_normalized"])
    assert_near(clip.similarity(images, words), reference["logits_per_image"])
    for picture, probabilities in zip(pictures, reference["probabilities"]):
        assert_near(clip.classify(picture, said["labels"], said["template"]), probabilities)
    classifier = vitrum.ZeroShotClassifier(clip, said["labels"], said["template"])
    assert_near(classifier.predict_proba(pictures), reference["probabilities"])
    for text, ids in zip(texts, reference["input_ids"]):
        tokens = clip.tokenize(text)
        assert tokens.tolist() == ids[: len(tokens)].tolist()


@pytest.fixture(scope="module")
def random_sam():
    return vitrum.Sam(GOLDEN / "sam_predictor/model.safetensors")


@pytest.mark.parametrize("picture", ["small", "large", "square", "upright"])
def test_sam_equals_segment_anything(golden, random_sam, picture):
    reference = golden("sam_predictor/golden.safetensors")
    cases = json.loads((GOLDEN / "sam_predictor/golden.json").read_text())
    image = reference[f"{picture}.image"]
    embedding = random_sam.encode(image)
    assert embedding.size == image.shape[:2]
    assert_near(embedding.values(), reference[f"{picture}.embedding"])
    cases = {name: case for name, case in cases.items() if name.startswith(picture + ".")}
    assert len(cases) >= 3
    for name, case in cases.items():
        mask = case.get("mask")
        # The second of the masks of another prompt for the same picture.
        mask = None if mask is None else reference[f"{picture}.{mask}.low_res"][1]
        prediction = random_sam.predict(
            embedding,
            case.get("points"),
            case.get("labels"),
            case.get("box"),
            mask,
            multimask=case.get("multimask", True),
        )
        assert_near(prediction.scores, reference[f"{name}.iou"])
        assert_near(prediction.low_res, reference[f"{name}.low_res"])
    prediction = random_sam.predict(embedding, **{k: cases[f"{picture}.point"][k] for k in ("points", "labels")})
    expected = reference[f"{picture}.point.logits"]
    found = [it for it in prediction.logits if np.abs(it - expected[0]).max() <= 1e-4 * np.abs(expected).max()]
    assert len(found) == 1


def test_everything_equals_segment_anything(random_sam):
    golden = json.loads((GOLDEN / "automatic/random.json").read_text())
    image = np.array(Image.open(GOLDEN / "automatic/random.png").convert("RGB"))
    assert list(image.shape[:2]) == golden["size"]
    for name, case in golden["cases"].items():
        records = random_sam.everything(image, **case["options"])
        assert len(records) == len(case["records"]) > 0, name
        for record, expected in zip(records, case["records"]):
            reference = vitrum.Rle.from_coco({"size": golden["size"], "counts": expected["counts"]}).to_mask()
            both, either = (record.mask & reference).sum(), (record.mask | reference).sum()
            assert both >= 0.99 * either
            assert record.predicted_iou == pytest.approx(expected["predicted_iou"], abs=1e-4)
            assert [record.point] == [pytest.approx(tuple(point)) for point in expected["point_coords"]]
            assert np.abs(np.subtract(record.bbox, expected["bbox"])).max() <= 1
            assert list(record.crop_box) == expected["crop_box"]


HEIGHT, WIDTH, FRAMES = 60, 84, 22


def frame(t):
    """Frame t of the golden files' video, as `tests/common/scenario.rs` draws it."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    texture = [(3 * x + y + 2 * t) % 160, (x + 4 * y) % 160, (2 * x + 5 * y + t) % 160]
    pixels = np.stack(texture, axis=-1).astype(np.uint8)
    discs = [
        (20 + 2 * t, 30, 10, (230, 40, 40)),
        (60 - t, 20 + t, 8, (40, 60, 240)),
        (70, 50, 6, (250, 250, 90)),
    ]
    for i, (cx, cy, radius, colour) in enumerate(discs):
        if i != 1 or not 13 <= t <= 15:
            pixels[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = colour
    return pixels


class Expected:
    """What SAM2VideoPredictor gave, result after result."""

    def __init__(self, tensors):
        self.tensors, self.next = tensors, 0

    def check(self, tracker, frame, object):
        i, it = self.next, self.tensors
        self.next += 1
        assert it["frames"][i].tolist() == [frame, object]
        logits, expected = tracker.low_res(object, frame), it["logits"][i]
        stride = logits.shape[0] // expected.shape[0]
        assert np.abs(logits[::stride, ::stride] - expected).max() <= 1e-3 * it["largest"][i]
        score = tracker.stats(object, frame).object_score
        assert abs(score - it["scores"][i]) <= 1e-3 * np.abs(it["scores"]).max()

    def check_all(self, tracker, results):
        for number, masks in results:
            assert list(masks) == tracker.objects
            for object, mask in masks.items():
                self.check(tracker, number, object)
                assert np.array_equal(mask, tracker.mask(object, number))
                assert np.array_equal(mask, tracker.logits(object, number) > 0)
                assert tracker.rle(object, number) == vitrum.Rle.from_mask(mask)


def tracker_of(case):
    sam = vitrum.Sam(GOLDEN / "tracker" / case)
    return vitrum.Tracker(sam, WIDTH, HEIGHT, num_frames=FRAMES, held_frames=FRAMES, both_directions=True)


@pytest.mark.parametrize("case", ["sam2.0", "sam2.1"])
def test_tracking_equals_sam2(golden, case):
    expected = Expected(golden(f"tracker/{case}/forward.safetensors"))
    tracker = tracker_of(case)
    assert tracker.push(frame(0)) == 0
    tracker.add_points(3, [[20, 30]], [1])
    expected.check(tracker, 0, 3)
    tracker.add_points(8, box=[48, 10, 66, 30])
    expected.check(tracker, 0, 8)
    expected.check_all(tracker, tracker.propagate(frame(t) for t in range(1, FRAMES)))
    assert expected.next == len(expected.tensors["frames"])


def test_tracking_in_both_directions_equals_sam2(golden):
    expected = Expected(golden("tracker/sam2.1/backward.safetensors"))
    tracker = tracker_of("sam2.1")
    tracker.push(frame(11), frame=11)
    for object, point in ((1, [42, 30]), (2, [49, 31])):
        tracker.add_points(object, [point])
        expected.check(tracker, 11, object)
    expected.check_all(tracker, tracker.propagate(frame(t) for t in range(12, FRAMES)))
    before = (frame(t) for t in range(11, -1, -1))
    expected.check_all(tracker, tracker.propagate(before, "backward", first=11))
    tracker.add_points(2, [[56, 24]], frame=4)
    expected.check(tracker, 4, 2)
    expected.check_all(tracker, tracker.propagate((frame(t) for t in range(6, -1, -1)), "backward", first=6))
    assert expected.next == len(expected.tensors["frames"])
