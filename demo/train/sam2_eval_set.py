"""Writes the evaluation set of sam2-nano: a sheet of clips, and what `transformers` gets on them.

    python sam2_eval_set.py --cache CACHE --model ../sam2-nano --output ../eval

Clips are of Fluent 3D, which training never saw. In the last one an object leaves and comes back.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sam2_clips import Clip, ClipCompositor, askable
from sam2_evaluate import FRAMES, SEED, Reference, evaluation_clips, measure
from sam_eval_set import run_lengths

CLIPS, OBJECTS, SIDE = 8, 2, 128
AWAY = 2, 4  # frames without the object in the last clip, at least and at most


def comes_back(masks: np.ndarray) -> bool:
    """`[t, h, w]`: gone for some frames in the middle, and well in sight before and after them."""
    seen = masks.any((1, 2))
    return AWAY[0] <= (~seen).sum() <= AWAY[1] and seen[[0, 1, -2, -1]].all()


def chosen(compositor: ClipCompositor) -> list[tuple[Clip, np.ndarray]]:
    """Clips with the indices of the objects to follow: the first ones, then the first in which one comes back."""
    found: list[tuple[Clip, np.ndarray]] = []
    k = 0
    while len(found) < CLIPS:
        clip = compositor.clip(np.random.default_rng([SEED, 2, k]), FRAMES)
        k += 1
        objects = askable(clip)
        if len(found) == CLIPS - 1:
            objects = np.array([i for i in objects if comes_back(clip.masks[i])], int)
        if len(objects):
            found.append((clip, objects[:OBJECTS]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("cache", "model", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    reference = Reference(arguments.model)
    sheet = np.empty((CLIPS, SIDE, FRAMES, SIDE, 3), np.uint8)
    objects = []
    for row, (clip, indices) in enumerate(chosen(evaluation_clips(arguments.cache, SIDE))):
        sheet[row] = clip.frames.transpose(1, 0, 2, 3)
        for i in indices:
            result = measure(reference, clip.frames, clip.masks[i])
            objects.append({
                "clip": row, "clicks": result.clicks, "masks": [run_lengths(mask) for mask in result.truth],
                "iou": result.iou.round(4).tolist(),
            })
    arguments.output.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet.reshape(CLIPS * SIDE, FRAMES * SIDE, 3)).save(arguments.output / "clips.png", optimize=True)
    iou = np.array([o["iou"] for o in objects])
    facts = {"sheet": "clips.png", "tile": SIDE, "clips": CLIPS, "frames": FRAMES, "objects": objects,
             "j": iou.mean((0, 2)).round(4).tolist(), "j_back": iou[-1].mean(1).round(4).tolist()}
    (arguments.output / "clips.json").write_text(json.dumps(facts) + "\n")
    print(f"{len(objects)} objects; J after 1, 2 clicks {facts['j']}; gone and back {iou[-1].round(3).tolist()}")


if __name__ == "__main__":
    main()
