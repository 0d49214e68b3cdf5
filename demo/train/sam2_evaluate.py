"""Measures an exported model with `transformers`' Sam2VideoModel on clips of Fluent 3D.

    python sam2_evaluate.py --cache CACHE --model ../sam2-nano [--clips N] [--compare]

For every object that can be seen well on the first frame: one click in its middle there, then one more in the middle of
the largest error on the worst frame, and tracking again from that frame on. `J` is the mean IoU over the frames of a
clip, 1 where neither the object nor a mask is there.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import Sam2ImageProcessor, Sam2VideoModel, Sam2VideoProcessor, Sam2VideoVideoProcessor

from sam2_clips import Clip, ClipCompositor, askable
from sam2_model import (IMAGE_SIZE, POINTERS, Memory, attend, decode, encode, high_resolution, pointer, remember)
from sam_evaluate import evaluation_compositor
from sam_measure import middle, next_click, overlap

SEED, FRAMES = 7, 8
SMALLEST = 0.002  # of the picture: the worst frame is one that shows at least so much of the object


class VideoModel(Sam2VideoModel):
    """`transformers` cannot join pointers and memories of the same width: it leaves the pointers an axis too many,
    which only its splitting into narrower tokens removes. Meta's predictor has no such limit."""

    def _get_object_pointers(self, *arguments, **named):
        offsets, tokens, most = super()._get_object_pointers(*arguments, **named)
        return offsets, [token[:, 0] for token in tokens], most


class Reference:
    """An exported folder in `transformers`, its weights upcast to f32. One object at a time."""

    def __init__(self, folder: Path):
        self.model = VideoModel.from_pretrained(folder, dtype=torch.float32).eval()
        images = Sam2ImageProcessor.from_pretrained(folder)
        size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
        self.processor = Sam2VideoProcessor(images, Sam2VideoVideoProcessor(size=size), target_size=IMAGE_SIZE)

    def begin(self, frames: np.ndarray):
        """A session over `[t, h, w, 3]` uint8."""
        return self.processor.init_video_session(video=list(frames))

    def click(self, session, frame: int, x: float, y: float, label: int) -> None:
        self.processor.add_inputs_to_inference_session(
            session, frame, 1, input_points=[[[[x, y]]]], input_labels=[[[label]]], clear_old_inputs=False)

    @torch.no_grad()
    def track(self, session, start: int) -> tuple[np.ndarray, np.ndarray]:
        """`(masks [t - start, h, w] bool, presence logits [t - start])` from a clicked frame on."""
        size = session.video_height, session.video_width
        if start == 0:
            self.model(session, frame_idx=0)
        masks, presence = [], []
        for out in self.model.propagate_in_video_iterator(session, start_frame_idx=start):
            masks.append(self.processor.post_process_masks([out.pred_masks], [size])[0][0, 0].numpy())
            presence.append(float(out.object_score_logits))
        return np.stack(masks), np.array(presence)


@dataclass
class Result:
    """Of one object in a clip of `t` frames."""

    truth: np.ndarray  # [t, h, w] bool
    iou: np.ndarray  # [2, t]: after the first click, after the corrective one
    clicks: list[list[int]]  # frame, x, y, label of both

    @property
    def returns(self) -> bool:
        """Is it out of sight for a while and then seen again?"""
        seen = np.flatnonzero(self.truth.any((1, 2)))
        return len(seen) and np.diff(seen).max(initial=1) > 1


def frame_iou(masks: np.ndarray, truth: np.ndarray) -> np.ndarray:
    nothing = ~masks.any((1, 2)) & ~truth.any((1, 2))
    return np.where(nothing, 1.0, overlap(masks, truth))


def measure(reference: Reference, frames: np.ndarray, truth: np.ndarray) -> Result:
    """`truth`: `[t, h, w]` bool of one object."""
    session = reference.begin(frames)
    x, y = middle(truth[0])
    clicks = [[0, x, y, 1]]
    reference.click(session, *clicks[0])
    masks, _ = reference.track(session, 0)
    first = frame_iou(masks, truth)
    large = truth.sum((1, 2)) >= SMALLEST * truth[0].size
    worst = int(np.where(large, first, 2.0).argmin())
    clicks.append([worst, *next_click(masks[worst], truth[worst])])
    reference.click(session, *clicks[1])
    masks[worst:], _ = reference.track(session, worst)
    return Result(truth, np.stack([first, frame_iou(masks, truth)]), clicks)


def evaluation_clips(cache: Path, side: int) -> ClipCompositor:
    return ClipCompositor(evaluation_compositor(cache, side).icons, side, vary=False)


def report(name: str, results: list[Result]) -> None:
    if not results:
        return
    iou = np.stack([r.iou for r in results])  # [n, 2, t]
    seen = np.stack([r.truth.any((1, 2)) for r in results])  # [n, t]
    tracked = [i[k][s].mean() for i, s in zip(iou, seen, strict=True) for k in range(2)]
    visible = np.reshape(tracked, (-1, 2)).mean(0)
    absent = iou[:, 0][~seen].mean() if (~seen).any() else np.nan
    print(f"{name}: {len(results)} objects; J after 1, 2 clicks {iou.mean((0, 2)).round(3)}; frames that show it "
          f"{visible.round(3)}; first frame {iou[:, 0, 0].mean():.3f}, last {iou[:, 0, -1].mean():.3f}; "
          f"{(~seen).sum()} frames without it, {absent:.2f} of them right")


def after_return(results: list[Result]) -> float:
    """Mean IoU of the frames that show an object again, after one click."""
    again = []
    for r in results:
        seen = r.truth.any((1, 2))
        gone = np.flatnonzero(~seen)[0]
        again += list(r.iou[0, gone:][seen[gone:]])
    return float(np.mean(again))


@torch.no_grad()
def compare(reference: Reference, clip: Clip) -> float:
    """Largest difference of the logits between the steps of `sam2_model` and `transformers`, of the largest logit."""
    model, count = reference.model, len(clip.frames)
    x, y = middle(clip.masks[askable(clip)[0], 0])
    session = reference.begin(clip.frames)
    reference.click(session, 0, x, y, 1)
    model(session, frame_idx=0)
    expected = [(out.pred_masks, out.object_score_logits) for out in model.propagate_in_video_iterator(session)]
    features = encode(model, torch.stack([session.get_frame(t) for t in range(count)]))
    scale = IMAGE_SIZE / clip.frames.shape[1]
    memories, worst = [], 0.0
    for t in range(count):
        fine, middle_, coarse = (f[t : t + 1] for f in features)
        if t == 0:
            seen, point = coarse + model.no_memory_embedding.view(1, -1, 1, 1), [x * scale, y * scale]
        else:
            recent = [(t - k, memories[k]) for k in range(t - 1, 0, -1)]
            seen, point = attend(model, coarse, [(t, memories[0])], recent, min(count, POINTERS) - 1), [0.0, 0.0]
        label = 1 if t == 0 else -1
        out = decode(model, [fine, middle_, seen], torch.tensor([[point]]), torch.tensor([[label]]), None)
        pick = int(out.scores[0, 1:].argmax()) + 1
        logits, present = out.logits[:, pick : pick + 1], (out.present > 0).float()
        pairs = [(logits, expected[t][0])] if present else []
        for own, other in [*pairs, (out.present, expected[t][1])]:
            worst = max(worst, float((own - other).abs().max() / other.abs().max()))
        mask = high_resolution(logits, present)
        mask = (mask > 0).float() if t == 0 else mask.sigmoid()
        memories.append(Memory(remember(model, coarse, mask, present).bfloat16().float(),
                               pointer(model, out.tokens[:, pick], present)))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--compare", action="store_true", help="only compare training's steps with the reference's")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    reference = Reference(arguments.model)
    compositor = evaluation_clips(arguments.cache, IMAGE_SIZE)
    results = []
    for k in range(arguments.clips):
        clip = compositor.clip(np.random.default_rng([SEED, k]), FRAMES)
        objects = askable(clip)
        if arguments.compare and len(objects):
            print(f"clip {k}: {compare(reference, clip):.2e}")
        elif not arguments.compare:
            results += [measure(reference, clip.frames, clip.masks[i]) for i in objects]
    if results:
        report("all", results)
        report("always in sight", [r for r in results if r.truth.any((1, 2)).all()])
        report("gone and back", back := [r for r in results if r.returns])
        print(f"frames after the return: {after_return(back):.3f}" if back else "none is gone and back")


if __name__ == "__main__":
    main()
