"""Composes clips of icons that move, turn, grow, cover one another, leave the picture and come back.

A clip is a function of its generator alone; seen backwards it is as likely as forwards. As in `sam_scenes`, objects are
drawn back to front and the mask of an object is its opaque area minus what later objects cover, exact on each frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from sam_backdrop import background, finish
from sam_scenes import Compositor, cast_shadow, placement, random_pixel, shrunk, tight_box, warp

LENGTH = 24  # frames of a whole path; clips show some of them
STAY, LEAVE, VANISH = range(3)
PLOTS = (0.76, 0.17, 0.07)
LEAST_AREA, LEAST_VISIBLE = 0.006, 0.5  # of the picture; of the object: on the first frame of what is asked for


@dataclass
class Actor:
    """One object over the whole path; `u` in 0..1 is the time."""

    drawing: np.ndarray  # [128, 128, 4] uint8
    control: np.ndarray  # [3, 2]: quadratic Bezier curve of the centre, in sides of the picture
    side: tuple[float, float]  # at the start and at the end, in sides of the picture
    angle: tuple[float, float]
    stretch: float
    mirror: int
    hidden: tuple[float, float]  # not drawn in this time
    shadow: int | None  # seed

    def centre(self, u: float) -> np.ndarray:
        return np.array([(1 - u) ** 2, 2 * u * (1 - u), u**2]) @ self.control


@dataclass
class Clip:
    frames: np.ndarray  # [t, s, s, 3] uint8
    masks: np.ndarray  # [n, t, s, s] bool: the visible part of each object
    opaque: np.ndarray  # [n, t]: pixels inside the picture before anything covered them


@dataclass
class Target:
    """What is asked for on the first frame."""

    masks: np.ndarray  # [t, s, s] bool; nothing anywhere for a click on the background
    click: tuple[int, int]
    box: np.ndarray  # [4]


class ClipCompositor(Compositor):
    """Square clips of `side` pixels. `vary` as in `Compositor`."""

    def clip(self, rng: np.random.Generator, count: int) -> Clip:
        """`count` frames, evenly spaced over a part of the path."""
        longest = (LENGTH - 1) // max(1, count - 1)
        stride = int(rng.integers(1, longest + 1))
        if count > 4:  # long enough for a story: let it happen
            stride = max(stride, int(rng.integers(1, longest + 1)))
        start = int(rng.integers(max(1, LENGTH - stride * (count - 1))))
        return self.film(rng, self.cast(rng), (start + stride * np.arange(count)) / (LENGTH - 1))

    def cast(self, rng: np.random.Generator) -> list[Actor]:
        """Back to front. Mostly one is sent across another that lies below it."""
        actors = [self.actor(rng) for _ in range(int(rng.integers(1, 5)))]
        if len(actors) > 1 and rng.random() < 0.6:
            below, above = sorted(rng.choice(len(actors), 2, replace=False))
            u = rng.uniform(0.3, 0.7)
            actors[above].control += actors[below].centre(u) - actors[above].centre(u) + rng.normal(0, 0.04, 2)
            if rng.random() < 0.5:  # wide enough to hide it
                least = 1.1 * max(actors[below].side)
                actors[above].side = tuple(min(0.75, max(side, least)) for side in actors[above].side)
        return actors

    def actor(self, rng: np.random.Generator) -> Actor:
        icon = int(rng.integers(len(self.icons.rgba)))
        ends = rng.uniform(0.12, 0.88, (2, 2))
        if rng.random() < 0.4:  # a slow one
            ends[1] = (ends[0] + rng.normal(0, 0.12, 2)).clip(0.1, 0.9)
        middle = ends.mean(0) + rng.normal(0, 0.2, 2)
        side = math.exp(rng.uniform(math.log(0.2), math.log(0.6)))
        growth = math.exp(rng.normal(0, 0.25))
        plot, hidden = rng.choice(3, p=PLOTS), (2.0, 2.0)
        if plot == LEAVE:
            edge = rng.uniform(0.2, 0.8, 2)
            edge[int(rng.integers(2))] = rng.choice([-1, 1]) * (0.55 + 0.8 * side * max(growth, 1)) + 0.5
            middle = 2 * edge - ends.mean(0)
        elif plot == VANISH:
            begin = rng.uniform(0.1, 0.7)
            hidden = begin, begin + rng.uniform(0.1, 0.4)
        turn = rng.normal(0, 0.25) if rng.random() < 0.8 else rng.uniform(-math.pi, math.pi)
        return Actor(
            self.lit(rng, icon) if self.vary else self.icons.rgba[icon],
            np.stack([ends[0], middle, ends[1]]),
            (side, min(0.75, side * growth)),
            (turn, turn + rng.normal(0, 0.5)),
            math.exp(rng.normal(0, 0.08)),
            -1 if rng.random() < 0.5 else 1,
            hidden,
            int(rng.integers(1 << 30)) if self.vary and rng.random() < 0.3 else None,
        )

    def film(self, rng: np.random.Generator, actors: list[Actor], times: np.ndarray) -> Clip:
        side, count = self.side, len(times)
        margin = int(side * rng.uniform(0, 0.3)) if rng.random() < 0.6 else 0
        wide = background(rng, side + margin, side + margin, self.photographs)
        pan = rng.uniform(0, margin, (2, 2))
        light = int(rng.integers(1 << 30))
        clip = Clip(np.empty((count, side, side, 3), np.uint8), np.zeros((len(actors), count, side, side), bool),
                    np.zeros((len(actors), count), np.int64))
        for t, u in enumerate(times):
            x, y = np.floor(pan[0] + (pan[1] - pan[0]) * u).astype(int)
            canvas = wide[y : y + side, x : x + side].copy()
            for k, actor in enumerate(actors):
                self.draw(canvas, actor, u, clip.masks[:, t], k)
                clip.opaque[k, t] = clip.masks[k, t].sum()
            # The same generator for each frame: one light, one blur, one grain.
            done = finish(np.random.default_rng(light), canvas) if self.vary else canvas.clip(0, 255).astype(np.uint8)
            clip.frames[t] = done
        return clip

    def draw(self, canvas: np.ndarray, actor: Actor, u: float, masks: np.ndarray, k: int) -> None:
        """Blends the actor into `canvas`; sets its mask and takes what it covers from those of the earlier ones."""
        if actor.hidden[0] <= u < actor.hidden[1]:
            return
        side = self.side * (actor.side[0] + (actor.side[1] - actor.side[0]) * u)
        angle = actor.angle[0] + (actor.angle[1] - actor.angle[0]) * u
        centre = self.side * actor.centre(u)
        to_icon, box = placement(centre, side, angle, actor.stretch, actor.mirror, self.side, self.side)
        left, top, right, bottom = box
        if right - left < 2 or bottom - top < 2:
            return
        rgba = warp(Image.fromarray(actor.drawing), to_icon, box, side)
        alpha = rgba[..., 3:] * np.float32(1 / 255)
        if actor.shadow is not None:
            cast_shadow(np.random.default_rng(actor.shadow), canvas, alpha[..., 0], box)
        where = np.s_[top:bottom, left:right]
        under = canvas[where]
        canvas[where] = under + alpha * (rgba[..., :3] - under)
        opaque = rgba[..., 3] > 127
        masks[:k, top:bottom, left:right] &= ~opaque
        masks[k, top:bottom, left:right] = opaque

    def targets(self, rng: np.random.Generator, clip: Clip, count: int, nothing: float) -> list[Target]:
        """Objects that can be seen well on the first frame; with the chance `nothing`, or if there are none, clicks
        on the background."""
        order = rng.permutation(askable(clip))
        empty = ~clip.masks[:, 0].any(0)
        found = []
        for k in range(count):
            if empty.any() and (not len(order) or rng.random() < nothing):
                found.append(Target(np.zeros_like(clip.masks[0]), random_pixel(rng, empty), np.zeros(4)))
                continue
            # Without background to click on, whatever covers most of it.
            chosen = order[k % len(order)] if len(order) else clip.masks[:, 0].sum((1, 2)).argmax()
            masks = clip.masks[chosen]
            inside = shrunk(masks[0]) if rng.random() < 0.75 else masks[0]
            found.append(Target(masks, random_pixel(rng, inside), tight_box(masks[0])))
        return found


def askable(clip: Clip) -> np.ndarray:
    """Indices of the objects that can be seen well on the first frame."""
    seen = clip.masks[:, 0].sum((1, 2))
    return np.flatnonzero(seen >= np.maximum(LEAST_AREA * clip.masks[0, 0].size, LEAST_VISIBLE * clip.opaque[:, 0]))
