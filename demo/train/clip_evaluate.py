"""Measures an exported model with `transformers` on Fluent 3D, and writes the fixed set in demo/eval/.

    python clip_evaluate.py --cache CACHE --model ../clip-nano --labels ../labels.txt --eval ../eval

The full set is every label's picture, 256 pixels, composited on white. The fixed set is 200 of them,
72 pixels, in one contact sheet; it is drawn once by a fixed seed and does not depend on the model.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizerFast

import emoji
from captions import DEFAULT_TEMPLATE, TEMPLATES

SEED, PICTURES, TILE, COLUMNS = 11, 200, 72, 20


class Reference:
    """An exported folder in `transformers`, its weights upcast to f32."""

    def __init__(self, folder: Path, labels: list[str]):
        self.model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = CLIPImageProcessor.from_pretrained(folder)
        self.tokenizer = CLIPTokenizerFast.from_pretrained(folder)
        self.labels = labels

    @torch.no_grad()
    def embed_labels(self, templates: tuple[str, ...]) -> torch.Tensor:
        """`[labels, projection]`; several templates are averaged and normalised again."""
        total = 0
        for template in templates:
            captions = [template.format(label) for label in self.labels]
            inputs = self.tokenizer(captions, padding=True, return_tensors="pt")
            pooled = self.model.text_model(**inputs).pooler_output
            total = total + F.normalize(self.model.text_projection(pooled), dim=-1)
        return F.normalize(total, dim=-1)

    @torch.no_grad()
    def embed_pictures(self, pictures: list[Image.Image]) -> torch.Tensor:
        """`[pictures, projection]`."""
        pixels = self.processor(images=pictures, return_tensors="pt")["pixel_values"]
        pooled = [self.model.vision_model(part).pooler_output for part in pixels.split(128)]
        return F.normalize(self.model.visual_projection(torch.cat(pooled)), dim=-1)


def top_counts(pictures: torch.Tensor, texts: torch.Tensor, expected: torch.Tensor) -> tuple[int, int]:
    """How many pictures have their label first, and among the first five."""
    order = (pictures @ texts.T).topk(5, dim=1).indices == expected[:, None]
    return int(order[:, 0].sum()), int(order.any(1).sum())


def on_white(picture: Image.Image, size: int | None = None) -> Image.Image:
    """RGB on white; centred in a square of `size` if given."""
    if size:
        picture = Image.fromarray(emoji.centre(picture, size))
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def contact_sheet(tiles: list[Image.Image]) -> Image.Image:
    """Row by row, `COLUMNS` a row."""
    sheet = Image.new("RGB", (COLUMNS * TILE, -(-len(tiles) // COLUMNS) * TILE), "white")
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (i % COLUMNS * TILE, i // COLUMNS * TILE))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("cache", "model", "labels", "eval"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    labels = arguments.labels.read_text(encoding="utf-8").splitlines()
    by_name = {c.name: c for c in emoji.concepts(arguments.cache)}
    pictures = [emoji.evaluation_picture(by_name[label], arguments.cache) for label in labels]
    reference = Reference(arguments.model, labels)

    texts, averaged = reference.embed_labels((DEFAULT_TEMPLATE,)), reference.embed_labels(TEMPLATES)
    embedded = reference.embed_pictures([on_white(p) for p in pictures])
    names = (f"template {DEFAULT_TEMPLATE!r}", f"mean of {len(TEMPLATES)} templates")
    for name, embedding in zip(names, (texts, averaged), strict=True):
        first, five = top_counts(embedded, embedding, torch.arange(len(labels)))
        print(f"all {len(labels)}, {name}: top-1 {first / len(labels):.1%}, top-5 {five / len(labels):.1%}")

    chosen = sorted(random.Random(SEED).sample(range(len(labels)), PICTURES))
    tiles = [on_white(pictures[i], TILE) for i in chosen]
    first, five = top_counts(reference.embed_pictures(tiles), texts, torch.tensor(chosen))
    print(f"fixed set of {PICTURES}: top-1 {first}, top-5 {five}")
    arguments.eval.mkdir(parents=True, exist_ok=True)
    contact_sheet(tiles).save(arguments.eval / "fluent-3d.png", optimize=True)
    description = {
        "sheet": "fluent-3d.png", "tile": TILE, "columns": COLUMNS, "template": DEFAULT_TEMPLATE,
        "top1": first, "top5": five, "expected": chosen,
    }
    (arguments.eval / "labels.json").write_text(json.dumps(description) + "\n")


if __name__ == "__main__":
    main()
