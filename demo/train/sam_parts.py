"""The parts of every training icon, found once from its SVG and kept in a cache.

A *part* is a connected region of one fill as it is seen, that is after later shapes have covered some of it,
with its holes filled: the white of an eye contains the pupil, a face contains the eyes. The parts around a
point, from the smallest to the whole icon, are the masks that a click there may mean.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scipy import ndimage

import emoji

SIZE = emoji.RASTER_SIZE
DRAWN = {"path", "circle", "ellipse", "rect", "polygon", "polyline", "line", "use"}
HIDDEN = {"defs", "clipPath", "mask", "linearGradient", "radialGradient", "filter"}
SMALLEST_PART = 0.006  # of the raster's area
LARGEST_PART = 0.85  # of the icon's area; beyond it a part is the icon
FAINT = 0.5  # shapes less opaque than this are highlights on what lies below
RELIEF_SIGMA = 5.0  # pixels


@dataclass
class Icons:
    """Every training icon. `i` counts (concept, style) pairs that exist, `p` parts."""

    rgba: np.ndarray  # [i, 128, 128, 4] uint8, straight alpha
    regions: np.ndarray  # [i, 128, 128] uint8: which region of one fill a pixel shows, 0 elsewhere
    relief: np.ndarray  # [i, 128, 128] uint8: each region bulging, low at its edge
    parts: np.ndarray  # [p, 128, 16] uint8: packed masks, smallest first within an icon
    offsets: np.ndarray  # [i + 1]: the parts of icon i are offsets[i]..offsets[i + 1]

    def parts_of(self, icon: int) -> np.ndarray:
        """`[n, 128, 128]` bool."""
        packed = self.parts[self.offsets[icon] : self.offsets[icon + 1]]
        return np.unpackbits(packed, axis=2).astype(bool)


def local(tag: str) -> str:
    return tag.rsplit("}", 1)[-1]


def colour_of(identity: int) -> str:
    """A colour that survives the rounding of a renderer; `identity_of` is its inverse."""
    return f"#{identity % 16 * 16 + 8:02x}{identity // 16 % 16 * 16 + 8:02x}80"


def identity_of(rgba: np.ndarray) -> np.ndarray:
    identity = rgba[..., 0].astype(int) // 16 + rgba[..., 1].astype(int) // 16 * 16
    return np.where(rgba[..., 3] > 127, identity, 0)


def flat_fills(svg: str) -> str:
    """The same drawing without smoothing, gradients and transparency, one colour per different fill."""
    root = ElementTree.fromstring(svg)
    known: dict[str, int] = {}

    def paint(element: ElementTree.Element, attribute: str, value: str | None) -> None:
        if value is None or value == "none":
            return
        # Two shapes share a gradient's name seldom and its look never: each counts as its own fill.
        key = f"{value} {len(known)}" if value.startswith("url") else value
        element.set(attribute, colour_of(known.setdefault(key, len(known) + 1)))

    def visit(parent: ElementTree.Element, fill: str | None, stroke: str | None, opacity: float) -> None:
        for element in list(parent):
            tag = local(element.tag)
            if tag in HIDDEN:
                continue
            own_fill, own_stroke = element.get("fill", fill), element.get("stroke", stroke)
            own = opacity * float(element.get("opacity", 1)) * float(element.get("fill-opacity", 1))
            if tag in DRAWN and own < FAINT:
                parent.remove(element)
                continue
            for attribute in ("opacity", "fill-opacity", "stroke-opacity"):
                element.attrib.pop(attribute, None)
            if tag in DRAWN:
                paint(element, "fill", own_fill or "black")
                paint(element, "stroke", own_stroke)
            else:
                visit(element, own_fill, own_stroke, own)

    visit(root, None, None, 1.0)
    root.set("shape-rendering", "crispEdges")
    return ElementTree.tostring(root, encoding="unicode")


def regions_of(identity: np.ndarray) -> list[np.ndarray]:
    """Connected regions of one fill, largest first."""
    least = SMALLEST_PART * identity.size
    found = []
    for value in np.unique(identity[identity > 0]):
        labels, count = ndimage.label(identity == value)
        areas = np.bincount(labels.ravel(), minlength=count + 1)
        found += [labels == k for k in range(1, count + 1) if areas[k] >= least]
    return sorted(found, key=lambda mask: -mask.sum())[:255]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / max(1, (a | b).sum())


def parts_from(regions: list[np.ndarray], icon: np.ndarray) -> list[np.ndarray]:
    """Regions with their holes filled that are neither the icon nor one another, smallest first."""
    kept: list[np.ndarray] = []
    for region in regions:
        part = ndimage.binary_fill_holes(region) & icon
        if part.sum() < LARGEST_PART * icon.sum() and all(overlap(part, other) < 0.8 for other in kept):
            kept.append(part)
    return sorted(kept, key=lambda mask: mask.sum())


def relief_of(labels: np.ndarray, regions: list[np.ndarray], icon: np.ndarray) -> np.ndarray:
    """Each region's mask blurred, seen inside of it: about a half at its edge, one far inside."""
    height = np.where(icon, 0.5, 0)
    for k, region in enumerate(regions, 1):
        box = ndimage.find_objects(region.astype(np.uint8))[0]
        box = tuple(slice(max(0, s.start - 16), s.stop + 16) for s in box)
        blurred = ndimage.gaussian_filter(region[box].astype(np.float32), RELIEF_SIGMA)
        height[box] = np.where(labels[box] == k, blurred, height[box])
    return (height * 255).astype(np.uint8)


def analyse(svg: str, rgba: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """`(regions, relief, parts)` of one icon."""
    icon = rgba[..., 3] > 127
    found = regions_of(identity_of(emoji.rasterise(flat_fills(svg), SIZE)))
    labels = np.zeros((SIZE, SIZE), np.uint8)
    for k, region in enumerate(found, 1):
        labels[region] = k
    return labels, relief_of(labels, found, icon), parts_from(found, icon)


def load(cache: Path) -> Icons:
    """The whole table; the first call takes some minutes."""
    stored = cache / f"parts-{SIZE}.npz"
    pictures, present = emoji.training_pictures(cache)
    if not stored.exists():
        known = emoji.concepts(cache)
        sets = [emoji.IconSet(emoji.fetch(package, cache)) for package in emoji.TRAIN_STYLES.values()]
        regions, relief, parts, offsets = [], [], [], [0]
        for c, s in np.argwhere(present):
            labels, height, masks = analyse(sets[s].svg(known[c].code), pictures[c, s])
            regions.append(labels)
            relief.append(height)
            parts += [np.packbits(mask, axis=1) for mask in masks]
            offsets.append(len(parts))
        np.savez(stored, regions=regions, relief=relief, parts=parts, offsets=offsets)
    with np.load(stored) as data:
        return Icons(pictures[present], data["regions"], data["relief"], data["parts"], data["offsets"])


def split(icons: Icons, share: float, seed: int) -> tuple[Icons, Icons]:
    """`(training, held out)`: a random `share` of the icons apart from the others."""
    chosen = np.random.default_rng(seed).random(len(icons.rgba)) < share
    return subset(icons, np.flatnonzero(~chosen)), subset(icons, np.flatnonzero(chosen))


def subset(icons: Icons, which: np.ndarray) -> Icons:
    ranges = [np.arange(icons.offsets[i], icons.offsets[i + 1]) for i in which]
    offsets = np.cumsum([0, *map(len, ranges)])
    return Icons(icons.rgba[which], icons.regions[which], icons.relief[which], icons.parts[np.concatenate(ranges)], offsets)
