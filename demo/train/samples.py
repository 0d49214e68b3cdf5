"""Writes the sample pictures of demo/images/: three photographs, three single emoji, one composed scene.

    python samples.py --cache CACHE --output ../images
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

import emoji

# File name -> (emoji, background from top to bottom); Fluent 3D, the style no model was trained on.
SINGLES = {
    "octopus-3d.png": ("octopus", (205, 232, 245), (120, 180, 215)),
    "strawberry-3d.png": ("strawberry", (255, 250, 235), (240, 225, 190)),
    "bicycle-3d.png": ("bicycle", (235, 240, 230), (170, 195, 160)),
}
SINGLE_SIZE, SCENE_SIZE = 256, (512, 384)
# (emoji, centre x, centre y, side) in pixels, back to front.
SCENE = (
    ("deciduous tree", 110, 150, 220),
    ("house with garden", 350, 165, 230),
    ("dog", 190, 285, 130),
    ("soccer ball", 285, 330, 60),
    ("teddy bear", 420, 315, 110),
    ("red apple", 65, 330, 70),
)
PHOTOGRAPHS = {"astronaut.jpg": data.astronaut, "coffee.jpg": data.coffee, "chelsea.jpg": data.chelsea}
PHOTOGRAPH_SIDE = 448


def gradient(size: tuple[int, int], top: tuple[int, ...], bottom: tuple[int, ...]) -> Image.Image:
    """A vertical gradient, opaque RGBA."""
    mix = np.linspace(0, 1, size[1])[:, None, None]
    rows = np.array(top) * (1 - mix) + np.array(bottom) * mix
    return Image.fromarray(np.broadcast_to(rows, (size[1], size[0], 3)).round().astype(np.uint8)).convert("RGBA")


def paste(canvas: Image.Image, picture: Image.Image, x: int, y: int, side: int) -> None:
    """Composites `picture`, scaled to `side`, around a centre."""
    tile = Image.fromarray(emoji.centre(picture, side))
    canvas.alpha_composite(tile, (x - side // 2, y - side // 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    pictures = {c.name: c for c in emoji.concepts(arguments.cache)}

    def picture(name: str) -> Image.Image:
        return emoji.evaluation_picture(pictures[name], arguments.cache)

    for file, (name, top, bottom) in SINGLES.items():
        canvas = gradient((SINGLE_SIZE, SINGLE_SIZE), top, bottom)
        paste(canvas, picture(name), SINGLE_SIZE // 2, SINGLE_SIZE // 2, round(0.86 * SINGLE_SIZE))
        canvas.convert("RGB").save(arguments.output / file, optimize=True)
    scene = gradient(SCENE_SIZE, (175, 215, 245), (140, 190, 110))
    for name, x, y, side in SCENE:
        paste(scene, picture(name), x, y, side)
    scene.convert("RGB").save(arguments.output / "garden-scene-3d.png", optimize=True)
    for file, load in PHOTOGRAPHS.items():
        photograph = Image.fromarray(load())
        photograph.thumbnail((PHOTOGRAPH_SIDE, PHOTOGRAPH_SIDE), Image.Resampling.LANCZOS)
        photograph.save(arguments.output / file, quality=88)


if __name__ == "__main__":
    main()
