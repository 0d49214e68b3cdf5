"""Emoji pictures and names: fetch the npm packages, rasterise every icon once, keep it in a cache.

A *concept* is one emoji of emojibase's groups 3-7 (animals, food, travel, activities, objects).
Three flat styles (Noto, Fluent flat, Twemoji) are for training; Fluent 3D is for evaluation only and
is read by nothing but `evaluation_picture`.
"""

from __future__ import annotations

import functools
import io
import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

TRAIN_STYLES = {
    "noto": "@iconify-json/noto@1.2.9",
    "fluent-flat": "@iconify-json/fluent-emoji-flat@1.2.6",
    "twemoji": "@iconify-json/twemoji@1.2.5",
}
NAMES = "emojibase-data@17.0.0"
EVALUATION_STYLE = "@lobehub/fluent-emoji-3d@1.1.0"
GROUPS = range(3, 8)
RASTER_SIZE = 128


@dataclass(frozen=True)
class Concept:
    """One emoji: its code points (`1f435`), its name (`monkey face`) and its other keywords."""

    code: str
    name: str
    tags: tuple[str, ...]


def fetch(package: str, cache: Path) -> Path:
    """Downloads and unpacks one npm package; returns its folder. Does nothing the second time."""
    folder = cache / package.replace("@", "").replace("/", "-")
    if not (folder / "package").exists():
        folder.mkdir(parents=True, exist_ok=True)
        name = subprocess.run(
            ["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True, text=True
        ).stdout.strip()
        with tarfile.open(folder / name) as archive:
            archive.extractall(folder, filter="data")
    return folder / "package"


def normalise_code(code: str) -> str:
    """Lower case, without the variation selector that packages write or drop at will."""
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


def concepts(cache: Path) -> list[Concept]:
    """All concepts, in emojibase's order."""
    data = json.loads((fetch(NAMES, cache) / "en/data.json").read_text())
    chosen = sorted((e for e in data if e.get("group") in GROUPS), key=lambda e: e["order"])
    return [
        Concept(
            normalise_code(e["hexcode"]),
            e["label"].lower(),
            tuple(tag.lower() for tag in e["tags"] if tag.lower() != e["label"].lower()),
        )
        for e in chosen
    ]


class IconSet:
    """An iconify JSON package, looked up by code points."""

    def __init__(self, package: Path):
        data = json.loads((package / "icons.json").read_text())
        self.icons, self.aliases = data["icons"], data.get("aliases", {})
        self.size = data.get("width", 16), data.get("height", 16)
        characters = json.loads((package / "chars.json").read_text())
        self.names = {normalise_code(code): name for code, name in characters.items()}

    def svg(self, code: str) -> str | None:
        """The icon as an SVG document, or `None` if the set lacks it."""
        name = self.names.get(code)
        name = self.aliases[name]["parent"] if name in self.aliases else name
        icon = self.icons.get(name)
        if icon is None:
            return None
        width, height = icon.get("width", self.size[0]), icon.get("height", self.size[1])
        left, top = icon.get("left", 0), icon.get("top", 0)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="{width}" height="{height}" viewBox="{left} {top} {width} {height}">{icon["body"]}</svg>'
        )


def rasterise(svg: str, size: int) -> np.ndarray:
    """`[size, size, 4]` uint8, straight alpha, the picture centred if it is not square."""
    import resvg_py

    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))
    return centre(Image.open(io.BytesIO(png)).convert("RGBA"), size)


def centre(picture: Image.Image, size: int) -> np.ndarray:
    """Shrinks a picture into a square of `size`, keeping its aspect; the rest is transparent."""
    scale = size / max(picture.size)
    if scale != 1:
        picture = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.BICUBIC)
    canvas = Image.new("RGBA", (size, size))
    canvas.paste(picture, ((size - picture.width) // 2, (size - picture.height) // 2))
    return np.asarray(canvas)


def training_pictures(cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """`(pictures, present)`: `[concepts, styles, 128, 128, 4]` uint8 and `[concepts, styles]` bool."""
    stored = cache / f"training-{RASTER_SIZE}.npz"
    if not stored.exists():
        known = concepts(cache)
        pictures = np.zeros((len(known), len(TRAIN_STYLES), RASTER_SIZE, RASTER_SIZE, 4), np.uint8)
        present = np.zeros(pictures.shape[:2], bool)
        for s, package in enumerate(TRAIN_STYLES.values()):
            icons = IconSet(fetch(package, cache))
            for c, concept in enumerate(known):
                if svg := icons.svg(concept.code):
                    pictures[c, s], present[c, s] = rasterise(svg, RASTER_SIZE), True
        np.savez(stored, pictures=pictures, present=present)
    with np.load(stored) as data:
        return data["pictures"], data["present"]


def evaluation_picture(concept: Concept, cache: Path) -> Image.Image | None:
    """The Fluent 3D rendering (RGBA), or `None` if the package lacks it. Never used in training."""
    assets = fetch(EVALUATION_STYLE, cache) / "assets"
    for path in evaluation_index(assets).get(concept.code, ()):
        return Image.open(path).convert("RGBA")
    return None


@functools.cache
def evaluation_index(assets: Path) -> dict[str, list[Path]]:
    """File paths by normalised code points."""
    index: dict[str, list[Path]] = {}
    for path in sorted(assets.glob("*.webp")):
        index.setdefault(normalise_code(path.stem), []).append(path)
    return index
