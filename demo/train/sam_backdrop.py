"""What lies behind the icons of a scene, and what happens to the finished picture."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageFilter
from skimage import data


def photographs() -> list[np.ndarray]:
    """Public domain and CC0 pictures for backgrounds."""
    loaders = (data.astronaut, data.coffee, data.chelsea, data.rocket, data.hubble_deep_field,
               data.camera, data.brick, data.grass, data.gravel)
    pictures = [load() for load in loaders]
    return [np.repeat(p[..., None], 3, 2) if p.ndim == 2 else p for p in pictures]


def background(rng: np.random.Generator, width: int, height: int, pictures: list[Image.Image]) -> np.ndarray:
    """`[height, width, 3]` float32 in 0..255."""
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    first, second = (rng.uniform(0, 255, 3).astype(np.float32) for _ in range(2))
    if rng.random() < 0.25:
        first = first / 6 + 212
    turn = rng.uniform(0, 2 * math.pi)
    along = math.cos(turn) * x + math.sin(turn) * y
    kind = rng.random()
    if kind < 0.12:
        return np.broadcast_to(first, (height, width, 3)).copy()
    if kind < 0.38:
        return first + (second - first) * along.clip(0, 1) ** np.float32(rng.uniform(0.5, 2))
    if kind < 0.5:  # soft noise
        coarse = rng.uniform(0, 255, (*rng.integers(2, 24, 2), 3)).astype(np.uint8)
        return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.float32)
    if kind < 0.58:
        wave = np.sin(along * np.float32(rng.uniform(10, 120))) * np.float32(rng.uniform(0.5, 8))
        return first + (second - first) * (0.5 + 0.5 * wave.clip(-1, 1))
    if kind < 0.66:
        across = math.cos(turn) * y - math.sin(turn) * x
        cell = np.float32(rng.uniform(4, 24))
        return first + (second - first) * ((np.floor(along * cell) + np.floor(across * cell)) % 2)
    if kind < 0.74:  # a horizon
        edge = rng.uniform(0.3, 0.8)
        ground = second * 0.6 + rng.uniform(0, 90, 3).astype(np.float32)
        return np.where(y < edge, first + (second - first) * y, ground + 0 * x)
    picture = pictures[int(rng.integers(len(pictures)))]
    scale = rng.uniform(0.35, 1)
    w = min(picture.width, int(picture.width * scale))
    h = min(picture.height, max(8, int(w * height / width)))
    left, top = int(rng.integers(picture.width - w + 1)), int(rng.integers(picture.height - h + 1))
    crop = picture.resize((width, height), Image.Resampling.BILINEAR, (left, top, left + w, top + h))
    out = np.asarray(crop, np.float32)
    if rng.random() < 0.5:
        out = out * (0.5 + first / 255)
    return out if rng.random() < 0.5 else out[:, ::-1].copy()


def finish(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Light over the whole picture, blur in a third of them, a little noise; uint8."""
    height, width = picture.shape[:2]
    picture = (picture - 128) * np.float32(rng.uniform(0.75, 1.15)) + np.float32(128 + rng.normal(0, 10))
    if rng.random() < 0.3:
        x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
        light = 1 + x * rng.normal(0, 0.15) + y[:, None] * rng.normal(0, 0.15)
        picture = picture * light[..., None].astype(np.float32)
    if rng.random() < 0.5:
        picture = picture + rng.standard_normal(picture.shape, np.float32) * np.float32(rng.uniform(0, 9))
    out = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    if rng.random() < 0.3:
        out = out.filter(ImageFilter.BoxBlur(rng.uniform(0.2, 1.2)))
    return np.asarray(out)
