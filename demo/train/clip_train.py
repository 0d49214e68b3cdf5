"""Trains clip-nano on a CPU. Resumable at any moment: everything random is a function of (seed, step).

    python clip_train.py --cache CACHE --run RUN [--steps N]

The learning rate warms up, stays constant for the first quarter of `--steps`, and falls to zero at the last
one; until then a run may be resumed with another `--steps`.
"""

from __future__ import annotations

import argparse
import copy
import os
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor
from transformers import CLIPModel

import emoji
from augment import Augmenter, normalise
from captions import DEFAULT_TEMPLATE, END, Captioner, build_tokenizer, train_tokenizer
from clip_model import IMAGE_SIZE, embed_images, embed_texts, new_model

SEED = 20
BATCH = 123  # seven batches are the 861 concepts once; 41 blocks of neighbours
WARMUP, DECAY_FROM = 100, 0.25
ADAM_RATE, MUON_RATE, WEIGHT_DECAY = 1e-3, 4e-3, 0.05
LABEL_SMOOTHING = 0.1
AVERAGE_DECAY = 0.998
NEIGHBOURS = 3
CHECKPOINT_EVERY, REPORT_EVERY, VALIDATE_EVERY = 200, 50, 500
ICON_SIZE = 80
# Fluent flat shares its drawings with the evaluation style, so it is drawn more often.
STYLE_WEIGHTS = torch.tensor([0.28, 0.44, 0.28])
# A mirrored clock shows another time.
DIRECTED = ("o’clock", "o'clock", "thirty", "left", "right", "quarter", "crescent", "waxing", "waning")


def rate_factor(step: int, steps: int) -> float:
    """Warm-up, plateau, then linear to zero."""
    decay_start = DECAY_FROM * steps
    if step < decay_start:
        return min(1.0, (step + 1) / WARMUP)
    return (steps - step) / (steps - decay_start)


def optimizers(model: CLIPModel) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks (Jordan et al. 2024), AdamW for all other parameters."""
    blocks = [p for name, p in model.named_parameters() if ".layers." in name and p.ndim == 2]
    ids = {id(p) for p in blocks}
    rest = [p for p in model.parameters() if id(p) not in ids]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    muon = torch.optim.Muon(blocks, lr=MUON_RATE, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(groups, lr=ADAM_RATE, betas=(0.9, 0.98), fused=True)
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return [muon, adam]


def kept_patches(step: int, steps: int) -> float:
    """Few patches while the model is coarse, all of them at the end."""
    progress = step / steps
    return 0.375 if progress < 0.85 else 0.625 if progress < 0.97 else 1.0


class Data:
    """Pictures and captions; `batch(step)` is a pure function of the step."""

    def __init__(self, cache: Path):
        self.concepts = emoji.concepts(cache)
        pictures, present = emoji.training_pictures(cache)
        self.icons, self.present = premultiplied(pictures), torch.from_numpy(present)
        self.augment = Augmenter(IMAGE_SIZE, [data.astronaut(), data.coffee(), data.chelsea()])
        self.flip = torch.tensor(
            [0.0 if any(word in c.name for word in DIRECTED) else 0.25 for c in self.concepts]
        )
        self.captioner = Captioner(self.concepts)
        self.tokenizer = build_tokenizer(*train_tokenizer(self.concepts))
        end = self.tokenizer.token_to_id(END)
        self.tokenizer.enable_padding(pad_id=end, pad_token=END)

    def tokenise(self, texts: list[str]) -> Tensor:
        return torch.tensor([encoding.ids for encoding in self.tokenizer.encode_batch(texts)])

    def labels(self) -> Tensor:
        """Token ids of all names in the default template."""
        return self.tokenise([DEFAULT_TEMPLATE.format(c.name) for c in self.concepts])

    def order(self, epoch: int) -> Tensor:
        """All concepts, shuffled in blocks of neighbours: emojibase's order puts like beside like, so a
        batch holds some pairs that are hard to tell apart."""
        generator = seeded(SEED, 0, epoch)
        count = len(self.concepts) // NEIGHBOURS * NEIGHBOURS
        offset = int(torch.randint(len(self.concepts), (), generator=generator))
        blocks = (torch.arange(count) + offset).view(-1, NEIGHBOURS) % len(self.concepts)
        return blocks[torch.randperm(len(blocks), generator=generator)].flatten()

    def batch(self, step: int) -> tuple[Tensor, Tensor, torch.Generator]:
        """`(pixels [B, 3, 64, 64], token ids [B, T], generator)`; no concept twice."""
        per_epoch = len(self.concepts) // BATCH
        chosen = self.order(step // per_epoch)[step % per_epoch * BATCH :][:BATCH]
        generator = seeded(SEED, 1, step)
        styles = torch.multinomial(STYLE_WEIGHTS * self.present[chosen], 1, generator=generator)[:, 0]
        pixels = normalise(self.augment(self.icons[chosen, styles].float() / 255, self.flip[chosen], generator))
        rng = random.Random(f"captions-{SEED}-{step}")
        texts = self.tokenise([self.captioner.draw(c, rng) for c in chosen.tolist()])
        return pixels, texts, generator

    def validation(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Training icons as they are on white, and under one fixed draw of the augmentation."""
        concepts, styles = self.present.nonzero(as_tuple=True)
        icons = self.icons[concepts, styles].float() / 255
        clean = F.interpolate(icons, (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", antialias=True)
        clean = clean[:, :3] + 1 - clean[:, 3:]
        augmented = self.augment(icons, self.flip[concepts], seeded(SEED, 2, 0))
        return {"clean": (normalise(clean), concepts), "augmented": (normalise(augmented), concepts)}


def premultiplied(pictures) -> Tensor:
    """`[C, S, R, R, 4]` straight uint8 -> `[C, S, 4, 80, 80]` premultiplied uint8."""
    out = []
    for concept in pictures:
        rgba = torch.from_numpy(concept).permute(0, 3, 1, 2).float()
        rgba = torch.cat([rgba[:, :3] * rgba[:, 3:] / 255, rgba[:, 3:]], 1)
        small = F.interpolate(rgba, (ICON_SIZE, ICON_SIZE), mode="bilinear", antialias=True)
        out.append(small.round().clamp(0, 255).byte())
    return torch.stack(out)


def seeded(*key: int) -> torch.Generator:
    """A generator for one key, independent of those of other keys."""
    return torch.Generator().manual_seed(random.Random(repr(key)).getrandbits(63))


def loss_of(model: CLIPModel, pixels: Tensor, texts: Tensor, keep: float, generator: torch.Generator) -> Tensor:
    """CLIP's symmetric cross entropy over the batch (Radford et al. 2021, figure 3), labels smoothed."""
    images, captions = embed_images(model, pixels, keep, generator), embed_texts(model, texts)
    logits = model.logit_scale.exp().clamp(max=100) * images @ captions.T
    own = torch.arange(len(logits))
    by_image = F.cross_entropy(logits, own, label_smoothing=LABEL_SMOOTHING)
    by_text = F.cross_entropy(logits.T, own, label_smoothing=LABEL_SMOOTHING)
    return (by_image + by_text) / 2


@torch.no_grad()
def validate(model, sets: dict[str, tuple[Tensor, Tensor]], labels: Tensor) -> str:
    """Top-1 over all labels on each set."""
    texts = embed_texts(model, labels)
    parts = []
    for name, (pixels, truth) in sets.items():
        guess = torch.cat([(embed_images(model, part, 1.0) @ texts.T).argmax(1) for part in pixels.split(256)])
        parts.append(f"{name} {(guess == truth).float().mean():.3f}")
    return "  ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="downloads and rasterised icons")
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--steps", type=int, default=2000)
    arguments = parser.parse_args()
    arguments.run.mkdir(parents=True, exist_ok=True)
    train(Data(arguments.cache), arguments.run / "checkpoint.pt", arguments.steps)


def train(source: Data, checkpoint: Path, steps: int) -> None:
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
    sets, labels = source.validation(), source.labels()
    running, since = 0.0, time.perf_counter()
    while step < steps:
        for solver in solvers:
            for group in solver.param_groups:
                group["lr"] = group["peak"] * rate_factor(step, steps)
        pixels, texts, generator = source.batch(step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(model, pixels, texts, kept_patches(step, steps), generator)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for solver in solvers:
            solver.step()
            solver.zero_grad()
        decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        step, running = step + 1, running + loss.item()
        if step % REPORT_EVERY == 0:
            now = time.perf_counter()
            scale = model.logit_scale.exp().item()
            print(f"{step}/{steps}  loss {running / REPORT_EVERY:.3f}  scale {scale:.1f}  "
                  f"{(now - since) / REPORT_EVERY:.2f} s/step", flush=True)
            running, since = 0.0, now
        if step % VALIDATE_EVERY == 0 or step == steps:
            print(f"{step}/{steps}  top-1 {validate(average, sets, labels)}", flush=True)
        if step % CHECKPOINT_EVERY == 0 or step == steps:
            save(checkpoint, model=model.state_dict(), average=average.state_dict(),
                 optimizers=[solver.state_dict() for solver in solvers], step=step)


def save(path: Path, **state) -> None:
    """Written beside and renamed, so that a stop in the middle leaves the old file."""
    torch.save(state, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


if __name__ == "__main__":
    main()
