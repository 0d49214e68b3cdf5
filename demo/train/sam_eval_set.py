"""Writes the evaluation set of sam-nano: a sheet of scenes, and what `transformers` gets on them.

    python sam_eval_set.py --cache CACHE --model ../sam-nano --output ../eval

Scenes are of Fluent 3D, which training never saw. The last one is of the training styles, whose parts are known: a
click that may mean a part or the whole, chosen where the model's masks answer both best.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco

import sam_parts
from sam_evaluate import SEED, Reference, evaluation_compositor, measure
from sam_measure import middle, objects_of, overlap
from sam_model import IMAGE_SIZE
from sam_scenes import Compositor, tight_box

SCENES, COLUMNS = 23, 6
AMBIGUOUS_SCENES = 60  # searched
LEAST_DIFFERENCE = 0.1, 0.6  # of the part's area and the whole's


def run_lengths(mask: np.ndarray) -> str:
    """COCO's compressed string."""
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


def ambiguous(reference: Reference, compositor: Compositor) -> tuple[np.ndarray, dict]:
    """`(picture, description)` of the click where the worse of part and whole is best."""
    best, found = -1.0, None
    for k in range(AMBIGUOUS_SCENES):
        scene = compositor.scene(np.random.default_rng([SEED, 1, k]))
        embedding = None
        for item in scene.objects:
            for part in compositor.nested(scene, item, None)[:-1]:
                if not LEAST_DIFFERENCE[0] < part.sum() / item.visible.sum() < LEAST_DIFFERENCE[1]:
                    continue
                if embedding is None:
                    embedding = reference.embed(scene.picture)
                click = np.array([[(*middle(part), 1)]], float)
                masks = reference.predict(embedding, scene.picture.shape[:2], True, click)[0][0]
                iou = np.stack([overlap(masks, part), overlap(masks, item.visible)])
                pick = iou.argmax(1)
                if pick[0] != pick[1] and iou.max(1).min() > best:
                    best = iou.max(1).min()
                    found = scene.picture, {
                        "click": click[0, 0, :2].tolist(),
                        "part": run_lengths(part), "whole": run_lengths(item.visible),
                        "masks": pick.tolist(), "iou": iou.max(1).round(4).tolist(),
                    }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("cache", "model", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    reference = Reference(arguments.model)
    compositor = evaluation_compositor(arguments.cache, IMAGE_SIZE)
    pictures, sizes, objects, k = [], [], [], 0
    while len(pictures) < SCENES:
        scene = compositor.scene(np.random.default_rng([SEED, 2, k]))
        k += 1
        masks = objects_of(scene)
        if not len(masks):
            continue
        result = measure(reference, scene.picture, masks)
        for mask, clicks, refined, box in zip(masks, result.clicks, result.refined, result.box, strict=True):
            objects.append({
                "scene": len(pictures), "mask": run_lengths(mask), "box": tight_box(mask).tolist(),
                "clicks": clicks.astype(int).tolist(),
                "iou": refined.round(4).tolist(), "box_iou": round(float(box), 4),
            })
        pictures.append(scene.picture)
    picture, description = ambiguous(reference, Compositor(sam_parts.load(arguments.cache), IMAGE_SIZE, vary=False))
    pictures.append(picture)
    rows = -(-len(pictures) // COLUMNS)
    sheet = np.zeros((rows * IMAGE_SIZE, COLUMNS * IMAGE_SIZE, 3), np.uint8)
    for i, picture in enumerate(pictures):
        y, x = i // COLUMNS * IMAGE_SIZE, i % COLUMNS * IMAGE_SIZE
        height, width = picture.shape[:2]
        sheet[y : y + height, x : x + width] = picture
        sizes.append([width, height])
    arguments.output.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(arguments.output / "scenes.png", optimize=True)
    means = np.mean([o["iou"] for o in objects], 0), np.mean([o["box_iou"] for o in objects])
    facts = {"sheet": "scenes.png", "tile": IMAGE_SIZE, "columns": COLUMNS, "sizes": sizes, "ambiguous": description,
             "objects": objects}
    (arguments.output / "scenes.json").write_text(json.dumps(facts) + "\n")
    print(f"{len(objects)} objects; mean IoU after 1, 2, 3 clicks {means[0].round(3)}, box {means[1]:.3f}; "
          f"part and whole {description['iou']}")


if __name__ == "__main__":
    main()
