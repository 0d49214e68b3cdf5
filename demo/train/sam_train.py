"""Trains sam-nano on a CPU. Resumable at any moment: everything random is a function of (seed, step).

    python sam_train.py --cache CACHE --run RUN [--small N] [--steps N] [--threads T]

The first `--small` steps see scenes of half the size at a constant learning rate: a quarter of the work for each.
Those until `--steps` see full scenes while the rate falls to zero. Until then a run may be resumed with others.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import SamModel

import sam_parts
from sam_model import IMAGE_SIZE, decode, embed_masks, embed_prompts, encode, new_model, normalise
from sam_scenes import BOX, NESTED, NOTHING, Compositor

SEED = 21
PROMPTS = 4  # per picture
ROUNDS = (0.2, 0.55, 0.25)  # chance of no, one, two corrective clicks
WARMUP = 60
ADAM_RATE, MUON_RATE, WEIGHT_DECAY = 1e-3, 2.5e-3, 0.05
AVERAGE_DECAY = 0.998
FOCAL_WEIGHT, DICE_WEIGHT, IOU_WEIGHT = 20.0, 1.0, 1.0
FOCAL_ALPHA = 0.25
SPARE_WEIGHT = 0.5  # of the three masks where only the single one is meant to be used
CHECKPOINT_EVERY, REPORT_EVERY = 100, 25
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


class Scenes(Dataset):
    """Step -> the arrays of its batch."""

    def __init__(self, cache: Path, small_steps: int):
        icons = sam_parts.load(cache)
        self.small, self.full = Compositor(icons, IMAGE_SIZE // 2), Compositor(icons, IMAGE_SIZE)
        self.small_steps = small_steps

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        compositor, pictures = (self.small, 16) if step < self.small_steps else (self.full, 8)
        side, shape = compositor.side, (pictures, PROMPTS)
        out = {
            "pictures": np.zeros((pictures, side, side, 3), np.uint8),
            "sizes": np.zeros((pictures, 2), np.int64),
            "kinds": np.zeros(shape, np.int64),
            "first": np.zeros((*shape, 4), np.float32),
            "targets": np.zeros((*shape, NESTED, side // 2, side // 2), np.uint8),
            "count": np.zeros(shape, np.int64),
            "chosen": np.zeros(shape, np.int64),
        }
        for b in range(pictures):
            rng = np.random.default_rng([SEED, step, b])
            scene = compositor.scene(rng)
            height, width = scene.picture.shape[:2]
            out["pictures"][b, :height, :width] = scene.picture
            out["sizes"][b] = height, width
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
    pairs = cost[:, ASSIGNMENTS, torch.arange(NESTED)]  # [N, 6, 3]
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


def backward(model: SamModel, batch: Batch, rounds: int, spare: float) -> tuple[float, float]:
    """Adds the gradients of one step; returns the loss of the first and of the last round."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embeddings = encode(model, batch.pixels)
    held = embeddings.detach().float().requires_grad_()
    count = len(batch.kinds)
    points, labels = torch.zeros(count, 0, 2), torch.zeros(count, 0)
    mask = None
    losses = []
    for k in range(rounds):
        with torch.autocast("cpu", dtype=torch.bfloat16):
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
    return losses[0], losses[-1]


def optimizers(model: SamModel) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the transformers (Jordan et al. 2024), AdamW for all other parameters."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    inner = [p for name, p in trained
             if (".layers." in name or ".blocks." in name) and p.ndim == 2 and "rel_pos" not in name]
    ids = {id(p) for p in inner}
    rest = [p for _, p in trained if id(p) not in ids]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    muon = torch.optim.Muon(inner, lr=MUON_RATE, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(groups, lr=ADAM_RATE, betas=(0.9, 0.98), fused=True)
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return [muon, adam]


def rate_factor(step: int, small_steps: int, steps: int) -> float:
    """Warm-up, plateau, then linear to zero."""
    if step < small_steps:
        return min(1.0, (step + 1) / WARMUP)
    return (steps - step) / (steps - small_steps)


def train(source: Scenes, checkpoint: Path, steps: int) -> None:
    model = new_model(SEED)
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
    loader = DataLoader(source, batch_size=None, sampler=range(step, steps), num_workers=1, prefetch_factor=3)
    running, since = np.zeros(2), time.perf_counter()
    for raw in loader:
        torch.manual_seed(random.Random(f"sam-{SEED}-{step}").getrandbits(63))
        for solver in solvers:
            for group in solver.param_groups:
                group["lr"] = group["peak"] * rate_factor(step, source.small_steps, steps)
        rounds = 1 + int(torch.multinomial(torch.tensor(ROUNDS), 1))
        spare = 0.1 * max(0.0, 1 - step / 400)
        running += backward(model, prepare(raw), rounds, spare)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for solver in solvers:
            solver.step()
            solver.zero_grad()
        decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        step += 1
        if step % REPORT_EVERY == 0:
            first, last = running / REPORT_EVERY
            seconds = (time.perf_counter() - since) / REPORT_EVERY
            print(f"{step}/{steps}  first {first:.3f}  last {last:.3f}  {seconds:.2f} s/step", flush=True)
            running[:], since = 0, time.perf_counter()
        if step % CHECKPOINT_EVERY == 0 or step == steps:
            save(checkpoint, model=model.state_dict(), average=average.state_dict(),
                 optimizers=[solver.state_dict() for solver in solvers], step=step)


def save(path: Path, **state) -> None:
    """Written beside and renamed, so that a stop in the middle leaves the old file."""
    torch.save(state, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="downloads and rasterised icons")
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--small", type=int, default=1800)
    parser.add_argument("--steps", type=int, default=3100)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.run.mkdir(parents=True, exist_ok=True)
    train(Scenes(arguments.cache, arguments.small), arguments.run / "checkpoint.pt", arguments.steps)


if __name__ == "__main__":
    main()
