"""Composes scenes of one to six icons and asks for objects and their parts in them.

A scene is a function of its generator alone. Objects are drawn back to front; the mask of an object is its
opaque area minus what later objects cover, so it is exact. Shadows and light belong to no mask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageFilter

from sam_backdrop import background, finish, photographs
from sam_parts import SIZE as ICON, Icons

NESTED = 3  # masks that one click may mean: part of a part, part, whole
CLICK, BOX, NOTHING = range(3)
SMALLEST_OBJECT, SMALLEST_PART = 1e-3, 5e-4  # of the square's area, visible: nothing smaller is asked for
ASPECTS = (1.0, 4 / 3, 3 / 2, 16 / 9, 2.0)


@dataclass
class Placed:
    """One object in a scene."""

    icon: int
    to_icon: np.ndarray  # [2, 3]: scene coordinates -> icon raster coordinates
    box: tuple[int, int, int, int]  # left, top, right, bottom of the area drawn
    visible: np.ndarray  # [h, w] bool
    opaque: int  # pixels before anything covered it


@dataclass
class Scene:
    picture: np.ndarray  # [h, w, 3] uint8
    objects: list[Placed] = field(default_factory=list)


@dataclass
class Prompt:
    """What is asked first and what would be right."""

    kind: int
    first: np.ndarray  # [4]: x0 y0 x1 y1 of a box, or x y 0 0 of a click, in pixels
    masks: list[np.ndarray]  # [h, w] bool, smallest first; the last one is the whole object
    chosen: int  # which of the masks later clicks work towards


class Compositor:
    """`side`: the longer side of a scene. `vary`: recolour and shade the icons, cast shadows, disturb the finished
    picture. Evaluation does not."""

    def __init__(self, icons: Icons, side: int, vary: bool = True):
        self.icons, self.side, self.vary = icons, side, vary
        self.photographs = [Image.fromarray(p) for p in photographs()]

    def scene(self, rng: np.random.Generator) -> Scene:
        aspect = 1.0 if rng.random() < 0.6 else float(rng.choice(ASPECTS))
        short = round(self.side / aspect)
        width, height = (self.side, short) if rng.random() < 0.5 else (short, self.side)
        canvas = background(rng, width, height, self.photographs)
        scene = Scene(canvas)
        for _ in range(int(rng.integers(1, 7))):
            self.paste(rng, scene)
        scene.picture = finish(rng, scene.picture) if self.vary else scene.picture.clip(0, 255).astype(np.uint8)
        return scene

    def paste(self, rng: np.random.Generator, scene: Scene) -> None:
        height, width = scene.picture.shape[:2]
        icon = int(rng.integers(len(self.icons.rgba)))
        side = min(height, width) * math.exp(rng.uniform(math.log(0.13), math.log(0.85)))
        centre = rng.uniform(0.02, 0.98, 2) * (width, height)
        angle = rng.normal(0, 0.25) if rng.random() < 0.8 else rng.uniform(-math.pi, math.pi)
        stretch = math.exp(rng.normal(0, 0.08))
        mirror = -1 if rng.random() < 0.5 else 1
        to_icon, box = placement(centre, side, angle, stretch, mirror, width, height)
        left, top, right, bottom = box
        if right - left < 8 or bottom - top < 8:
            return
        drawing = self.lit(rng, icon) if self.vary else self.icons.rgba[icon]
        rgba = warp(Image.fromarray(drawing), to_icon, box, side)
        alpha = rgba[..., 3:] * np.float32(1 / 255)
        where = np.s_[top:bottom, left:right]
        if self.vary and rng.random() < 0.3:
            cast_shadow(rng, scene.picture, alpha[..., 0], box)
        under = scene.picture[where]
        scene.picture[where] = under + alpha * (rgba[..., :3] - under)
        visible = np.zeros((height, width), bool)
        visible[where] = rgba[..., 3] > 127
        for other in scene.objects:
            other.visible &= ~visible
        scene.objects.append(Placed(icon, to_icon, box, visible, int(visible.sum())))

    def lit(self, rng: np.random.Generator, icon: int) -> np.ndarray:
        """The icon recoloured and, mostly, shaded as if it were solid and its parts were rounded."""
        rgba, regions = self.icons.rgba[icon], self.icons.regions[icon]
        colour = recolour(rng, rgba[..., :3].astype(np.float32) / 255)
        if rng.random() < 0.85:
            strength = rng.uniform(0.1, 1)
            ramp = np.linspace(-1, 1, ICON, dtype=np.float32)
            count = int(regions.max()) + 1
            tilt = (rng.normal(0, 0.22, (2, count)) + rng.normal(0, 0.2, (2, 1))).astype(np.float32)
            tone = rng.normal(0, 0.06, count).astype(np.float32)
            light = 1 + tone[regions] + strength * (tilt[0][regions] * ramp + tilt[1][regions] * ramp[:, None])
            relief = self.icons.relief[icon].astype(np.float32) / 255
            down, right = np.gradient(relief)
            angle = rng.uniform(-math.pi, 0)
            slope = math.cos(angle) * right + math.sin(angle) * down
            light -= strength * rng.uniform(0, 9) * slope
            colour = colour * light[..., None]
            shine = (-slope * rng.uniform(8, 20) - 0.3).clip(0, 1) * (strength * rng.uniform(0, 0.7))
            if rng.random() < 0.5:
                shine = shine + glint(rng)
            rim = (1 - relief) * (strength * rng.uniform(-0.3, 0.3))
            colour = colour + (shine + rim)[..., None]
        if rng.random() < 0.15:  # matter with a grain
            colour = colour + rng.normal(0, rng.uniform(0.01, 0.08), (ICON, ICON, 1)).astype(np.float32)
        return np.dstack([(colour.clip(0, 1) * 255).astype(np.uint8), rgba[..., 3]])

    def nested(self, scene: Scene, item: Placed, point: tuple[int, int] | None) -> list[np.ndarray]:
        """The masks an object offers at a point (`None`: all its parts), smallest first, the whole last."""
        masks = self.icons.parts_of(item.icon)
        if point is not None:
            x, y = np.floor(item.to_icon @ (point[0] + 0.5, point[1] + 0.5, 1)).astype(int)
            inside = 0 <= x < ICON and 0 <= y < ICON
            masks = [mask for mask in masks if inside and mask[y, x]]
            masks = [masks[0], masks[-1]] if len(masks) > 2 else masks
        found = []
        whole = item.visible.sum()
        left, top, right, bottom = item.box
        for mask in masks:
            side = ICON / math.sqrt(abs(np.linalg.det(item.to_icon[:, :2])))
            part = np.zeros_like(item.visible)
            warped = warp(Image.fromarray(mask.astype(np.uint8) * 255), item.to_icon, item.box, side)
            part[top:bottom, left:right] = warped > 127
            part &= item.visible
            hit = point is None or part[point[1], point[0]]
            if hit and SMALLEST_PART * self.side**2 <= part.sum() < 0.87 * whole:
                found.append(part)
        return [*found, item.visible]

    def prompts(self, rng: np.random.Generator, scene: Scene, count: int) -> list[Prompt]:
        """Clicks, boxes, and now and then a click on nothing."""
        objects = [item for item in scene.objects if item.visible.sum() >= SMALLEST_OBJECT * self.side**2]
        height, width = scene.picture.shape[:2]
        empty = np.ones((height, width), bool)
        for item in scene.objects:
            empty &= ~item.visible
        asked = []
        for k in range(count):
            draw = rng.random()
            if not objects or (draw < 0.1 and empty.any()):
                x, y = random_pixel(rng, empty)
                asked.append(Prompt(NOTHING, np.array([x, y, 0, 0]), [np.zeros_like(empty)], 0))
                continue
            item = objects[k % len(objects)]
            if draw < 0.68:
                inside = shrunk(item.visible) if rng.random() < 0.6 else item.visible
                point = random_pixel(rng, inside)
                masks = self.nested(scene, item, point)
                chosen = len(masks) - 1 if rng.random() < 0.6 else int(rng.integers(len(masks)))
                asked.append(Prompt(CLICK, np.array([*point, 0, 0]), masks, chosen))
            else:
                masks = self.nested(scene, item, None) if rng.random() < 0.3 else [item.visible]
                mask = masks[int(rng.integers(len(masks)))]
                asked.append(Prompt(BOX, jittered_box(rng, mask), [mask], 0))
        return asked


def placement(centre: np.ndarray, side: float, angle: float, stretch: float, mirror: int, width: int,
              height: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """`(to_icon, box)` of an icon `side` pixels wide, turned by `angle`, on a canvas; as in `Placed`."""
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    scale = np.diag([mirror * stretch, 1 / stretch]) * (ICON / side)
    linear = scale @ turn
    to_icon = np.column_stack([linear, ICON / 2 - linear @ centre])
    corners = (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * ICON / 2) @ np.linalg.inv(linear).T + centre
    left, top = np.floor(corners.min(0)).clip(0).astype(int)
    right, bottom = np.ceil(corners.max(0)).astype(int).clip(None, (width, height))
    return to_icon, (int(left), int(top), int(right), int(bottom))


def warp(picture: Image.Image, to_icon: np.ndarray, box: tuple[int, int, int, int], side: float) -> np.ndarray:
    """The part of the scene in `box` as the icon raster shows it; reduced first where it would alias."""
    matrix, offset = to_icon[:, :2], to_icon[:, 2] + to_icon[:, :2] @ box[:2]
    factor = 1 if side > 0.6 * ICON else 2 if side > 0.3 * ICON else 4
    if factor > 1:
        picture = picture.reduce(factor)
    a, b, c, d = (matrix / factor).ravel()
    e, f = offset / factor
    size = (box[2] - box[0], box[3] - box[1])
    return np.asarray(picture.transform(size, Image.Transform.AFFINE, (a, b, e, c, d, f), Image.Resampling.BILINEAR))


def recolour(rng: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """A turn of the hue, saturation, contrast, brightness, gamma."""
    grey = colour.mean(2, keepdims=True)
    chroma = colour - grey
    angle = rng.normal(0, 0.25) if rng.random() < 0.7 else rng.uniform(-math.pi, math.pi)
    cross = (chroma[..., [1, 2, 0]] - chroma[..., [2, 0, 1]]) / math.sqrt(3)
    chroma = chroma * math.cos(angle) + cross * math.sin(angle)
    colour = grey + rng.uniform(0.4, 1.4) * chroma
    colour = (colour - 0.5) * rng.uniform(0.6, 1.2) + 0.5 + rng.normal(0, 0.07) + rng.normal(0, 0.03, 3)
    return (colour.clip(0, 1) ** math.exp(rng.normal(0, 0.2))).astype(np.float32)


def glint(rng: np.random.Generator) -> np.ndarray:
    """A soft bright spot, `[128, 128]`."""
    ramp = np.linspace(-1, 1, ICON, dtype=np.float32)
    (x, y), (a, b) = rng.uniform(-0.6, 0.6, 2), rng.uniform(0.08, 0.4, 2)
    return np.exp(-(((ramp - x) / a) ** 2) - ((ramp[:, None] - y) / b) ** 2) * rng.uniform(0.1, 0.6)


def cast_shadow(rng: np.random.Generator, canvas: np.ndarray, alpha: np.ndarray, box: tuple[int, ...]) -> None:
    """Darkens what lies below, a little aside of the object."""
    height, width = canvas.shape[:2]
    spread = rng.uniform(1, 6)
    shadow = np.zeros((height, width), np.float32)
    dx, dy = int(rng.normal(0, 4)), int(rng.uniform(0, 9))
    left, top = max(0, box[0] + dx), max(0, box[1] + dy)
    right, bottom = min(width, box[2] + dx), min(height, box[3] + dy)
    if right <= left or bottom <= top:
        return
    inner = np.s_[top - box[1] - dy : bottom - box[1] - dy, left - box[0] - dx : right - box[0] - dx]
    shadow[top:bottom, left:right] = alpha[inner]
    soft = Image.fromarray((shadow * 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(spread))
    canvas *= 1 - np.asarray(soft, np.float32)[..., None] / 255 * np.float32(rng.uniform(0.15, 0.6))


def random_pixel(rng: np.random.Generator, mask: np.ndarray) -> tuple[int, int]:
    """`(x, y)` of a true pixel, evenly."""
    flat = np.flatnonzero(mask)
    y, x = divmod(int(flat[rng.integers(len(flat))]), mask.shape[1])
    return x, y


def shrunk(mask: np.ndarray) -> np.ndarray:
    """The mask without the pixels near its edge, or itself if nothing is left."""
    inner = np.zeros_like(mask)
    inner[3:-3, 3:-3] = (mask[3:-3, 3:-3] & mask[:-6, 3:-3] & mask[6:, 3:-3] & mask[3:-3, :-6] & mask[3:-3, 6:])
    return inner if inner.any() else mask


def tight_box(mask: np.ndarray) -> np.ndarray:
    """`[4]` x0 y0 x1 y1, all inclusive."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([xs[0], ys[0], xs[-1], ys[-1]], float)


def jittered_box(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """The tight box with each side moved by a deviation of 5 % of its length, 8 pixels at most."""
    box = tight_box(mask)
    sides = np.tile(box[2:] - box[:2] + 1, 2)
    noise = (rng.normal(0, 0.05, 4) * sides).clip(-8, 8)
    limit = np.array([mask.shape[1], mask.shape[0]] * 2) - 1
    return (box + noise).round().clip(0, limit)
