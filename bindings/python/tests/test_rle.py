"""Run lengths and polygons, against pycocotools."""

import json
import pickle

import numpy as np
import pytest
from pycocotools import mask as coco

import vitrum

MASKS = [np.random.default_rng(seed).random((1 + 3 * seed, 1 + 41 * seed % 29)) < seed / 30 for seed in range(31)]
MASKS += [np.zeros((5, 7), bool), np.ones((5, 7), bool), np.eye(6, dtype=bool), np.ones((400, 300), bool)]
BLOCK = np.zeros((300, 500), bool)
BLOCK[20:280, 30:400] = True
BLOCK[50:90, 60:100] = False
BLOCK[150:250, 200:390] = False
BLOCK[180:200, 220:240] = True
MASKS.append(BLOCK)


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: "x".join(map(str, mask.shape)))
def test_pycocotools_reads_and_writes_the_same(mask):
    rle, reference = vitrum.Rle.from_mask(mask), coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert rle.to_coco() == reference
    assert np.array_equal(coco.decode(rle.to_coco()), mask)
    assert np.array_equal(rle.to_mask(), mask) and rle.to_mask().dtype == bool
    assert rle.area == coco.area(reference) == mask.sum()
    assert list(rle.bbox) == coco.toBbox(reference).tolist()
    for counts in (reference["counts"], reference["counts"].decode(), rle.counts.tolist()):
        assert vitrum.Rle.from_coco({"size": reference["size"], "counts": counts}) == rle
    json.dumps({**rle.to_coco(), "counts": rle.to_coco()["counts"].decode()})
    assert pickle.loads(pickle.dumps(rle)) == rle


@pytest.mark.parametrize("mask", [*MASKS[:12], *MASKS[-5:]], ids=lambda mask: "x".join(map(str, mask.shape)))
def test_polygons_filled_by_pycocotools_are_the_mask(mask):
    height, width = mask.shape
    rle = vitrum.Rle.from_mask(mask)
    polygons = rle.to_coco_polygons()
    assert len(polygons) == len(rle.polygons())
    if not polygons:
        assert not mask.any()
        return
    filled = coco.decode(coco.merge(coco.frPyObjects(polygons, height, width)))
    assert np.array_equal(filled, mask)


def area_of(ring):
    x, y = ring.astype(np.int64).T
    return int((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2


def test_parts_and_holes():
    parts = vitrum.Rle.from_mask(BLOCK).polygons()
    assert [len(part.holes) for part in parts] == [2, 0]
    assert sum(area_of(part.outline) + sum(map(area_of, part.holes)) for part in parts) == BLOCK.sum()
    assert parts[0].outline.tolist() == [[30, 20], [400, 20], [400, 280], [30, 280]]
    disc = np.hypot(*(np.mgrid[:200, :200] - 100)) < 80
    exact, rough = (vitrum.Rle.from_mask(disc).polygons(tolerance)[0].outline for tolerance in (0, 2))
    assert 4 < len(rough) < len(exact) / 4
    with pytest.raises(ValueError, match="tolerance"):
        vitrum.Rle.from_mask(disc).polygons(-1)


def test_masks_of_any_values_and_layout():
    values = np.array([[0, 2.5], [-1, 0], [0, 0]])
    rle = vitrum.Rle.from_mask(values)
    assert rle.counts.tolist() == [1, 1, 1, 1, 2] and rle.size == (3, 2)
    assert vitrum.Rle.from_mask(np.asfortranarray(values)) == rle
    assert vitrum.Rle.from_mask(values[::-1].copy()[::-1]) == rle
    assert np.array_equal(np.asarray(rle), values != 0)


def test_what_is_no_mask_is_refused():
    with pytest.raises(ValueError, match=r"mask: shape \[h, w\]"):
        vitrum.Rle.from_mask(np.zeros((2, 3, 1)))
    with pytest.raises(ValueError, match="2 x 3 pixels"):
        vitrum.Rle((2, 3), [1, 4])
    for counts in (b"\xff", b"o", b"ooooooooooooooooooo", b"\x20"):
        with pytest.raises(ValueError, match="counts"):
            vitrum.Rle.from_coco({"size": [2, 3], "counts": counts})
