"""Writes the clip of the demo: an animal walks behind a tree and comes out again.

    python sam2_sample.py --cache CACHE --output ../clips [--model ../sam2-nano]

Made of training styles. With a model, also prints what `transformers` gets on it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

import emoji
import sam_parts
from sam2_clips import Actor, ClipCompositor
from sam2_evaluate import Reference, measure
from sam_eval_set import run_lengths
from sam_measure import middle

SIDE, FRAMES, MILLISECONDS = 256, 28, 80
STYLE = "noto"
SKY, GROUND, HORIZON = (196, 226, 244), (158, 196, 118), 0.66
FAR = (2.0, 2.0)  # never hidden

# Back to front: concept, path, side at both ends, angle at both ends, mirrored. The second one is followed.
CAST = (
    ("sun", [(0.84, 0.16), (0.84, 0.16), (0.84, 0.16)], (0.2, 0.2), (0.0, 0.2), 1),
    ("pig", [(0.15, 0.6), (0.5, 0.56), (0.85, 0.62)], (0.3, 0.336), (-0.06, 0.06), -1),
    ("deciduous tree", [(0.5, 0.52), (0.5, 0.52), (0.5, 0.52)], (0.62, 0.62), (0.0, 0.0), 1),
    ("bird", [(0.95, 0.3), (0.5, 0.05), (0.08, 0.26)], (0.13, 0.15), (0.0, 0.0), 1),
)
FOLLOWED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("cache", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    names = [concept.name for concept in emoji.concepts(arguments.cache)]
    pictures, _ = emoji.training_pictures(arguments.cache)
    style = list(emoji.TRAIN_STYLES).index(STYLE)
    actors = [Actor(pictures[names.index(name), style], np.array(path), side, angle, 1.0, mirror, FAR, None)
              for name, path, side, angle, mirror in CAST]
    compositor = ClipCompositor(sam_parts.load(arguments.cache), SIDE, vary=False)
    row = np.arange(SIDE)[:, None, None] < HORIZON * SIDE
    masks = np.zeros((len(actors), FRAMES, SIDE, SIDE), bool)
    frames = np.empty((FRAMES, SIDE, SIDE, 3), np.uint8)
    for t, u in enumerate(np.linspace(0, 1, FRAMES)):
        canvas = np.where(row, SKY, GROUND).astype(np.float32) + np.zeros((SIDE, SIDE, 1), np.float32)
        for k, actor in enumerate(actors):
            compositor.draw(canvas, actor, u, masks[:, t], k)
        frames[t] = canvas.round().clip(0, 255)
    # One palette without dither, so that what does not move does not flicker.
    palette = Image.fromarray(frames.reshape(-1, SIDE, 3)).quantize(256, Image.Quantize.MEDIANCUT)
    indexed = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    arguments.output.mkdir(parents=True, exist_ok=True)
    indexed[0].save(arguments.output / "tree.gif", save_all=True, append_images=indexed[1:], loop=0,
                    duration=MILLISECONDS, optimize=False)
    truth = masks[FOLLOWED]
    facts = {"clip": "tree.gif", "frames": FRAMES, "size": [SIDE, SIDE], "click": [0, *middle(truth[0]), 1],
             "masks": [run_lengths(mask) for mask in truth]}
    (arguments.output / "tree.json").write_text(json.dumps(facts) + "\n")
    print("visible pixels of the followed object:", truth.sum((1, 2)).tolist())
    if arguments.model:
        shown = np.stack([np.asarray(picture.convert("RGB")) for picture in indexed])
        print("IoU by frame:", measure(Reference(arguments.model), shown, truth).iou[0].round(2).tolist())


if __name__ == "__main__":
    main()
