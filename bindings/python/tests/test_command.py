"""The package gives what the command `vitrum` gives, digit for digit."""

import json
import subprocess

import numpy as np
import pytest
from PIL import Image, ImageSequence

import vitrum

PICTURES = ["astronaut.jpg", "chelsea.jpg", "coffee.jpg", "octopus-3d.png"]


@pytest.fixture(scope="module")
def vitrum_says(command):
    def run(*arguments):
        arguments = [str(command), *map(str, arguments), "--json"]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def rle(segmentation):
    return vitrum.Rle.from_coco(segmentation)


def test_classify(vitrum_says, clip, demo):
    paths = [demo / "images" / name for name in PICTURES]
    labels = (demo / "labels.txt").read_text().splitlines()
    lines = vitrum_says(
        "classify", *paths, "--model", demo / "clip-nano", "--labels-file", demo / "labels.txt", "--top", 5
    )
    for path, line in zip(paths, lines):
        probabilities = clip.classify(path, labels)
        for it in line["labels"]:
            assert np.float32(it["probability"]) == probabilities[labels.index(it["label"])]


def test_embed(vitrum_says, clip, demo, tmp_path):
    image = Image.open(demo / "images/chelsea.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    image.convert("P").save(tmp_path / "palette.png")
    image.convert("RGBA").save(tmp_path / "alpha.png")
    deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "deep.png")
    image.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    image.save(tmp_path / "picture.webp", lossless=True)
    image.convert("1").save(tmp_path / "bits.png")
    paths = sorted(tmp_path.iterdir())
    lines = vitrum_says("embed", "--model", demo / "clip-nano", "--image", *paths)
    for path, line in zip(paths, lines):
        assert np.array_equal(np.float32(line["embedding"]), clip.encode_images(path)[0]), path.name
    raw = vitrum_says("embed", "--model", demo / "clip-nano", "--raw", "--text", "an octopus")
    assert np.array_equal(np.float32(raw[0]["embedding"]), clip.encode_texts("an octopus", False)[0])


def test_segment(vitrum_says, sam, demo):
    path = demo / "images/astronaut.jpg"
    lines = vitrum_says(
        "segment",
        path,
        "--model",
        demo / "sam-nano",
        "--point",
        "150,80",
        "--neg",
        "300,300",
        "--multimask",
        "--polygons",
    )
    prediction = sam.predict(path, [[150, 80], [300, 300]], [1, 0])
    assert [line["mask"] for line in lines] == [0, 1, 2]
    for i, line in enumerate(lines):
        assert rle(line["segmentation"]) == prediction.rle(i)
        assert line["segmentation"]["counts"] == prediction.rle(i).to_coco()["counts"].decode()
        stats = prediction.stats(i)
        assert (line["area"], tuple(line["bbox"])) == (stats.area, stats.bbox)
        assert np.float32(line["predicted_iou"]) == prediction.scores[i]
        parts = [(part.outline.tolist(), [hole.tolist() for hole in part.holes]) for part in prediction.polygons(i)]
        assert [(part["outline"], part["holes"]) for part in line["polygons"]] == parts


def test_coco_polygons(command, sam, demo, tmp_path):
    path, output = demo / "images/astronaut.jpg", tmp_path / "coco.json"
    arguments = ["segment", path, "--model", demo / "sam-nano", "--point", "150,80", "--output", output]
    subprocess.run([command, *map(str, arguments)], check=True, capture_output=True)
    prediction = sam.predict(path, [[150, 80]], multimask=False)
    annotation = json.loads(output.read_text())["annotations"][0]
    assert annotation["segmentation"] == prediction.rle().to_coco_polygons()


def test_everything(vitrum_says, sam, demo):
    path = demo / "images/garden-scene-3d.png"
    lines = vitrum_says(
        "everything", path, "--model", demo / "sam-nano", "--points-per-side", 8, "--pred-iou-thresh", 0.2,
        "--stability-score-thresh", 0.3,
    )  # fmt: skip
    records = sam.everything(path, points_per_side=8, pred_iou_thresh=0.2, stability_score_thresh=0.3)
    assert len(records) == len(lines) > 0
    for record, line in zip(records, lines):
        assert rle(line["segmentation"]) == record.rle
        assert (line["area"], tuple(line["bbox"])) == (record.area, record.bbox)
        assert np.float32(line["predicted_iou"]) == np.float32(record.predicted_iou)
        assert np.float32(line["stability_score"]) == np.float32(record.stability_score)
        assert line["point_coords"] == [list(record.point)]
        assert tuple(line["crop_box"]) == record.crop_box


def test_ground(vitrum_says, sam, clip, demo):
    path = demo / "images/garden-scene-3d.png"
    lines = vitrum_says(
        "segment", path, "--text", "a strawberry", "--not", "grass",
        "--model", demo / "sam-nano", "--clip-model", demo / "clip-nano",
        "--points-per-side", 8, "--pred-iou-thresh", 0.2, "--stability-score-thresh", 0.3,
    )  # fmt: skip
    candidates = {"points_per_side": 8, "pred_iou_thresh": 0.2, "stability_score_thresh": 0.3}
    matches = sam.ground(clip, path, ["a strawberry"], others=["grass"], candidates=candidates)
    assert len(lines) == len(matches) == 1
    for match, line in zip(matches, lines):
        assert rle(line["segmentation"]) == match.record.rle
        assert np.float32(line["probability"]) == np.float32(match.probability)


def test_track(vitrum_says, sam2, demo, tmp_path):
    with Image.open(demo / "clips/tree.gif") as gif:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(gif)][:8]
    for i, image in enumerate(frames):
        image.save(tmp_path / f"{i}.png")
    lines = vitrum_says("track", tmp_path, "--model", demo / "sam2-nano", "--point", "36,150")
    tracker = vitrum.Tracker(sam2, *frames[0].size, num_frames=len(frames))
    tracker.push(frames[0])
    tracker.add_points(1, [[36, 150]])
    for line, (frame, _) in zip(lines, tracker.propagate(frames[1:])):
        stats = tracker.stats(1)
        assert (line["frame"], line["object"]) == (frame, 1)
        assert rle(line["segmentation"]) == tracker.rle(1)
        assert (line["area"], tuple(line["bbox"])) == (stats.area, stats.bbox)
        assert np.float32(line["object_score"]) == np.float32(stats.object_score)
    assert tracker.frame == len(frames) - 1 == len(lines) - 1
