"""Masks after the decoder: run lengths, boxes, overlap, suppression, small regions, upscaling."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from pycocotools import mask as coco
from segment_anything.modeling import Sam
from segment_anything.utils import amg
from torchvision.ops.boxes import batched_nms
from transformers import SamImageProcessor

from .common import seeded, write_json, write_tensors

# height, width, cells of the noise, share of the pixels set
MASKS = [
    ((1, 1), 1, 0.0), ((1, 1), 1, 1.0), ((1, 30), 7, 0.5), ((30, 1), 7, 0.5), ((37, 53), 6, 0.0),
    ((37, 53), 6, 1.0), ((37, 53), 6, 0.3), ((37, 53), 9, 0.7), ((37, 53), 37, 0.5),
    ((65, 130), 11, 0.4), ((128, 64), 16, 0.6), ((200, 190), 12, 0.5),
]
# side of the logits, side of the model's input, size of the resized picture, size of the picture
UPSCALE = [
    (16, 64, (40, 64), (55, 88)), (16, 64, (64, 31), (100, 49)), (16, 64, (43, 64), (20, 30)),
    (16, 64, (64, 64), (64, 64)), (16, 64, (64, 1), (150, 3)), (16, 64, (64, 64), (1, 1)),
    (12, 48, (48, 37), (130, 100)), (4, 4, (4, 4), (9, 7)), (5, 40, (3, 40), (3, 70)),
]
# size of the resized picture, size of the picture, for logits of 256 x 256
FULL_SIZE = [((683, 1024), (433, 650)), ((1024, 768), (1333, 1000)), ((1024, 1024), (97, 97))]


def smooth_noise(name: str, size: tuple[int, int], cells: int) -> np.ndarray:
    """Noise with features of about 1 / `cells` of the longer side, f32."""
    longer = max(size)
    noise = torch.randn(1, 1, cells, cells, generator=seeded(name))
    noise = torch.nn.functional.interpolate(noise, (longer, longer), mode="bicubic")
    return noise[0, 0, :size[0], :size[1]].numpy()


def run_lengths(mask: np.ndarray) -> dict:
    """Meta's uncompressed run lengths."""
    return amg.mask_to_rle_pytorch(torch.from_numpy(mask)[None])[0]


def compressed(mask: np.ndarray) -> str:
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


def mask_goldens() -> tuple[list[np.ndarray], list[dict]]:
    masks, records = [], []
    for i, (size, cells, share) in enumerate(MASKS):
        noise = smooth_noise(f"masks.{i}", size, cells)
        mask = noise <= np.quantile(noise, share) if 0 < share < 1 else np.full(size, share == 1)
        rle = run_lengths(mask)
        string = amg.coco_encode_rle(rle)["counts"]
        assert string == compressed(mask)
        encoded = {"size": list(size), "counts": string}
        masks.append(mask)
        records.append(encoded | {
            "uncompressed": rle["counts"], "area": int(coco.area(encoded)),
            "bbox": [int(v) for v in coco.toBbox(encoded)],
            "extent": amg.batched_mask_to_box(torch.from_numpy(mask)).tolist()})
    return masks, records


def overlap_goldens(records: list[dict]) -> list[dict]:
    pairs = [(a, b) for a in range(len(records)) for b in range(len(records))
             if records[a]["size"] == records[b]["size"]]
    rle = [{"size": r["size"], "counts": r["counts"]} for r in records]
    return [{"pair": [a, b], "iou": float(coco.iou([rle[a]], [rle[b]], [False])[0, 0])}
            for a, b in pairs]


def region_goldens(masks: list[np.ndarray]) -> list[dict]:
    out = []
    for i, mask in enumerate(masks):
        for mode in ("holes", "islands"):
            for min_area in (1, 5, 20, 100, 100_000):
                result, changed = amg.remove_small_regions(mask, min_area, mode)
                out.append({"mask": i, "mode": mode, "min_area": min_area,
                            "result": compressed(result) if changed else None})
    return out


def nms_goldens() -> list[dict]:
    out = []
    for count, levels in ((0, 1), (1, 1), (30, 3), (300, 10), (300, 1000)):
        for threshold in (0.7, 0.3, 0.0):
            generator = seeded(f"nms.{count}.{levels}.{threshold}")
            corner = torch.randint(0, 60, (count, 2), generator=generator)
            size = torch.randint(0, 40, (count, 2), generator=generator)
            boxes = torch.cat([corner, corner + size], 1)
            scores = torch.randint(0, levels, (count,), generator=generator) / levels
            kept = batched_nms(boxes.float(), scores, torch.zeros(count), threshold)
            out.append({"boxes": boxes.tolist(), "scores": scores.tolist(),
                        "threshold": threshold, "kept": kept.tolist()})
    return out


def upscaled(low: torch.Tensor, frame: int, resized: tuple, original: tuple) -> torch.Tensor:
    """`Sam.postprocess_masks` of logits [side, side]; checked against transformers."""
    model = SimpleNamespace(image_encoder=SimpleNamespace(img_size=frame))
    out = Sam.postprocess_masks(model, low[None, None], resized, original)
    [other] = SamImageProcessor().post_process_masks(
        [low[None, None]], [original], [resized], binarize=False,
        pad_size={"height": frame, "width": frame})
    assert torch.equal(out, other)
    return out[0, 0]


def upscale_goldens() -> dict[str, torch.Tensor]:
    tensors = {}
    for side, frame, resized, original in UPSCALE:
        name = "{}-{}.{}x{}-{}x{}".format(side, frame, *resized, *original)
        low = 8 * torch.randn(side, side, generator=seeded("upscale." + name))
        tensors[f"low.{name}"] = low
        tensors[f"logits.{name}"] = upscaled(low, frame, resized, original)
    return tensors


def full_size_goldens() -> tuple[torch.Tensor, list[dict]]:
    """Logits as u8, where 128 is 0 and 8 steps are 1, and what the generator computes from them."""
    noise = 6 * torch.from_numpy(smooth_noise("upscale.full", (256, 256), 14))
    quantised = (noise * 8 + 128).round().clamp(0, 255).to(torch.uint8)
    low = (quantised.float() - 128) / 8
    records = []
    for resized, original in FULL_SIZE:
        logits = upscaled(low, 1024, resized, original)
        mask = logits > 0.0
        records.append({
            "resized": resized, "size": original, "counts": compressed(mask.numpy()),
            "extent": amg.batched_mask_to_box(mask).tolist(),
            "stability_score": amg.calculate_stability_score(logits[None], 0.0, 1.0).item()})
    return quantised, records


def generate(root: Path) -> None:
    """Write `masks/`."""
    masks, records = mask_goldens()
    quantised, full_size = full_size_goldens()
    write_json(root / "masks" / "masks.json", {
        "masks": records, "overlaps": overlap_goldens(records), "regions": region_goldens(masks),
        "nms": nms_goldens(), "upscaled": full_size}, indent=None)
    write_tensors(root / "masks" / "upscale.safetensors", upscale_goldens() | {"full": quantised})
