"""Turns flat icons into training pictures, batched in torch: placement, lighting, colour, background.

Fluent 3D, the style of the evaluation, is never read here. What is known of it beforehand is that it is
*rendered*: soft gradients, light from above, rounded edges. `shade` imitates that with a height field
made from the blurred silhouette and the blurred luminance.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


class Augmenter:
    """`[B, 4, R, R]` premultiplied RGBA in 0..1 -> `[B, 3, size, size]` RGB in 0..1."""

    def __init__(self, size: int, photographs: list[np.ndarray]):
        self.size = size
        self.photographs = [torch.from_numpy(p).permute(2, 0, 1).float() / 255 for p in photographs]

    def __call__(self, icons: Tensor, flip: Tensor, generator: torch.Generator) -> Tensor:
        """`flip`: `[B]` probability of a mirror image."""
        rgba = self.place(icons, flip, generator)
        alpha = rgba[:, 3:].clamp(0, 1)
        colour = rgba[:, :3] / alpha.clamp_min(1e-3)
        colour = self.recolour(self.shade(colour, alpha, generator), generator)
        picture = alpha * colour + (1 - alpha) * self.background(len(icons), generator)
        return self.degrade(picture, generator).clamp(0, 1)

    def place(self, icons: Tensor, flip: Tensor, g: torch.Generator) -> Tensor:
        """Random scale, aspect, rotation, shift, mirror and a smooth warp."""
        b = len(icons)
        angle = (torch.randn(b, generator=g) * math.radians(7)).clamp(-0.35, 0.35)
        extent = 0.62 + 0.43 * torch.rand(b, generator=g).sqrt()  # icon side / picture side
        aspect = torch.exp(0.07 * torch.randn(b, generator=g))
        mirror = torch.where(torch.rand(b, generator=g) < flip, -1.0, 1.0)
        cos, sin = torch.cos(angle), torch.sin(angle)
        shear = 0.06 * torch.randn(b, generator=g)
        room = 0.06 + (1 - extent).clamp_min(0)
        shift = (torch.rand(b, 2, generator=g) * 2 - 1) * room[:, None]
        x = torch.stack([cos * mirror / (extent * aspect), (sin + shear) * mirror / (extent * aspect)], 1)
        y = torch.stack([-sin * aspect / extent, cos * aspect / extent], 1)
        matrix = torch.stack([x, y], 1)
        theta = torch.cat([matrix, -(matrix @ shift[:, :, None])], 2)
        grid = F.affine_grid(theta, [b, 4, self.size, self.size], align_corners=False)
        bend = 0.035 * torch.randn(b, 2, 4, 4, generator=g)
        grid = grid + F.interpolate(bend, grid.shape[1:3], mode="bilinear").permute(0, 2, 3, 1)
        return F.grid_sample(icons, grid, align_corners=False)

    def shade(self, colour: Tensor, alpha: Tensor, g: torch.Generator) -> Tensor:
        """Lambert-like light and a highlight on a height field, and a linear gradient over the picture."""
        b = len(colour)
        luminance = (colour * alpha).mean(1, keepdim=True)
        fine = blur(F.avg_pool2d(torch.cat([alpha, luminance], 1), 2), 1)
        coarse = blur(fine[:, :1], 2)
        height = coarse + 0.5 * fine[:, :1] + 0.7 * uniform(g, b, -0.3, 1) * fine[:, 1:]
        height, edge = F.interpolate(
            torch.cat([height, fine[:, :1]], 1), (self.size, self.size), mode="bilinear"
        ).split(1, 1)
        dx = F.pad(height[..., :, 2:] - height[..., :, :-2], (1, 1, 0, 0))
        dy = F.pad(height[..., 2:, :] - height[..., :-2, :], (0, 0, 1, 1))
        direction = uniform(g, b, -math.pi, 0)  # from above
        slope = -(dx * torch.cos(direction) + dy * torch.sin(direction))
        ramp = torch.linspace(-1, 1, self.size)
        gradient = ramp[None, None, None, :] * torch.cos(direction) + ramp[None, None, :, None] * torch.sin(direction)
        strength = uniform(g, b, 0, 1) ** 1.5
        light = 1 - strength * (1.2 * slope + uniform(g, b, 0, 0.35) * gradient)
        highlight = strength * uniform(g, b, 0, 0.5) * ((-slope * 4 - 0.4).clamp(0, 1))
        rim = uniform(g, b, -0.35, 0.35) * strength * (1 - edge)
        return (colour * light + highlight + rim).clamp(0, 1)

    def recolour(self, colour: Tensor, g: torch.Generator) -> Tensor:
        """Brightness, contrast, saturation, a hue turn, a tint, and sometimes grey."""
        b = len(colour)
        grey = colour.mean(1, keepdim=True)
        saturation = torch.where(uniform(g, b, 0, 1) < 0.06, 0.0, uniform(g, b, 0.55, 1.5))
        colour = grey + saturation * turn_hue(colour - grey, 0.16 * gaussian(g, b))
        tint = 0.05 * torch.randn(b, 3, 1, 1, generator=g)
        colour = (colour - 0.5) * uniform(g, b, 0.7, 1.3) + 0.5 + 0.08 * gaussian(g, b) + tint
        return colour.clamp(0, 1) ** torch.exp(0.2 * gaussian(g, b))

    def background(self, b: int, g: torch.Generator) -> Tensor:
        """A third white, the rest plain, gradient, soft noise or a crop of a photograph."""
        s = self.size
        kind = torch.rand(b, generator=g)
        first, second = torch.rand(b, 3, 1, 1, generator=g), torch.rand(b, 3, 1, 1, generator=g)
        turn = uniform(g, b, 0, 2 * math.pi)
        ramp = torch.linspace(0, 1, s)
        mix = ramp[None, None, None, :] * torch.cos(turn) + ramp[None, None, :, None] * torch.sin(turn)
        gradient = first + (second - first) * mix
        noise = F.interpolate(torch.rand(b, 3, 8, 8, generator=g), (s, s), mode="bicubic").clamp(0, 1)
        out = torch.where((kind < 0.5).view(b, 1, 1, 1), first.expand(b, 3, s, s), gradient)
        out = torch.where((kind > 0.68).view(b, 1, 1, 1), noise, out)
        pale = uniform(g, b, 0.85, 1.0).expand(b, 3, s, s)
        out = torch.where((kind < 0.4).view(b, 1, 1, 1), pale, out)
        out = torch.where((kind < 0.33).view(b, 1, 1, 1), torch.ones(()), out)
        for i in (kind > 0.8).nonzero().flatten().tolist():
            out[i] = self.crop(g)
        return out

    def crop(self, g: torch.Generator) -> Tensor:
        """A random square of a random photograph."""
        photograph = self.photographs[int(torch.randint(len(self.photographs), (), generator=g))]
        height, width = photograph.shape[1:]
        side = int(torch.randint(self.size, min(height, width) + 1, (), generator=g))
        top = int(torch.randint(height - side + 1, (), generator=g))
        left = int(torch.randint(width - side + 1, (), generator=g))
        square = photograph[None, :, top : top + side, left : left + side]
        return F.interpolate(square, (self.size, self.size), mode="area")[0]

    def degrade(self, picture: Tensor, g: torch.Generator) -> Tensor:
        """Blur in a third of the pictures, a little noise in all."""
        b = len(picture)
        amount = (uniform(g, b, -2, 1)).clamp_min(0)
        picture = picture + amount * (F.avg_pool2d(picture, 3, 1, 1, count_include_pad=False) - picture)
        return picture + uniform(g, b, 0, 0.04) * torch.randn(picture.shape, generator=g)


def uniform(g: torch.Generator, b: int, low: float, high: float) -> Tensor:
    """`[b, 1, 1, 1]` uniform in low..high."""
    return low + (high - low) * torch.rand(b, 1, 1, 1, generator=g)


def gaussian(g: torch.Generator, b: int) -> Tensor:
    """`[b, 1, 1, 1]` standard normal."""
    return torch.randn(b, 1, 1, 1, generator=g)


def blur(x: Tensor, radius: int) -> Tensor:
    """Two box blurs of side `2 radius + 1`: close to a Gaussian."""
    side = 2 * radius + 1
    for window, padding in (((side, 1), (radius, 0)), ((1, side), (0, radius))) * 2:
        x = F.avg_pool2d(x, window, stride=1, padding=padding, count_include_pad=False)
    return x


def turn_hue(chroma: Tensor, angle: Tensor) -> Tensor:
    """Rotates `[B, 3, H, W]` chroma (mean zero over the channels) about the grey axis."""
    red, green, blue = chroma.unbind(1)
    cross = torch.stack([blue - green, red - blue, green - red], 1) / math.sqrt(3)
    return chroma * torch.cos(angle) + cross * torch.sin(angle)


def normalise(picture: Tensor) -> Tensor:
    """The pixel values the model receives."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (picture - mean) / std
