"""Trains sam2-nano on a CPU. Resumable at any moment: everything random is a function of (seed, step).

    python sam2_train.py --cache CACHE --run RUN [--threads T]

Clips are unrolled frame by frame as `Sam2VideoModel` tracks them, all objects of a batch at once, and the gradient
flows back through the memories. `PHASES` begins with single pictures of half the size and ends with whole clips.
"""

from __future__ import annotations

import argparse
import copy
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import Sam2VideoModel

import sam_parts
from sam2_clips import ClipCompositor
from sam2_model import (IMAGE_SIZE, POINTERS, Decoded, Memory, attend, begin_from_sam, decode,
                        encode, high_resolution, new_model, normalise, pointer, remember)
from sam_train import costs, optimizers, save

SEED = 42
HALF = IMAGE_SIZE // 2
TARGETS = 2  # per clip
CLICK, BOX, MASK = range(3)
PROMPTS = (0.76, 0.12, 0.12)
NOTHING = 0.06  # clicks on the background
CORRECTED = 0.4  # chance of a corrective click in clips of more than two frames
SOFT = 0.33  # of the clips at full size are enlarged ones of half the size
WARMUP, AVERAGE_DECAY = 100, 0.998
SCORE_WEIGHT, PRESENCE_WEIGHT = 1.0, 1.0
CHECKPOINT_EVERY, REPORT_EVERY = 100, 50


@dataclass
class Phase:
    until: int  # step
    side: int
    pictures: int  # per step
    frames: tuple[int, ...]  # of a clip, drawn anew for each step
    plain: float = 0.0  # share of the clips whose icons and frames are left as they are
    best: float = 1.0  # weights of the three masks: of the best,
    mean: float = 0.2  # of all


PHASES = (
    Phase(1800, HALF, 32, (1,)),
    Phase(2500, HALF, 32, (2,)),
    Phase(3000, HALF, 32, (4, 8)),
    Phase(3500, IMAGE_SIZE, 16, (1, 2, 2, 4, 8), plain=0.4),
    Phase(4250, IMAGE_SIZE, 16, (1, 2, 2, 4, 8), plain=0.6, best=0.0, mean=1.0),
)
HOLD = 2500  # from here on the rate falls, linearly to zero
STEPS = PHASES[-1].until


@dataclass
class Batch:
    """`N` objects in `B` clips of `T` frames, in the order of the clips; coordinates are those of `IMAGE_SIZE`."""

    pixels: Tensor  # [B, T, 3, S, S]
    targets: Tensor  # [N, T, S/4, S/4] in 0..1
    clicks: Tensor  # [N, 1, 2]
    boxes: Tensor  # [N, 2, 2]
    first: Tensor  # [N, 1, S, S]: the whole mask of the first frame


class Clips(Dataset):
    """Step -> the arrays of its batch."""

    def __init__(self, cache: Path):
        icons = sam_parts.load(cache)
        self.compositors = {(side, vary): ClipCompositor(icons, side, vary)
                            for side in (HALF, IMAGE_SIZE) for vary in (True, False)}

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        phase = phase_of(step)
        frames = int(np.random.default_rng([SEED, step]).choice(phase.frames))
        clips, side = phase.pictures // frames, phase.side
        out = {
            "pictures": np.empty((clips, frames, side, side, 3), np.uint8),
            "targets": np.empty((clips, TARGETS, frames, side // 4, side // 4), np.float32),
            "clicks": np.empty((clips, TARGETS, 1, 2), np.float32),
            "boxes": np.empty((clips, TARGETS, 2, 2), np.float32),
            "first": np.empty((clips, TARGETS, 1, side, side), np.uint8),
        }
        for b in range(clips):
            rng = np.random.default_rng([SEED, step, b])
            own = HALF if rng.random() < SOFT else side
            vary = phase.plain == 0 or rng.random() >= phase.plain
            compositor, times = self.compositors[own, vary], side // own
            clip = compositor.clip(rng, frames)
            for t, frame in enumerate(clip.frames):
                out["pictures"][b, t] = Image.fromarray(frame).resize((side, side), Image.Resampling.BILINEAR)
            for p, target in enumerate(compositor.targets(rng, clip, TARGETS, NOTHING)):
                cell = own // (side // 4)
                cells = target.masks.reshape(frames, side // 4, cell, side // 4, cell)
                out["targets"][b, p] = cells.mean((2, 4))
                scale = IMAGE_SIZE / own
                out["clicks"][b, p] = (np.array(target.click) + 0.5) * scale - 0.5
                out["boxes"][b, p] = ((target.box + 0.5) * scale - 0.5).reshape(2, 2)
                out["first"][b, p, 0] = target.masks[0].repeat(times, 0).repeat(times, 1)
        return out


def phase_of(step: int) -> Phase:
    return next(phase for phase in PHASES if step < phase.until)


def prepare(raw: dict[str, Tensor]) -> Batch:
    pixels = normalise(raw["pictures"].flatten(0, 1)).unflatten(0, raw["pictures"].shape[:2])
    return Batch(pixels, *(raw[name].flatten(0, 1).float() for name in ("targets", "clicks", "boxes", "first")))


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


def choose(out: Decoded, points: int) -> tuple[Tensor, Tensor]:
    """`(logits [N, 1, h, w], token [N, C])` of the mask that tracking goes on with."""
    order = torch.arange(len(out.scores))
    pick = out.scores[:, 1:].argmax(1) + 1 if points <= 1 else torch.zeros_like(order)
    return out.logits[order, pick][:, None], out.tokens[order, pick]


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


def unroll(model: Sam2VideoModel, batch: Batch, phase: Phase) -> tuple[Tensor, list[float]]:
    """`(loss, mean IoU of the first and of the last frame)` over all frames of a batch of clips."""
    count, frames = batch.targets.shape[:2]
    encoded = encode(model, batch.pixels.flatten(0, 1))
    features = [f.unflatten(0, (-1, frames)).repeat_interleave(TARGETS, 0) for f in encoded]
    kind = int(torch.multinomial(torch.tensor(PROMPTS), 1)) if frames > 1 else CLICK
    corrected = int(torch.randint(1, frames, ())) if frames > 2 and torch.rand(()) < CORRECTED else None
    farthest = POINTERS - 1 if torch.rand(()) < 0.5 else max(1, frames - 1)
    nobody = torch.zeros(count, 1, 2), -torch.ones(count, 1, dtype=torch.long)
    prompts = {
        CLICK: (batch.clicks, torch.ones(count, 1, dtype=torch.long)),
        BOX: (batch.boxes, torch.tensor([[2, 3]]).expand(count, -1)),
    }
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
            _, token = choose(out, 0)
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
            logits, token = choose(out, (labels[0] >= 0).sum())
            clicked = t == 0
            if t == corrected:
                points, labels = error_click(logits.detach(), target)
                out = decode(model, [fine, middle, seen], points, labels, None)
                loss, iou = frame_loss(out, target, phase)
                losses.append(loss)
                logits, token = choose(out, 1)
                clicked = True
            if t in (0, frames - 1):
                reached.append(float((iou[:, 1:].amax(1) * visible).sum() / visible.sum().clamp_min(1)))
            # Half of the objects are remembered as seen when they are, half when the model thinks so.
            present = torch.where(torch.rand(count) < 0.5, visible, (out.present > 0).float())
            mask = high_resolution(logits, present)
            mask = (mask > 0).float() if clicked else mask.sigmoid()
        if t + 1 < frames:
            memories.append(Memory(remember(model, coarse, mask, present), pointer(model, token, present)))
    return torch.stack(losses).mean(), [reached[0], reached[-1]]


def rate_factor(step: int) -> float:
    """Warm-up, plateau, then linear to zero."""
    return min(1.0, (step + 1) / WARMUP, (STEPS - step) / (STEPS - HOLD))


def train(source: Clips, checkpoint: Path, sam: Path) -> None:
    model = new_model(SEED)
    begin_from_sam(model, sam)
    model.set_attn_implementation("eager")  # faster in training than the fused one
    average = copy.deepcopy(model)
    solvers, step = optimizers(model), 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        for solver, saved in zip(solvers, state["optimizers"], strict=True):
            solver.load_state_dict(saved)
        step = state["step"]
    model.train()
    loader = DataLoader(source, batch_size=None, sampler=range(step, STEPS), num_workers=1, prefetch_factor=4)
    running, since, waited, ready = np.zeros(3), time.perf_counter(), 0.0, time.perf_counter()
    for raw in loader:
        waited += time.perf_counter() - ready
        torch.manual_seed(random.Random(f"sam2-{SEED}-{step}").getrandbits(63))
        for solver in solvers:
            for group in solver.param_groups:
                group["lr"] = group["peak"] * rate_factor(step)
        batch = prepare(raw)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, reached = unroll(model, batch, phase_of(step))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for solver in solvers:
            solver.step()
            solver.zero_grad()
        decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        running += (loss.item(), *reached)
        step += 1
        if step % REPORT_EVERY == 0:
            mean, seconds = running / REPORT_EVERY, (time.perf_counter() - since) / REPORT_EVERY
            print(f"{step}/{STEPS}  loss {mean[0]:.3f}  IoU first {mean[1]:.3f} last {mean[2]:.3f}  "
                  f"{seconds:.2f} s/step, {waited / REPORT_EVERY:.2f} waiting", flush=True)
            running[:], since, waited = 0, time.perf_counter(), 0.0
        if step % CHECKPOINT_EVERY == 0 or step == STEPS:
            save(checkpoint, model=model.state_dict(), average=average.state_dict(),
                 optimizers=[solver.state_dict() for solver in solvers], step=step)
        ready = time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="downloads and rasterised icons")
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--sam", type=Path, default=Path("../sam-nano/model.safetensors"))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.run.mkdir(parents=True, exist_ok=True)
    train(Clips(arguments.cache), arguments.run / "checkpoint.pt", arguments.sam)


if __name__ == "__main__":
    main()
