"""Trains sam-nano on a CPU. Resumable at any moment: everything random is a function of (seed, step).

    python sam_train.py --cache CACHE --run RUN [--begin FOLDER] [--steps N] [--threads T] [--workers W]

Some icons are held out; `best.pt` is what outlines them best in scenes of their own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset
from transformers import SamModel

import loop
import sam_parts
from sam_grouping import CELL, OUTSIDE, Grouping
from sam_model import CHANNELS, IMAGE_SIZE, decode, embed_masks, embed_prompts, encode, new_model, normalise
from sam_measure import middle, next_click, objects_of, overlap
from sam_scenes import BOX, NESTED, NOTHING, Compositor, tight_box

SEED = 21
PROMPTS = 4  # per picture
ROUNDS = (0.2, 0.45, 0.35)  # chance of no, one, two corrective clicks
PICTURES = 8  # per step
FOCAL_WEIGHT, DICE_WEIGHT, IOU_WEIGHT, GROUPING_WEIGHT = 20.0, 1.0, 1.0, 0.5
FOCAL_ALPHA = 0.25
SPARE_WEIGHT = 0.5  # of the three masks where only the single one is meant to be used
VALIDATE_EVERY, STEPS = 250, 5000
HELD_OUT = 0.05  # of the icons
VALIDATION_SCENES = 60
ASSIGNMENTS = torch.tensor(list(itertools.permutations(range(NESTED))))  # [6, 3]: target -> mask


@dataclass
class Batch:
    """`N` prompts over `B` pictures of `S` pixels a side, in the order of the pictures; `M` logits are `(S / 2)^2`."""

    pixels: Tensor  # [B, 3, S, S]
    inside: Tensor  # [N, M] 1 where the picture is, 0 in the padding
    kinds: Tensor  # [N]
    first: Tensor  # [N, 4] in the coordinates of the full size
    targets: Tensor  # [N, 3, M] in 0..1, smallest first
    count: Tensor  # [N] targets that exist
    chosen: Tensor  # [N]
    cells: Tensor  # [B, S / CELL, S / CELL] 0 for nothing, k for the k-th object, OUTSIDE


class Scenes(Dataset):
    """Step -> the arrays of its batch."""

    def __init__(self, icons: sam_parts.Icons, pictures: int):
        self.compositor, self.pictures = Compositor(icons, IMAGE_SIZE), pictures

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        compositor, pictures = self.compositor, self.pictures
        side, shape = compositor.side, (pictures, PROMPTS)
        out = {
            "pictures": np.zeros((pictures, side, side, 3), np.uint8),
            "sizes": np.zeros((pictures, 2), np.int64),
            "kinds": np.zeros(shape, np.int64),
            "first": np.zeros((*shape, 4), np.float32),
            "targets": np.zeros((*shape, NESTED, side // 2, side // 2), np.uint8),
            "count": np.zeros(shape, np.int64),
            "chosen": np.zeros(shape, np.int64),
            "cells": np.full((pictures, side // CELL, side // CELL), OUTSIDE, np.uint8),
        }
        for b in range(pictures):
            rng = np.random.default_rng([SEED, step, b])
            scene = compositor.scene(rng)
            height, width = scene.picture.shape[:2]
            out["pictures"][b, :height, :width] = scene.picture
            out["sizes"][b] = height, width
            objects = np.zeros((height, width), np.uint8)
            for k, item in enumerate(scene.objects, 1):
                objects[item.visible] = k
            objects = objects[CELL // 2 :: CELL, CELL // 2 :: CELL]
            out["cells"][b, : objects.shape[0], : objects.shape[1]] = objects
            for p, prompt in enumerate(compositor.prompts(rng, scene, PROMPTS)):
                out["kinds"][b, p] = prompt.kind
                out["first"][b, p] = (prompt.first + 0.5) * (IMAGE_SIZE / side) - 0.5
                out["count"][b, p], out["chosen"][b, p] = len(prompt.masks), prompt.chosen
                for j, mask in enumerate(prompt.masks):
                    padded = np.zeros((side, side), np.uint8)
                    padded[:height, :width] = mask
                    out["targets"][b, p, j] = padded.reshape(side // 2, 2, side // 2, 2).sum((1, 3))
        return out


def prepare(raw: dict[str, Tensor]) -> Batch:
    sizes = [tuple(size) for size in raw["sizes"].tolist()]
    inside = torch.zeros(len(sizes), *raw["targets"].shape[-2:])
    for area, (height, width) in zip(inside, sizes, strict=True):
        area[: height // 2, : width // 2] = 1
    return Batch(
        normalise(raw["pictures"], sizes),
        inside.flatten(1).repeat_interleave(PROMPTS, 0),
        raw["kinds"].flatten(),
        raw["first"].flatten(0, 1),
        raw["targets"].flatten(0, 1).flatten(2).float() / 4,
        raw["count"].flatten(),
        raw["chosen"].flatten(),
        raw["cells"],
    )


def costs(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Every mask `[N, K, M]` against every target `[N, J, M]`: `(loss [N, K, J], IoU [N, K, J])`.

    Focal loss (Lin et al. 2017, gamma 2) and dice are sums of a function of the logit times the target, so that
    all pairs come from matrix products. The IoU is that of the thresholded masks and carries no gradient.
    """
    targets_t = targets.transpose(1, 2)
    p = logits.sigmoid()
    below = F.softplus(logits)  # -log(1 - p); -log p is this less the logit
    miss = FOCAL_ALPHA * (1 - p).square() * (below - logits)
    alarm = (1 - FOCAL_ALPHA) * p.square() * below
    focal = ((miss - alarm) @ targets_t + alarm.sum(2, keepdim=True)) / logits.shape[2]
    area = targets.sum(2)[:, None]
    dice = 1 - (2 * (p @ targets_t) + 1) / (p.sum(2, keepdim=True) + area + 1)
    with torch.no_grad():
        hard, truth = (logits > 0).float(), (targets > 0.5).float()
        both = hard @ truth.transpose(1, 2)
        iou = both / (hard.sum(2, keepdim=True) + truth.sum(2)[:, None] - both).clamp_min(1)
    return FOCAL_WEIGHT * focal + DICE_WEIGHT * dice, iou


def ambiguous_loss(cost: Tensor, exists: Tensor) -> Tensor:
    """The three masks `[N, 3, J]` against the `J = 3` nested targets: each target that exists is answered for by
    its own mask, in the assignment that costs least. With one target that is SAM's best of three."""
    cost = cost * exists[:, None]
    pairs = cost[:, ASSIGNMENTS.to(cost.device), torch.arange(NESTED)]  # [N, 6, 3]
    return pairs.sum(2).amin(1) / exists.sum(1).clamp_min(1)


def first_round(batch: Batch, logits: Tensor, scores: Tensor, spare: float) -> tuple[Tensor, Tensor]:
    """`(loss, logits of the mask to go on from [N, M])`.

    The single mask is the whole object for a click; `spare` is the small weight of masks that lost.
    """
    order, last = torch.arange(len(logits)), batch.count - 1
    exists = (torch.arange(NESTED) < batch.count[:, None]).float()
    cost, iou = costs(logits, batch.targets)
    some = (batch.kinds != NOTHING).float()
    exists = exists * some[:, None]
    loss = ambiguous_loss(cost[:, 1:], exists) + cost[order, 0, last] * some
    loss = loss + spare * some * cost[order, 1:, last].mean(1)
    reached = (iou * exists[:, None]).amax(2)
    reached[:, 0] = iou[order, 0, last] * some
    loss = loss.sum() / some.sum().clamp_min(1) + IOU_WEIGHT * (scores - reached).square().mean()
    towards = iou[order, 1:, batch.chosen]
    # Half of the time what the user would pick, half of the time what the model would.
    pick = torch.where(torch.rand(len(logits)) < 0.5, towards.argmax(1), scores[:, 1:].argmax(1)) + 1
    pick = torch.where((batch.kinds == BOX) & (torch.rand(len(logits)) < 0.7), 0, pick)
    return loss, logits[order, pick].detach()


def later_round(batch: Batch, logits: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """The same for corrective clicks: the single mask counts, the other three a little."""
    order = torch.arange(len(logits))
    cost, iou = costs(logits, batch.targets[order, batch.chosen][:, None])
    cost, iou = cost[..., 0], iou[..., 0]
    some = (batch.kinds != NOTHING).float()
    loss = cost[:, 0] + SPARE_WEIGHT * cost[:, 1:].amin(1)
    error = (scores - iou).square()
    error = error[:, 0] + SPARE_WEIGHT * error[:, 1:].mean(1)
    return ((loss + IOU_WEIGHT * error) * some).sum() / some.sum().clamp_min(1), logits[:, 0].detach()


def corrective_click(batch: Batch, mask: Tensor) -> tuple[Tensor, Tensor]:
    """A pixel of the error region of `mask` `[N, M]`, evenly: `(points [N, 1, 2], labels [N, 1])`.
    Without any error, a pixel of the target."""
    truth = batch.targets[torch.arange(len(mask)), batch.chosen] > 0.5
    wrong = ((mask > 0) != truth).float() * batch.inside
    perfect = wrong.sum(1, keepdim=True) == 0
    weight = torch.where(perfect, truth.float() + 1e-6 * batch.inside, wrong)
    cell = torch.multinomial(weight, 1)
    labels = truth.gather(1, cell).float()
    side = math.isqrt(mask.shape[1])
    points = torch.stack([cell % side, cell // side], 2) + torch.rand(len(mask), 1, 2)
    return points * (IMAGE_SIZE / side) - 0.5, labels


def backward(model: SamModel, autocast: Callable[[], torch.autocast], batch: Batch, rounds: int,
             spare: float) -> dict[str, float]:
    """Adds the gradients of one step; returns the losses of the first and of the last round, and of grouping."""
    with autocast():
        embeddings = encode(model, batch.pixels)
    held = embeddings.detach().float().requires_grad_()
    grouping = model.grouping([held], batch.cells)
    (GROUPING_WEIGHT * grouping).backward()
    count = len(batch.kinds)
    points, labels = torch.zeros(count, 0, 2), torch.zeros(count, 0)
    mask = None
    losses = []
    for k in range(rounds):
        with autocast():
            sparse = embed_prompts(model, batch.first, batch.kinds == BOX, points, labels)
            given = torch.rand(count) < 0.8
            dense = embed_masks(model, mask, given)
            logits, scores = decode(model, held.repeat_interleave(PROMPTS, 0), sparse, dense)
        logits_shape = logits.shape[2:]
        logits, scores = logits.float().flatten(2), scores.float()
        loss, mask = first_round(batch, logits, scores, spare) if k == 0 else later_round(batch, logits, scores)
        (loss / rounds).backward()
        losses.append(loss.item())
        if k + 1 < rounds:
            point, label = corrective_click(batch, mask)
            points, labels = torch.cat([points, point], 1), torch.cat([labels, label], 1)
            mask = mask.unflatten(1, (1, *logits_shape))
    embeddings.backward(held.grad.to(embeddings.dtype))
    return {"first": losses[0], "last": losses[-1], "grouping": grouping.item()}


def inner_matrices(model: SamModel) -> list[torch.nn.Parameter]:
    """The matrices of the transformers."""
    return [p for name, p in model.named_parameters()
            if (".layers." in name or ".blocks." in name) and p.ndim == 2 and p.requires_grad and "rel_pos" not in name]


class Validation:
    """Mean IoU of one click in the middle (the best of three masks), of one more in the middle of the error, and of the
    box, on scenes of the icons that are held out."""

    def __init__(self, icons: sam_parts.Icons):
        compositor = Compositor(icons, IMAGE_SIZE)
        self.scenes = []
        for k in range(VALIDATION_SCENES):
            scene = compositor.scene(np.random.default_rng([SEED, k, 0, 0]))
            if len(objects := objects_of(scene)):
                self.scenes.append((scene.picture, objects))

    @torch.no_grad()
    def __call__(self, model: SamModel) -> tuple[float, str]:
        reached = []
        for picture, objects in self.scenes:
            height, width = picture.shape[:2]
            padded = torch.zeros(1, IMAGE_SIZE, IMAGE_SIZE, 3, dtype=torch.uint8)
            padded[0, :height, :width] = torch.from_numpy(picture)
            embedding = encode(model, normalise(padded, [(height, width)])).expand(len(objects), -1, -1, -1)

            def masks_of(first: np.ndarray, is_box: bool, clicks: np.ndarray, low: Tensor | None):
                count = len(objects)
                points = torch.from_numpy(clicks).float()
                sparse = embed_prompts(model, torch.from_numpy(first).float(), torch.full((count,), is_box),
                                       points[..., :2], points[..., 2])
                logits, _ = decode(model, embedding, sparse, embed_masks(model, low, torch.ones(count) > 0))
                large = F.interpolate(logits, (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear")[..., :height, :width]
                return logits, (large > 0).numpy()

            rows, none = np.arange(len(objects)), np.zeros((len(objects), 0, 3))
            first = np.array([(*middle(mask), 0, 0) for mask in objects], float)
            logits, masks = masks_of(first, False, none, None)
            iou = overlap(masks[:, 1:], objects[:, None])
            pick = 1 + iou.argmax(1)
            clicks = np.array([[next_click(m, truth)] for m, truth in zip(masks[rows, pick], objects, strict=True)], float)
            _, second = masks_of(first, False, clicks, logits[rows, pick][:, None])
            _, boxed = masks_of(np.array([tight_box(mask) for mask in objects]), True, none, None)
            reached.append(np.stack([iou.max(1), overlap(second[:, 0], objects), overlap(boxed[:, 0], objects)], 1))
        means = np.concatenate(reached).mean(0)
        return float(means.mean()), "1 click {:.3f}  2 clicks {:.3f}  box {:.3f}".format(*means)


def main() -> None:
    options = loop.arguments(__doc__, STEPS)
    icons, held_out = sam_parts.split(sam_parts.load(options.cache), HELD_OUT, SEED)
    model = new_model(SEED)
    model.grouping = Grouping((CHANNELS, 2))
    solvers = loop.optimizers(model, inner_matrices(model), options.rate)
    run = loop.Run(model.train(), solvers, options, Validation(held_out), VALIDATE_EVERY,
                   [*model.vision_encoder.layers, *model.mask_decoder.transformer.layers])
    for raw in run.batches(Scenes(icons, PICTURES * options.scale), f"sam-{SEED}"):
        rounds = 1 + int(torch.multinomial(torch.tensor(ROUNDS), 1))
        spare = 0.1 * max(0.0, 1 - run.step / 400)
        run.update(**backward(model, run.autocast, prepare(raw), rounds, spare))


if __name__ == "__main__":
    main()
