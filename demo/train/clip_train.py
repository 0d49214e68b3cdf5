"""Trains clip-nano on a CPU. Resumable at any moment: everything random is a function of (seed, step).

    python clip_train.py --cache CACHE --run RUN [--begin FOLDER] [--steps N] [--threads T] [--workers W]

Some icons are held out; `best.pt` is what tells most of them, as they are and under the augmentation.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor
from torch.utils.data import Dataset
from transformers import CLIPModel

import emoji
import loop
from augment import Augmenter, normalise
from captions import DEFAULT_TEMPLATE, END, Captioner, build_tokenizer, train_tokenizer
from clip_model import IMAGE_SIZE, embed_images, embed_texts, new_model

SEED = 20
BATCH = 123  # seven batches are the 861 concepts once; 41 blocks of neighbours
LABEL_SMOOTHING = 0.1
NEIGHBOURS = 3
VALIDATE_EVERY, STEPS = 250, 4500
MUON_RATE = 1.6  # times that of the others
HELD_OUT = 0.08  # of the icons whose concept has another one in training
ICON_SIZE = 80
# Fluent flat shares its drawings with the evaluation style, so it is drawn more often.
STYLE_WEIGHTS = torch.tensor([0.28, 0.44, 0.28])
# A mirrored clock shows another time.
DIRECTED = ("o’clock", "o'clock", "thirty", "left", "right", "quarter", "crescent", "waxing", "waning")


def inner_matrices(model: CLIPModel) -> list[torch.nn.Parameter]:
    """The matrices of the blocks."""
    return [p for name, p in model.named_parameters() if ".layers." in name and p.ndim == 2]


def kept_patches(progress: float) -> float:
    """Few patches while the model is coarse, all of them at the end."""
    return 0.5 if progress < 0.5 else 0.625 if progress < 0.85 else 1.0


class Data(Dataset):
    """Pictures and captions: step -> its batch."""

    def __init__(self, cache: Path):
        self.concepts = emoji.concepts(cache)
        pictures, present = emoji.training_pictures(cache)
        self.icons, self.present = premultiplied(pictures), torch.from_numpy(present)
        drawn = torch.rand(self.present.shape, generator=seeded(SEED, 3)) < HELD_OUT
        drawn[:, list(emoji.TRAIN_STYLES).index("fluent-flat")] = False
        self.held = drawn & self.present & (self.present.sum(1, keepdim=True) > 1)
        self.held &= self.held.sum(1, keepdim=True) == 1
        self.present &= ~self.held
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

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """`(pixels [B, 3, 64, 64], token ids [B, T])`; no concept twice."""
        per_epoch = len(self.concepts) // BATCH
        chosen = self.order(step // per_epoch)[step % per_epoch * BATCH :][:BATCH]
        generator = seeded(SEED, 1, step)
        styles = torch.multinomial(STYLE_WEIGHTS * self.present[chosen], 1, generator=generator)[:, 0]
        pixels = normalise(self.augment(self.icons[chosen, styles].float() / 255, self.flip[chosen], generator))
        rng = random.Random(f"captions-{SEED}-{step}")
        texts = self.tokenise([self.captioner.draw(c, rng) for c in chosen.tolist()])
        return pixels, texts

    def validation(self) -> dict[str, tuple[Tensor, Tensor]]:
        """The icons that are held out, as they are on white, and under one fixed draw of the augmentation."""
        concepts, styles = self.held.nonzero(as_tuple=True)
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


def loss_of(model: CLIPModel, pixels: Tensor, texts: Tensor, keep: float) -> Tensor:
    """CLIP's symmetric cross entropy over the batch (Radford et al. 2021, figure 3), labels smoothed."""
    images, captions = embed_images(model, pixels, keep), embed_texts(model, texts)
    logits = model.logit_scale.exp().clamp(max=100) * images @ captions.T
    own = torch.arange(len(logits))
    by_image = F.cross_entropy(logits, own, label_smoothing=LABEL_SMOOTHING)
    by_text = F.cross_entropy(logits.T, own, label_smoothing=LABEL_SMOOTHING)
    return (by_image + by_text) / 2


class Validation:
    """Mean of top-1 over all labels on both sets."""

    def __init__(self, source: Data):
        self.sets, self.labels = source.validation(), source.labels()

    @torch.no_grad()
    def __call__(self, model: CLIPModel) -> tuple[float, str]:
        texts, values = embed_texts(model, self.labels), {}
        for name, (pixels, truth) in self.sets.items():
            guess = torch.cat([(embed_images(model, part, 1.0) @ texts.T).argmax(1) for part in pixels.split(256)])
            values[name] = (guess == truth).float().mean().item()
        return sum(values.values()) / len(values), "  ".join(f"{name} {value:.3f}" for name, value in values.items())


def main() -> None:
    options = loop.arguments(__doc__, STEPS)
    source, model = Data(options.cache), new_model(SEED)
    solvers = loop.optimizers(model, inner_matrices(model), options.rate, MUON_RATE)
    run = loop.Run(model, solvers, options, Validation(source), VALIDATE_EVERY,
                   [*model.vision_model.encoder.layers, *model.text_model.encoder.layers])
    for pixels, texts in run.batches(source, f"clip-{SEED}"):
        with run.autocast():
            loss = loss_of(model, pixels, texts, kept_patches(run.step / run.steps))
        loss.backward()
        run.update(loss=loss.item(), scale=model.logit_scale.exp().item())


if __name__ == "__main__":
    main()
