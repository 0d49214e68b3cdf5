#!/usr/bin/env python3
"""Times masks of everything in a picture: 1,024 clicks on SAM ViT-B, from a u8 picture to run lengths.

    venv/bin/python benches/peers/sam_everything.py --cache DIR

The cache and the libraries are those of `sam_peers.py`. Engines: `SamAutomaticMaskGenerator` of segment-anything in PyTorch,
with the cache's weights; the same generator with its encoder and decoder in ONNX Runtime, and in OpenVINO, f32 and as it
chooses itself, which is what one builds from exported models: upscaling, thresholds, boxes, suppression and run lengths are
the package's; Vitrum in f32, bf16 and int8.

The weights are random. So that a tenth of the masks pass, as with real ones, the threshold of the predicted IoU is set by
the decoder beforehand; boxes suppress nothing, since those of masks of noise are all alike. The table says how many masks each
engine returned, and which part of the first engine's it has, too: the point, and the area within 2 %. PyTorch takes minutes and
is timed once, the others `--rounds` times, in turns.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

import harness
import sam_models
import vitrum_c
from runtimes import OnnxRuntimeSession, OpenVinoRequest

POINTS_PER_SIDE, POINTS_PER_BATCH = 32, 64
PASS = 0.1  # of the masks, by their predicted IoU

# From transformers' names to Meta's, one after the other.
RENAMES = (
    ("shared_image_embedding.positional_embedding", "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
    ("vision_encoder.patch_embed.projection", "vision_encoder.patch_embed.proj"),
    ("vision_encoder.layers", "vision_encoder.blocks"),
    ("neck.conv1", "neck.0"), ("neck.layer_norm1", "neck.1"), ("neck.conv2", "neck.2"), ("neck.layer_norm2", "neck.3"),
    ("vision_encoder", "image_encoder"),
    ("mask_embed.conv1", "mask_downscaling.0"), ("mask_embed.layer_norm1", "mask_downscaling.1"),
    ("mask_embed.conv2", "mask_downscaling.3"), ("mask_embed.layer_norm2", "mask_downscaling.4"),
    ("mask_embed.conv3", "mask_downscaling.6"), ("prompt_encoder.point_embed.", "prompt_encoder.point_embeddings."),
    ("upscale_conv1", "output_upscaling.0"), ("upscale_layer_norm", "output_upscaling.1"),
    ("upscale_conv2", "output_upscaling.3"),
    ("iou_prediction_head.layers.0", "iou_prediction_head.layers.1"), ("proj_in", "layers.0"), ("proj_out", "layers.2"),
    ("layer_norm", "norm"),
)


def renamed(name: str) -> str:
    if "output_hypernetworks_mlps" in name:
        name = name.replace("layers.0", "layers.1")
    for old, new in RENAMES:
        name = name.replace(old, new)
    return name


class Package:
    """segment-anything's generator; `runtime`, if any, runs the exported encoder and decoder in the place of its own."""

    def __init__(self, arguments: argparse.Namespace, threshold: float, runtime=None, precision: str = "f32"):
        import torch
        from safetensors.torch import load_file
        from segment_anything import SamAutomaticMaskGenerator, sam_model_registry

        torch.set_num_threads(arguments.threads)
        directory = arguments.cache / "vit-b"
        sam = sam_model_registry["vit_b"]().eval()
        weights = load_file(directory / "model.safetensors")
        sam.load_state_dict({renamed(name): tensor for name, tensor in weights.items()})
        sam.pixel_mean = torch.tensor(255 * sam_models.MEAN).view(-1, 1, 1)
        sam.pixel_std = torch.tensor(255 * sam_models.STD).view(-1, 1, 1)
        if runtime:
            replace_parts(sam, *(runtime(sam_models.onnx_file(directory, part), arguments.threads, precision)
                                 for part in ("encoder", "decoder")))
        self._generator = SamAutomaticMaskGenerator(
            sam, points_per_side=POINTS_PER_SIDE, points_per_batch=POINTS_PER_BATCH, pred_iou_thresh=threshold,
            stability_score_thresh=0.0, box_nms_thresh=1.0, output_mode="uncompressed_rle")

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """Of all masks `[n, 3]`: x and y of the point, and the area."""
        masks = self._generator.generate(rgb)
        return np.array([(*mask["point_coords"][0], mask["area"]) for mask in masks], float).reshape(-1, 3)


def replace_parts(sam, encoder, decoder) -> None:
    """The exported decoder embeds points itself: the prompt encoder passes them on."""
    import torch

    class Encoder(torch.nn.Module):
        img_size = sam.image_encoder.img_size

        def forward(self, pixels):
            return torch.from_numpy(encoder(pixels.numpy())[0])

    class Prompts(torch.nn.Module):
        def forward(self, points, boxes, masks):
            return points[0], None

        def get_dense_pe(self):
            return None

    class Decoder(torch.nn.Module):
        def forward(self, image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings,
                    multimask_output):
            points = sparse_prompt_embeddings.numpy().astype(np.float32)
            masks, iou = decoder(image_embeddings.numpy(), points[None])
            return torch.from_numpy(np.array(masks[0])), torch.from_numpy(np.array(iou[0]))

    sam.image_encoder, sam.prompt_encoder, sam.mask_decoder = Encoder(), Prompts(), Decoder()


class Vitrum:
    """The C library."""

    def __init__(self, arguments: argparse.Namespace, threshold: float, precision: str):
        self._sam = vitrum_c.Sam(arguments.library, arguments.cache / "vit-b", arguments.threads, precision)
        self._threshold = threshold

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        height, width, _ = rgb.shape
        records = self._sam.everything(rgb.ctypes.data, width, height, points_per_side=POINTS_PER_SIDE,
                                       points_per_batch=POINTS_PER_BATCH, pred_iou_thresh=self._threshold,
                                       stability_score_thresh=0.0, box_nms_thresh=1.0)
        return np.array(records, float).reshape(-1, 3)


ENGINES = {
    "PyTorch": lambda a, t: Package(a, t),
    "ONNX Runtime": lambda a, t: Package(a, t, OnnxRuntimeSession),
    "OpenVINO": lambda a, t: Package(a, t, OpenVinoRequest),
    "OpenVINO default": lambda a, t: Package(a, t, OpenVinoRequest, "default"),
    "Vitrum f32": lambda a, t: Vitrum(a, t, "f32"),
    "Vitrum bf16": lambda a, t: Vitrum(a, t, "bf16"),
    "Vitrum int8": lambda a, t: Vitrum(a, t, "int8"),
}


def threshold_of(arguments: argparse.Namespace) -> float:
    """The predicted IoU that a tenth of the masks of a grid's points exceed."""
    decoder = OnnxRuntimeSession(sam_models.onnx_file(arguments.cache / "vit-b", "decoder"), arguments.threads, "f32")
    embedding = np.load(sam_models.embedding(arguments.cache / "vit-b", "vit-b", None))
    side = (np.arange(POINTS_PER_SIDE, dtype=np.float32) + 0.5) * (sam_models.SIDE / POINTS_PER_SIDE)
    points = np.stack(np.meshgrid(side, side), -1).reshape(-1, POINTS_PER_BATCH, 1, 2)
    return float(np.quantile(np.concatenate([decoder(embedding, batch[None])[1].ravel() for batch in points[::4]]), 1 - PASS))


def shared(reference: np.ndarray, found: np.ndarray) -> float:
    """The part of the masks of `reference` whose point gave a mask of the same area, but for a fiftieth, in `found`, too."""
    same = (reference[:, None, :2] == found[None, :, :2]).all(2)
    close = np.abs(reference[:, None, 2] - found[None, :, 2]) <= 0.02 * reference[:, None, 2]
    return float((same & close).any(1).mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="directory of sam_peers.py")
    parser.add_argument("--library", type=Path, default=vitrum_c.default_library())
    parser.add_argument("--engines", type=harness.listed(str), default=list(ENGINES), help=", ".join(ENGINES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    harness.choose(parser, arguments, "engines", ENGINES)
    directory = sam_models.model_directory(arguments.cache, "vit-b", None)
    for part in ("encoder", "decoder"):
        sam_models.export(directory, "vit-b", part, None)
    threshold, rgb = threshold_of(arguments), sam_models.picture()
    engines = {name: ENGINES[name](arguments, threshold) for name in arguments.engines}
    times: dict[str, list[float]] = {name: [] for name in engines}
    masks = {}
    for turn in range(arguments.rounds + 1):
        for name, engine in engines.items():
            if name == "PyTorch" and turn > 0:
                continue
            time.sleep(harness.REST)
            begin = time.perf_counter()
            masks[name] = engine(rgb)
            if turn > 0 or name == "PyTorch":
                times[name].append(time.perf_counter() - begin)
            print(f"{name}: {time.perf_counter() - begin:.1f} s", file=sys.stderr, flush=True)
    reference = masks[arguments.engines[0]]
    lines = [["engine", "seconds, median (least)", "masks", f"of those of {arguments.engines[0]}"], ["---"] + 3 * ["---:"]]
    status = 0
    for name, taken in times.items():
        found = shared(reference, masks[name])
        status |= not found > 0.9
        lines.append([name, f"{statistics.median(taken):.1f} ({min(taken):.1f})", str(len(masks[name])), f"{found:.3f}"])
    print(harness.markdown(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
