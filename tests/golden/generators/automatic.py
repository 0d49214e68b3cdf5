"""Everything in a picture: the records of segment-anything's `SamAutomaticMaskGenerator`.

On the small model with random weights of `sam_predictor`, which any clone has, and on the trained demo model, whose
Hugging Face names are translated to those of segment-anything.
"""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.utils import amg

from . import sam_predictor
from .common import picture, write_json

DEMO = Path(__file__).parents[3] / "demo"
# Options that differ from the defaults.
RANDOM = {
    "grid": dict(points_per_side=5, points_per_batch=7, pred_iou_thresh=0.0, stability_score_thresh=0.8,
                 stability_score_offset=0.05, box_nms_thresh=1.0),
    "regions": dict(points_per_side=4, pred_iou_thresh=0.0, stability_score_thresh=0.8,
                    stability_score_offset=0.05, box_nms_thresh=0.98, min_mask_region_area=30),
}
# For the trained model, thresholds are fitted to what it predicts: its quality is not this test's business.
TRAINED = {
    "grid": dict(points_per_side=12, points_per_batch=100),
    "crops": dict(points_per_side=8, crop_n_layers=1, crop_n_points_downscale_factor=2),
    "regions": dict(points_per_side=10, min_mask_region_area=100),
    "everything": dict(points_per_side=6, crop_n_layers=2, crop_nms_thresh=0.6, min_mask_region_area=60),
}
# Shares of the masks of the grid that pass the two filters one after the other.
TRUSTED, STABLE = 0.4, 0.5
# How near to a threshold a value may not come: there, rounding would decide.
MARGIN = 2e-5


class RoundingDecidesError(Exception):
    pass


class Guarded(SamAutomaticMaskGenerator):
    """Refuses inputs of which rounding decides what passes."""

    def _process_batch(self, points, im_size, crop_box, orig_size):
        iou, stability = measured(self.predictor, points, im_size, self.stability_score_offset)
        for value, threshold in ((iou, self.pred_iou_thresh), (stability, self.stability_score_thresh)):
            if threshold > 0 and (value - threshold).abs().nan_to_num(1.0).min() <= MARGIN:
                raise RoundingDecidesError
        return super()._process_batch(points, im_size, crop_box, orig_size)


def measured(predictor: SamPredictor, points: np.ndarray, size: tuple, offset: float) -> tuple:
    """Predicted IoU and stability score of the masks of clicks."""
    scaled = torch.as_tensor(predictor.transform.apply_coords(points, size))
    masks, iou, _ = predictor.predict_torch(scaled[:, None], torch.ones(len(points), 1), return_logits=True)
    threshold = predictor.model.mask_threshold
    return iou.flatten(), amg.calculate_stability_score(masks.flatten(0, 1), threshold, offset)


def fitted(sam: Sam, image: np.ndarray, nudge: float) -> dict:
    """Options with which some masks pass."""
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    size = image.shape[:2]
    points = amg.build_point_grid(8) * np.array(size)[None, ::-1]
    for offset in (1.0, 0.5, 0.25):
        iou, stability = measured(predictor, points, size, offset)
        trusted = iou.quantile(1 - TRUSTED)
        stable = stability[iou > trusted].nan_to_num().quantile(1 - STABLE)
        if stable > 0.7:
            break
    return dict(pred_iou_thresh=round(trusted.item() + nudge, 3), stability_score_offset=offset,
                stability_score_thresh=round(stable.item() + nudge, 3))


def records(sam: Sam, image: np.ndarray, options: dict) -> list[dict]:
    generator = Guarded(sam, output_mode="coco_rle", **options)
    out = generator.generate(image)
    for record in out:
        record["counts"] = record.pop("segmentation")["counts"]
    return out


def renamed(name: str) -> str:
    """A name of transformers as segment-anything has it."""
    for pattern, original in (
        (r"^vision_encoder\.", "image_encoder."),
        (r"^shared_image_embedding\.positional_embedding",
         "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
        (r"patch_embed\.projection", "patch_embed.proj"),
        (r"^image_encoder\.layers", "image_encoder.blocks"),
        (r"neck\.conv1", "neck.0"), (r"neck\.layer_norm1", "neck.1"),
        (r"neck\.conv2", "neck.2"), (r"neck\.layer_norm2", "neck.3"),
        (r"mask_embed\.conv1", "mask_downscaling.0"), (r"mask_embed\.layer_norm1", "mask_downscaling.1"),
        (r"mask_embed\.conv2", "mask_downscaling.3"), (r"mask_embed\.layer_norm2", "mask_downscaling.4"),
        (r"mask_embed\.conv3", "mask_downscaling.6"),
        (r"\bpoint_embed\.", "point_embeddings."),
        (r"upscale_conv1", "output_upscaling.0"), (r"upscale_layer_norm", "output_upscaling.1"),
        (r"upscale_conv2", "output_upscaling.3"),
        (r"layer_norm_final_attn", "norm_final_attn"), (r"layer_norm", "norm"),
        (r"(iou_prediction_head|mlps\.\d)\.layers\.0", r"\1.layers.1"),
        (r"(iou_prediction_head|mlps\.\d)\.proj_in", r"\1.layers.0"),
        (r"(iou_prediction_head|mlps\.\d)\.proj_out", r"\1.layers.2"),
    ):
        name = re.sub(pattern, original, name)
    return name


def trained(directory: Path) -> Sam:
    """The demo model in segment-anything."""
    config = json.loads((directory / "config.json").read_text())
    vision, prompts, decoder = (config[f"{part}_config"] for part in ("vision", "prompt_encoder", "mask_decoder"))
    size, patch, dim = vision["image_size"], vision["patch_size"], decoder["hidden_size"]
    sam = Sam(
        ImageEncoderViT(
            img_size=size, patch_size=patch, embed_dim=vision["hidden_size"],
            depth=vision["num_hidden_layers"], num_heads=vision["num_attention_heads"],
            mlp_ratio=vision["mlp_dim"] / vision["hidden_size"], out_chans=dim, qkv_bias=vision["qkv_bias"],
            norm_layer=partial(torch.nn.LayerNorm, eps=vision["layer_norm_eps"]), use_rel_pos=True,
            window_size=vision["window_size"], global_attn_indexes=vision["global_attn_indexes"]),
        PromptEncoder(dim, (size // patch,) * 2, (size, size), prompts["mask_input_channels"]),
        MaskDecoder(
            transformer_dim=dim,
            transformer=TwoWayTransformer(decoder["num_hidden_layers"], dim, decoder["num_attention_heads"],
                                          decoder["mlp_dim"]),
            num_multimask_outputs=decoder["num_multimask_outputs"],
            iou_head_depth=decoder["iou_head_depth"], iou_head_hidden_dim=decoder["iou_head_hidden_dim"]),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375])
    # transformers gives the decoder's norms the small epsilon of the encoder's.
    for module in sam.mask_decoder.transformer.layers.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = decoder["layer_norm_eps"]
    weights = load_file(directory / "model.safetensors")
    sam.load_state_dict({renamed(name): tensor.float() for name, tensor in weights.items()})
    return sam.eval()


def case(sam: Sam, image: np.ndarray, options: dict, fit: bool) -> dict:
    for attempt in range(50):
        chosen = options | (fitted(sam, image, attempt / 1000) if fit else {})
        try:
            return {"options": chosen, "records": records(sam, image, chosen)}
        except RoundingDecidesError:
            continue
    raise RoundingDecidesError


def write(path: Path, sam: Sam, image: np.ndarray, cases: dict[str, dict], fit: bool) -> None:
    out = {}
    for name, options in cases.items():
        out[name] = case(sam, image, options, fit)
        print(f"  {path.stem} {name}: {len(out[name]['records'])} masks, {out[name]['options']}")
        assert len(out[name]["records"]) > 1
    write_json(path, {"size": list(image.shape[:2]), "cases": out}, indent=None)


def generate(root: Path) -> None:
    """Write `automatic/`."""
    image = picture("automatic", 90, 120, 3)
    (root / "automatic").mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(root / "automatic" / "random.png")
    write(root / "automatic" / "random.json", sam_predictor.build(), image, RANDOM, fit=False)
    image = np.asarray(Image.open(DEMO / "images" / "garden-scene-3d.png").convert("RGB"))
    write(root / "automatic" / "trained.json", trained(DEMO / "sam-nano"), image, TRAINED, fit=True)
