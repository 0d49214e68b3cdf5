"""Trains sam2-nano on a CPU. Resumable at any moment: everything random is a function of (seed, step).

    python sam2_train.py --cache CACHE --run RUN [--begin FOLDER] [--steps N] [--threads T] [--workers W]

Clips are unrolled frame by frame as `Sam2VideoModel` tracks them, all objects of a batch at once, and the gradient
flows back through the memories. `PHASES` begins with single pictures of half the size and ends with whole clips; what
begins with the weights of a folder sees `CONTINUED` instead. Some icons are held out; `best.pt` is what
outlines and follows them best in clips of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import Sam2VideoModel

import loop
import sam_parts
from sam2_clips import ClipCompositor
from sam2_model import (CHANNELS, IMAGE_SIZE, POINTERS, Decoded, Memory, attend, decode,
                        encode, high_resolution, new_model, normalise, pointer, remember)
from sam_grouping import Grouping
from sam_train import costs, inner_matrices

SEED = 42
HALF = IMAGE_SIZE // 2
TARGETS = 2  # per clip
CLICK, BOX, MASK = range(3)
PROMPTS = (0.76, 0.12, 0.12)
NOTHING = 0.06  # clicks on the background
CORRECTED = 0.4  # chance of a corrective click in clips of more than two frames
SOFT = 0.33  # of the clips at full size are enlarged ones of half the size
SCORE_WEIGHT, PRESENCE_WEIGHT, GROUPING_WEIGHT = 1.0, 1.0, 0.5
VALIDATE_EVERY, STEPS = 200, 4250
HELD_OUT = 0.05  # of the icons
VALIDATION_BATCHES = 32


@dataclass
class Phase:
    until: float  # share of the steps
    side: int
    pictures: int  # per step
    frames: tuple[int, ...]  # of a clip, drawn anew for each step
    plain: float = 0.0  # share of the clips whose icons and frames are left as they are
    best: float = 1.0  # weights of the three masks: of the best,
    mean: float = 0.2  # of all


PHASES = (
    Phase(0.42, HALF, 32, (1,)),
    Phase(0.59, HALF, 32, (2,)),
    Phase(0.7, HALF, 32, (4, 8)),
    Phase(0.82, IMAGE_SIZE, 16, (1, 2, 2, 4, 8), plain=0.4),
    Phase(1.0, IMAGE_SIZE, 16, (1, 2, 2, 4, 8), plain=0.6, best=0.0, mean=1.0),
)
CONTINUED = (
    Phase(0.6, IMAGE_SIZE, 16, (1, 1, 2, 4, 8), plain=0.4),
    Phase(1.0, IMAGE_SIZE, 16, (1, 2, 4, 8, 8), plain=0.6, best=0.0, mean=1.0),
)
VALIDATION = Phase(1.0, IMAGE_SIZE, 16, (8,), plain=1.0)


@dataclass
class Batch:
    """`N` objects in `B` clips of `T` frames, in the order of the clips; coordinates are those of `IMAGE_SIZE`."""

    pixels: Tensor  # [B, T, 3, S, S]
    targets: Tensor  # [N, T, S/4, S/4] in 0..1
    clicks: Tensor  # [N, 1, 2]
    boxes: Tensor  # [N, 2, 2]
    first: Tensor  # [N, 1, S, S]: the whole mask of the first frame
    cells: Tensor  # [B, T, S/4, S/4] 0 for nothing, k for the k-th object


class Clips(Dataset):
    """Step -> the arrays of its batch."""

    def __init__(self, icons: sam_parts.Icons, phases: tuple[Phase, ...], steps: int, seed: int, scale: int = 1):
        self.phases, self.steps, self.seed, self.scale = phases, steps, seed, scale
        self.compositors = {(side, vary): ClipCompositor(icons, side, vary)
                            for side in (HALF, IMAGE_SIZE) for vary in (True, False)}

    def phase(self, step: int) -> Phase:
        return next(phase for phase in self.phases if step < phase.until * self.steps)

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        phase = self.phase(step)
        frames = int(np.random.default_rng([self.seed, step]).choice(phase.frames))
        clips, side = self.scale * phase.pictures // frames, phase.side
        out = {
            "pictures": np.empty((clips, frames, side, side, 3), np.uint8),
            "targets": np.empty((clips, TARGETS, frames, side // 4, side // 4), np.float32),
            "clicks": np.empty((clips, TARGETS, 1, 2), np.float32),
            "boxes": np.empty((clips, TARGETS, 2, 2), np.float32),
            "first": np.empty((clips, TARGETS, 1, side, side), np.uint8),
            "cells": np.zeros((clips, frames, side // 4, side // 4), np.uint8),
        }
        for b in range(clips):
            rng = np.random.default_rng([self.seed, step, b])
            own = HALF if rng.random() < SOFT else side
            vary = phase.plain == 0 or rng.random() >= phase.plain
            compositor, times = self.compositors[own, vary], side // own
            clip = compositor.clip(rng, frames)
            for t, frame in enumerate(clip.frames):
                out["pictures"][b, t] = Image.fromarray(frame).resize((side, side), Image.Resampling.BILINEAR)
            cell = own // (side // 4)
            for k, masks in enumerate(clip.masks, 1):
                out["cells"][b][masks[:, cell // 2 :: cell, cell // 2 :: cell]] = k
            for p, target in enumerate(compositor.targets(rng, clip, TARGETS, NOTHING)):
                cells = target.masks.reshape(frames, side // 4, cell, side // 4, cell)
                out["targets"][b, p] = cells.mean((2, 4))
                scale = IMAGE_SIZE / own
                out["clicks"][b, p] = (np.array(target.click) + 0.5) * scale - 0.5
                out["boxes"][b, p] = ((target.box + 0.5) * scale - 0.5).reshape(2, 2)
                out["first"][b, p, 0] = target.masks[0].repeat(times, 0).repeat(times, 1)
        return out


def prepare(raw: dict[str, Tensor]) -> Batch:
    pixels = normalise(raw["pictures"].flatten(0, 1)).unflatten(0, raw["pictures"].shape[:2])
    prompted = (raw[name].flatten(0, 1).float() for name in ("targets", "clicks", "boxes", "first"))
    return Batch(pixels, *prompted, raw["cells"])


def frame_loss(out: Decoded, target: Tensor, phase: Phase) -> tuple[Tensor, Tensor]:
    """`(loss, IoU of the four masks [N, 4])` on one frame; `target` `[N, S/4, S/4]`.

    The single mask and the three as the phase weights them answer for an object that is visible. One that is not has
    no mask, an IoU of zero and the presence to be learned.
    """
    visible = (target.flatten(1).amax(1) > 0).float()
    cost, iou = costs(out.logits.flatten(2), target.flatten(1)[:, None])
    cost, iou = cost[..., 0], iou[..., 0]
    masks = cost[:, 0] + phase.best * cost[:, 1:].amin(1) + phase.mean * cost[:, 1:].mean(1)
    masks = (masks * visible).sum() / visible.sum().clamp_min(1)
    error = (out.scores - iou).square().mean()
    presence = F.binary_cross_entropy_with_logits(out.present, visible)
    return masks + SCORE_WEIGHT * error + PRESENCE_WEIGHT * presence, iou


def choose(out: Decoded, points: int) -> Tensor:
    """Which of the four masks tracking goes on with, `[N]`."""
    best = out.scores[:, 1:].argmax(1) + 1
    return best if points <= 1 else torch.zeros_like(best)


def error_click(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """A point of the error region of `logits` `[N, 1, h, w]`, or of the target without any error, evenly:
    `(points [N, 1, 2], labels [N, 1])`."""
    truth = (target > 0.5).flatten(1).float()
    wrong = ((logits.flatten(1) > 0).float() != truth).float()
    weight = torch.where(wrong.sum(1, keepdim=True) > 0, wrong, truth) + 1e-7
    cell = torch.multinomial(weight, 1)
    side = target.shape[-1]
    points = torch.stack([cell % side, cell // side], 2) + torch.rand(len(cell), 1, 2)
    return points * (IMAGE_SIZE / side) - 0.5, truth.gather(1, cell).long()


def unroll(model: Sam2VideoModel, encoded: list[Tensor], batch: Batch, phase: Phase) -> tuple[Tensor, list[float]]:
    """`(loss, mean IoU of the first and of the last frame)` over all frames of a batch of clips, which are `encoded`."""
    count, frames = batch.targets.shape[:2]
    features = [f.unflatten(0, (-1, frames)).repeat_interleave(TARGETS, 0) for f in encoded]
    kind = int(torch.multinomial(torch.tensor(PROMPTS), 1)) if frames > 1 else CLICK
    corrected = int(torch.randint(1, frames, ())) if frames > 2 and torch.rand(()) < CORRECTED else None
    farthest = POINTERS - 1 if torch.rand(()) < 0.5 else max(1, frames - 1)
    nobody = torch.zeros(count, 1, 2), -torch.ones(count, 1, dtype=torch.long)
    prompts = {
        CLICK: (batch.clicks, torch.ones(count, 1, dtype=torch.long)),
        BOX: (batch.boxes, torch.tensor([[2, 3]]).expand(count, -1)),
    }
    order = torch.arange(count)
    memories: list[Memory] = []
    losses, reached = [], []
    for t in range(frames):
        fine, middle, coarse = (f[:, t] for f in features)
        target = batch.targets[:, t]
        visible = (target.flatten(1).amax(1) > 0).float()
        if t == 0 and kind == MASK:
            prompt = model.mask_downsample(batch.first)
            out = decode(model, [fine, middle, coarse], *nobody, prompt)
            present, mask = visible, batch.first
            pick = choose(out, 0)
        else:
            if t == 0:
                seen = coarse + model.no_memory_embedding.view(1, -1, 1, 1)
            else:
                recent = [(t - k, memories[k]) for k in range(t - 1, 0, -1)]
                seen = attend(model, coarse, [(t, memories[0])], recent, farthest)
            points, labels = prompts[kind] if t == 0 else nobody
            out = decode(model, [fine, middle, seen], points, labels, None)
            loss, iou = frame_loss(out, target, phase)
            losses.append(loss)
            pick = choose(out, (labels[0] >= 0).sum())
            clicked = t == 0
            if t == corrected:
                points, labels = error_click(out.logits[order, pick][:, None].detach(), target)
                out = decode(model, [fine, middle, seen], points, labels, None)
                loss, iou = frame_loss(out, target, phase)
                losses.append(loss)
                pick = choose(out, 1)
                clicked = True
            if t in (0, frames - 1):
                reached.append(float((iou[order, pick] * visible).sum() / visible.sum().clamp_min(1)))
            # Half of the objects are remembered as seen when they are, half when the model thinks so.
            present = torch.where(torch.rand(count) < 0.5, visible, (out.present > 0).float())
            mask = high_resolution(out.logits[order, pick][:, None], present)
            mask = (mask > 0).float() if clicked else mask.sigmoid()
        if t + 1 < frames:
            memories.append(Memory(remember(model, coarse, mask, present), pointer(model, out.tokens[order, pick], present)))
    return torch.stack(losses).mean(), [reached[0], reached[-1]]


class Validation:
    """Mean IoU of the mask that tracking goes on with, on the first and on the last of eight frames, after a click or another
    prompt, of icons that are held out."""

    def __init__(self, icons: sam_parts.Icons):
        source = Clips(icons, (VALIDATION,), VALIDATION_BATCHES, SEED + 1)
        self.batches = [prepare(raw) for raw in DataLoader(source, batch_size=None, sampler=range(VALIDATION_BATCHES))]

    @torch.no_grad()
    def __call__(self, model: Sam2VideoModel) -> tuple[float, str]:
        reached = []
        for k, batch in enumerate(self.batches):
            torch.manual_seed(k)
            reached.append(unroll(model, encode(model, batch.pixels.flatten(0, 1)), batch, VALIDATION)[1])
        first, last = np.mean(reached, 0).tolist()
        return (first + last) / 2, f"first {first:.3f}  last {last:.3f}"


def main() -> None:
    options = loop.arguments(__doc__, STEPS)
    icons, held_out = sam_parts.split(sam_parts.load(options.cache), HELD_OUT, SEED)
    model = new_model(SEED)
    model.set_attn_implementation("eager")  # faster in training than the fused one
    model.grouping = Grouping((CHANNELS // 8, 1), (CHANNELS // 4, 2), (CHANNELS, 4))
    solvers = loop.optimizers(model, inner_matrices(model), options.rate)
    run = loop.Run(model.train(), solvers, options, Validation(held_out), VALIDATE_EVERY,
                   [*model.vision_encoder.backbone.blocks, *model.memory_attention.layers])
    source = Clips(icons, CONTINUED if options.begin else PHASES, options.steps, SEED, options.scale)
    for raw in run.batches(source, f"sam2-{SEED}"):
        batch = prepare(raw)
        with run.autocast():
            encoded = encode(model, batch.pixels.flatten(0, 1))
            loss, (first, last) = unroll(model, encoded, batch, source.phase(run.step))
        grouping = model.grouping([f.float() for f in encoded], batch.cells.flatten(0, 1))
        (loss + GROUPING_WEIGHT * grouping).backward()
        run.update(loss=loss.item(), first=first, last=last, grouping=grouping.item())


if __name__ == "__main__":
    main()
