"""Pillow's u8 resize, CLIP's preprocessing, and PyTorch's f32 interpolate."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from .common import picture, seeded, write_json, write_tensors

FILTERS = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
# (width, height) of the input, and of the outputs made from it.
PILLOW = [
    ((37, 23), [(16, 50), (37, 23), (74, 46), (18, 11), (37, 7), (9, 23), (1, 1)]),
    ((64, 48), [(32, 24), (63, 47), (65, 49), (21, 96)]),
    ((1, 1), [(1, 1), (5, 3)]),
    ((2, 1), [(7, 4)]),
    ((1, 40), [(3, 13), (1, 97)]),
    ((150, 3), [(2, 9), (149, 1)]),
    ((96, 96), [(7, 7)]),
]
INTERPOLATE = [
    ((1, 5, 7), [(5, 7), (10, 14), (3, 4), (9, 2), (1, 1)]),
    ((3, 16, 16), [(20, 13), (8, 8), (5, 37)]),
    ((2, 1, 1), [(4, 3)]),
    ((1, 33, 2), [(4, 9)]),
    ((2, 7, 7), [(8, 8), (14, 10)]),
]
# name, picture (width, height), processor size, crop
PREPROCESS = [
    ("landscape", (61, 40), {"shortest_edge": 32}, (32, 32)),
    ("portrait", (45, 83), {"shortest_edge": 32}, (32, 32)),
    ("square", (50, 50), {"shortest_edge": 32}, (32, 32)),
    ("upscaled", (19, 13), {"shortest_edge": 32}, (32, 32)),
    ("exact", (32, 32), {"shortest_edge": 32}, (32, 32)),
    ("odd-margin", (67, 44), {"shortest_edge": 33}, (28, 28)),
    ("truncated-edge", (101, 67), {"shortest_edge": 31}, (31, 31)),
    ("squashed", (61, 40), {"height": 24, "width": 36}, (24, 24)),
    ("padded", (30, 21), {"shortest_edge": 20}, (29, 32)),
    ("padded-one-way", (70, 20), {"shortest_edge": 20}, (25, 32)),
    ("one-pixel", (1, 1), {"shortest_edge": 16}, (16, 16)),
    ("tall", (2, 90), {"shortest_edge": 16}, (16, 16)),
]


def pillow_goldens() -> dict[str, np.ndarray]:
    """`input.{rgb|l}.{w}x{h}` and `{filter}.{rgb|l}.{w}x{h}-{W}x{H}`, u8 [H, W, C]."""
    out = {}
    for (w, h), targets in PILLOW:
        for mode, channels in (("rgb", 3), ("l", 1)):
            pixels = picture(f"pillow.{mode}.{w}x{h}", h, w, channels)
            image = Image.fromarray(pixels if channels == 3 else pixels[..., 0], mode.upper())
            out[f"input.{mode}.{w}x{h}"] = pixels
            for name, resample in FILTERS.items():
                for target in targets:
                    result = np.asarray(image.resize(target, resample)).reshape(
                        target[1], target[0], channels)
                    out[f"{name}.{mode}.{w}x{h}-{target[0]}x{target[1]}"] = result
    return out


def interpolate_goldens() -> dict[str, torch.Tensor]:
    """`input.{C}x{H}x{W}` and `{mode}.{plain|antialias}.{C}x{H}x{W}-{h}x{w}`, f32 [C, h, w]."""
    out = {}
    for shape, targets in INTERPOLATE:
        size = "x".join(map(str, shape))
        x = torch.randn(1, *shape, generator=seeded("interpolate." + size))
        out[f"input.{size}"] = x[0]
        for mode in ("bilinear", "bicubic"):
            for kind, antialias in (("plain", False), ("antialias", True)):
                for h, w in targets:
                    y = torch.nn.functional.interpolate(
                        x, size=(h, w), mode=mode, align_corners=False, antialias=antialias)
                    out[f"{mode}.{kind}.{size}-{h}x{w}"] = y[0]
    return out


def preprocess_goldens() -> tuple[dict, dict]:
    """`{name}.input` u8 [H, W, 3], `{name}.crop` u8 [h, w, 3], `{name}.pixels` f32 [3, h, w]."""
    tensors, configs = {}, {}
    for name, (w, h), size, (crop_h, crop_w) in PREPROCESS:
        image = picture("preprocess." + name, h, w, 3)
        processor = CLIPImageProcessorPil(size=size, crop_size={"height": crop_h, "width": crop_w})

        def run(**options):
            return processor(image, input_data_format="channels_last", return_tensors="np",
                             **options).pixel_values[0]

        crop, pixels = run(do_rescale=False, do_normalize=False), run()
        assert crop.dtype == np.uint8 and pixels.dtype == np.float32
        assert np.array_equal(pixels, by_formula(crop, processor))
        tensors |= {f"{name}.input": image, f"{name}.crop": crop.transpose(1, 2, 0),
                    f"{name}.pixels": pixels}
        config = processor.to_dict()
        config["image_processor_type"] = "CLIPImageProcessor"
        keys = ("image_processor_type", "do_resize", "size", "resample", "do_center_crop",
                "crop_size", "do_rescale", "rescale_factor", "do_normalize", "image_mean",
                "image_std", "do_convert_rgb")
        configs[name] = {key: plain(config[key]) for key in keys}
    return tensors, configs


def by_formula(crop: np.ndarray, processor) -> np.ndarray:
    """(f32(f64(v) · rescale_factor) − f32(mean)) / f32(std): the rounding steps, bit for bit."""
    scaled = (crop.astype(np.float64) * processor.rescale_factor).astype(np.float32)
    mean, std = (np.array(v, np.float32)[:, None, None]
                 for v in (processor.image_mean, processor.image_std))
    return (scaled - mean) / std


def plain(value):
    """JSON-ready: sizes as dictionaries of what is set, enums as integers."""
    if hasattr(value, "shortest_edge"):
        value = dict(value)
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if v is not None}
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def generate(root: Path) -> None:
    """Write `resize/`."""
    write_tensors(root / "resize" / "pillow.safetensors", pillow_goldens())
    write_tensors(root / "resize" / "interpolate.safetensors", interpolate_goldens())
    tensors, configs = preprocess_goldens()
    write_tensors(root / "resize" / "clip_preprocess.safetensors", tensors)
    write_json(root / "resize" / "clip_preprocess.json", configs)
