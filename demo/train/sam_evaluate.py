"""Measures an exported model with `transformers` on scenes of Fluent 3D.

    python sam_evaluate.py --cache CACHE --model ../sam-nano [--scenes N]

For every object: one click in its middle (the best of three masks, and the one the model scores highest), two
more clicks in the middle of the largest error with the last logits fed back, and its box.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import SamImageProcessor, SamModel

import emoji
from sam_measure import middle, next_click, objects_of, overlap
from sam_model import IMAGE_SIZE
from sam_parts import Icons
from sam_scenes import Compositor, tight_box

SEED = 7
LARGE = 0.02  # of the square
CLICKS = 3


@dataclass
class Result:
    """Of `n` objects."""

    scored: np.ndarray  # [n] IoU of that of the three masks of one click which has the highest score
    scores: np.ndarray  # [n] that score
    refined: np.ndarray  # [n, 3] IoU after each click; after the first that of the best of the three masks
    box: np.ndarray  # [n]
    clicks: np.ndarray  # [n, 3, 3] x, y, label
    areas: np.ndarray  # [n] of the square


class Reference:
    """An exported folder in `transformers`, its weights upcast to f32."""

    def __init__(self, folder: Path):
        self.model = SamModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = SamImageProcessor.from_pretrained(folder)

    @torch.no_grad()
    def embed(self, picture: np.ndarray) -> Tensor:
        pixels = self.processor(images=Image.fromarray(picture), return_tensors="pt")["pixel_values"]
        return self.model.get_image_embeddings(pixels)

    @torch.no_grad()
    def predict(self, embedding: Tensor, size: tuple[int, int], multimask: bool, clicks: np.ndarray | None = None,
                boxes: np.ndarray | None = None, logits: Tensor | None = None) -> tuple[np.ndarray, Tensor, Tensor]:
        """`(masks [n, k, h, w] bool, scores [n, k], logits [n, k, 128, 128])` of `n` prompts, coordinates those of
        the picture: `clicks` `[n, p, 3]` (x, y, label), `boxes` `[n, 4]`, `logits` `[n, 1, 128, 128]`."""
        scale = IMAGE_SIZE / max(size)
        count = len(boxes if clicks is None else clicks)
        given = {}
        if clicks is not None:
            given["input_points"] = torch.from_numpy(clicks[:, None, :, :2] * scale).float()
            given["input_labels"] = torch.from_numpy(clicks[:, None, :, 2]).long()
        if boxes is not None:
            given["input_boxes"] = torch.from_numpy(boxes[:, None] * scale).float()
        out = self.model(image_embeddings=embedding.expand(count, -1, -1, -1), input_masks=logits,
                         multimask_output=multimask, **given)
        low, scores = out.pred_masks[:, 0], out.iou_scores[:, 0]
        scaled = tuple(int(side * scale + 0.5) for side in size)
        masks = self.processor.post_process_masks([low], [size], [scaled])[0]
        return masks.numpy(), scores, low


def measure(reference: Reference, picture: np.ndarray, objects: np.ndarray) -> Result:
    """`objects`: `[n, h, w]` bool."""
    embedding, size = reference.embed(picture), picture.shape[:2]
    clicks = np.array([[(*middle(mask), 1)] for mask in objects], float)
    masks, scores, low = reference.predict(embedding, size, True, clicks)
    iou = overlap(masks, objects[:, None])
    rows, pick, top = np.arange(len(objects)), iou.argmax(1), scores.argmax(1).numpy()
    mask, logits, steps = masks[rows, pick], low[rows, pick][:, None], [iou[rows, pick]]
    for _ in range(CLICKS - 1):
        more = np.array([[next_click(m, truth)] for m, truth in zip(mask, objects, strict=True)], float)
        clicks = np.concatenate([clicks, more], 1)
        masks, _, logits = reference.predict(embedding, size, False, clicks, logits=logits)
        mask = masks[:, 0]
        steps.append(overlap(mask, objects))
    boxes = np.array([tight_box(truth) for truth in objects])
    by_box = reference.predict(embedding, size, False, boxes=boxes)[0][:, 0]
    return Result(iou[rows, top], scores[rows, top].numpy(), np.stack(steps, 1),
                  overlap(by_box, objects), clicks, objects.sum((1, 2)) / max(size) ** 2)


def evaluation_compositor(cache: Path, side: int) -> Compositor:
    """Composes Fluent 3D as it is; the parts of these pictures are not known."""
    pictures = (emoji.evaluation_picture(concept, cache) for concept in emoji.concepts(cache))
    rgba = np.stack([emoji.centre(picture, emoji.RASTER_SIZE) for picture in pictures if picture is not None])
    nothing = np.zeros(rgba.shape[:3], np.uint8)
    icons = Icons(rgba, nothing, nothing, np.zeros((0, emoji.RASTER_SIZE, emoji.RASTER_SIZE // 8), np.uint8),
                  np.zeros(len(rgba) + 1, int))
    return Compositor(icons, side, vary=False)


def report(name: str, result: Result, chosen: np.ndarray) -> None:
    """Means over the objects that are `chosen` `[n]`."""
    part = Result(*(getattr(result, f.name)[chosen] for f in fields(Result)))
    error = np.abs(part.scores - part.scored).mean()
    print(f"{name}, {chosen.sum()} objects; mean IoU after 1, 2, 3 clicks {part.refined.mean(0).round(3)}, "
          f"box {part.box.mean():.3f}; 1 click by the highest score {part.scored.mean():.3f}, "
          f"that score {part.scores.mean():.3f}, its mean absolute error {error:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    reference = Reference(arguments.model)
    compositor = evaluation_compositor(arguments.cache, IMAGE_SIZE)
    results = []
    for k in range(arguments.scenes):
        scene = compositor.scene(np.random.default_rng([SEED, k]))
        if len(objects := objects_of(scene)):
            results.append(measure(reference, scene.picture, objects))
    together = Result(*(np.concatenate([getattr(r, f.name) for r in results]) for f in fields(Result)))
    for name, chosen in (("all", together.areas > 0), ("large", together.areas >= LARGE)):
        report(name, together, chosen)


if __name__ == "__main__":
    main()
