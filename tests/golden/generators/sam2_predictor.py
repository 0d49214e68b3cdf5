"""Whole small SAM 2s with random weights: what `SAM2ImagePredictor`, `SAM2AutomaticMaskGenerator` and transformers say
of pictures.

The connected components of the package run on a GPU only: scikit-image's, over edges and corners too, take their place.
"""

import sys
from pathlib import Path

import numpy as np
import sam2.utils.misc
import torch
from PIL import Image
from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam.prompt_encoder import PromptEncoder
from sam2.modeling.sam.transformer import TwoWayTransformer
from sam2.modeling.sam2_base import SAM2Base
from sam2.sam2_image_predictor import SAM2ImagePredictor
from sam2.utils.amg import calculate_stability_score
from skimage.measure import label
from transformers import Sam2Config, Sam2HieraDetConfig, Sam2ImageProcessor, Sam2Model, Sam2VisionConfig

from . import common
from .sam_encoder import round_to

SIDE, DIM = 128, 32
GRID = SIDE // 16
HIERA = dict(embed_dim=12, num_heads=1, stages=(1, 1, 2, 1), window_spec=(8, 4, 6, 4), global_att_blocks=(3,),
             window_pos_embed_bkg_spatial_size=(7, 7))
DIMS = [HIERA["embed_dim"] << i for i in range(4)]
# Width, height: smaller than the input, larger, upright.
PICTURES = {"small": (90, 64), "large": (211, 150), "upright": (61, 160)}
STABILITY = dict(dynamic_multimask_via_stability=True, dynamic_multimask_stability_delta=0.05,
                 dynamic_multimask_stability_thresh=0.98)
# Of the input, enough rows to compare.
ROWS = slice(48, 80)
# Options of the generator that differ from the defaults; thresholds are such that some masks pass.
FILTERS = dict(pred_iou_thresh=0.3, stability_score_thresh=0.9, stability_score_offset=0.05, box_nms_thresh=1.0)
# A random model expects little of single masks.
ANY = dict(pred_iou_thresh=0.0, stability_score_thresh=0.6)
AUTOMATIC = {
    "grid": dict(points_per_side=4, points_per_batch=7, **FILTERS),
    "m2m": dict(points_per_side=3, points_per_batch=5, use_m2m=True, **(FILTERS | ANY)),
    "single": dict(points_per_side=4, multimask_output=False, **(FILTERS | ANY)),
    "crops": dict(points_per_side=3, crop_n_layers=1, crop_nms_thresh=1.0, **(FILTERS | ANY)),
    "regions": dict(points_per_side=4, min_mask_region_area=4, **FILTERS),
}
# How near to a threshold a value may not come: there, rounding would decide.
MARGIN = 2e-5


def connected_components(masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels and areas of the components of [n, 1, h, w]."""
    labels = np.stack([label(mask, connectivity=2) for mask in masks[:, 0].numpy()])
    areas = np.stack([np.bincount(one.ravel())[one] for one in labels])
    return torch.from_numpy(labels)[:, None], torch.from_numpy(areas)[:, None]


sam2.utils.misc.get_connected_components = connected_components


def fill(model: torch.nn.Module, name: str) -> None:
    generator = common.seeded(name)
    with torch.no_grad():
        for key, p in sorted(model.state_dict().items()):
            noise = torch.randn(p.shape, generator=generator)
            if p.dim() == 1 and key.endswith("weight"):
                p.copy_(1 + 0.2 * noise)
            elif p.dim() == 1:
                p.copy_(0.2 * noise)
            elif "gaussian" in key or "positional_embedding" in key:
                p.copy_(noise)
            elif any(part in key for part in ("embed.weight", "embeddings", "token", "pos_embed", "no_mem")):
                p.copy_(0.5 * noise)
            else:
                p.copy_(1.2 * noise / p[0].numel() ** 0.5)


def build_original() -> SAM2Base:
    """Meta's model, its heads smaller than `SAM2Base` makes them."""
    encoder = ImageEncoder(Hiera(**HIERA), FpnNeck(PositionEmbeddingSine(DIM), DIM, DIMS[::-1],
                                                   fpn_interp_model="nearest", fpn_top_down_levels=[2, 3]), scalp=1)
    model = SAM2Base(encoder, None, None, image_size=SIDE, directly_add_no_mem_embed=True,
                     use_high_res_features_in_sam=True)
    model.sam_prompt_encoder = PromptEncoder(DIM, (GRID, GRID), (SIDE, SIDE), 8)
    model.sam_mask_decoder = MaskDecoder(
        transformer_dim=DIM, transformer=TwoWayTransformer(2, DIM, 8, 64), iou_head_hidden_dim=40,
        use_high_res_features=True, iou_prediction_use_sigmoid=True, pred_obj_scores=True, pred_obj_scores_mlp=True,
        use_multimask_token_for_obj_ptr=True, **STABILITY)
    fill(model, "sam2_predictor.original")
    round_to(model, torch.float16)
    return model.eval()


def trunk_config() -> Sam2HieraDetConfig:
    return Sam2HieraDetConfig(
        hidden_size=DIMS[0], num_attention_heads=1, image_size=[SIDE, SIDE],
        window_positional_embedding_background_size=[7, 7], blocks_per_stage=list(HIERA["stages"]),
        embed_dim_per_stage=DIMS, num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=list(HIERA["window_spec"]), global_attention_blocks=list(HIERA["global_att_blocks"]))


def config() -> Sam2Config:
    vision = Sam2VisionConfig(
        backbone_config=trunk_config(), backbone_channel_list=DIMS[::-1], fpn_hidden_size=DIM,
        backbone_feature_sizes=[[4 * GRID] * 2, [2 * GRID] * 2, [GRID] * 2])
    return Sam2Config(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": DIM, "image_size": SIDE, "mask_input_channels": 8},
        mask_decoder_config={"hidden_size": DIM, "mlp_dim": 64, "iou_head_hidden_dim": 40})


def build_hugging_face() -> Sam2Model:
    model = Sam2Model(config()).eval().float()
    fill(model, "sam2_predictor.huggingface")
    round_to(model, torch.float16)
    # One parameter in every published checkpoint, saved twice.
    model.prompt_encoder.shared_embedding.positional_embedding.data = \
        model.shared_image_embedding.positional_embedding.data
    return model


def hub_config() -> dict:
    """`config.json` with the keys that describe the model and none that steer Python."""
    keys = {
        "vision_config": ("backbone_channel_list", "fpn_hidden_size", "fpn_top_down_levels", "num_feature_levels"),
        "prompt_encoder_config": ("hidden_size", "image_size", "patch_size", "mask_input_channels",
                                  "num_point_embeddings"),
        "mask_decoder_config": ("hidden_size", "mlp_dim", "num_hidden_layers", "num_attention_heads",
                                "num_multimask_outputs", "iou_head_depth", "iou_head_hidden_dim"),
    }
    trunk = ("hidden_size", "num_attention_heads", "image_size", "window_positional_embedding_background_size",
             "blocks_per_stage", "embed_dim_per_stage", "num_attention_heads_per_stage", "window_size_per_stage",
             "global_attention_blocks", "mlp_ratio")
    whole = config().to_dict()
    out = {part: {key: whole[part][key] for key in names} for part, names in keys.items()}
    backbone = whole["vision_config"]["backbone_config"]
    out["vision_config"]["backbone_config"] = {key: backbone[key] for key in trunk}
    return {"architectures": ["Sam2Model"], "model_type": "sam2"} | out


def prompts(width: int, height: int) -> dict[str, dict]:
    """Prompts of each kind, in pixels of the picture."""
    at = lambda x, y: [x * width, y * height]  # noqa: E731
    box = [*at(0.2, 0.3), *at(0.7, 0.8)]
    return {
        "point": dict(points=[at(0.4, 0.5)], labels=[1]),
        "points": dict(points=[at(0.4, 0.5), at(0.8, 0.1), at(0.3, 0.3)], labels=[1, 0, 1]),
        "box": dict(box=box),
        "box_and_point": dict(box=box, points=[at(0.5, 0.6)], labels=[0]),
        "single": dict(points=[at(0.4, 0.5), at(0.5, 0.6)], labels=[1, 1], multimask=False),
        "single_box": dict(box=box, multimask=False),
        "mask_and_point": dict(mask="point", points=[at(0.6, 0.6)], labels=[0], multimask=False),
        "holes": dict(points=[at(0.4, 0.5)], labels=[1], max_hole_area=3, max_sprinkle_area=2),
        "nothing": dict(),
    }


def predictor_of(model: SAM2Base, predictor: SAM2ImagePredictor) -> SAM2ImagePredictor:
    """The sizes of the maps are those of the published models in the package."""
    predictor._bb_feat_sizes = [(4 * GRID,) * 2, (2 * GRID,) * 2, (GRID,) * 2]
    return predictor


def array(prompt: dict, key: str):
    return np.array(prompt[key]) if key in prompt else None


def write_original(directory: Path) -> None:
    model = build_original()
    kept = ("image_encoder.", "sam_prompt_encoder.", "sam_mask_decoder.", "no_mem_embed")
    state = {key: p.half() for key, p in model.state_dict().items() if key.startswith(kept)}
    common.write_tensors(directory / "model.safetensors", state)
    common.write_json(directory / "config.json", hub_config())
    cases, tensors = {}, {}
    for name, (width, height) in PICTURES.items():
        image = common.picture(f"sam2_predictor.{name}", height, width, 3)
        tensors[f"{name}.image"] = image
        masks = {}
        for kind, prompt in prompts(width, height).items():
            if name != "small" and kind not in ("point", "single"):
                continue
            areas = {key: prompt.get(key, 0) for key in ("max_hole_area", "max_sprinkle_area")}
            predictor = predictor_of(model, SAM2ImagePredictor(model, **areas))
            predictor.set_image(image)
            if kind == "point":
                tensors[f"{name}.pixels"] = predictor._transforms(image)[:, ROWS]
                if name == "small":
                    tensors[f"{name}.embedding"] = predictor._features["image_embed"][0].permute(1, 2, 0)
            logits, iou, low_res = predictor.predict(
                point_coords=array(prompt, "points"), point_labels=array(prompt, "labels"), box=array(prompt, "box"),
                mask_input=masks[prompt["mask"]] if "mask" in prompt else None,
                multimask_output=prompt.get("multimask", True), return_logits=True)
            masks[kind] = low_res[1:2] if len(low_res) > 1 else low_res
            case = f"{name}.{kind}"
            cases[case] = prompt
            tensors[f"{case}.iou"], tensors[f"{case}.low_res"] = iou, low_res
            if kind in ("point", "holes") and name != "large":
                tensors[f"{case}.logits"] = logits[:1]
    # Only one picture's input.
    tensors = {key: t for key, t in tensors.items() if not key.endswith(".pixels") or key.startswith("small")}
    common.write_tensors(directory / "golden.safetensors", tensors)
    common.write_json(directory / "golden.json", cases)
    write_automatic(model, directory)


def write_automatic(model: SAM2Base, directory: Path) -> None:
    image = common.picture("sam2_predictor.automatic", 90, 120, 3)
    Image.fromarray(image).save(directory / "automatic.png")
    out = {}
    for name, options in AUTOMATIC.items():
        found = records(model, image, options)
        for sign in (-1, 1):
            shifted = options | {key: options[key] + sign * MARGIN
                                 for key in ("pred_iou_thresh", "stability_score_thresh") if options[key] > 0}
            again = records(model, image, shifted)
            assert [r["counts"] for r in again] == [r["counts"] for r in found], f"{name}: rounding decides"
        print(f"  {name}: {len(found)} masks", file=sys.stderr)
        assert len(found) > 1
        out[name] = {"options": options, "records": found}
    common.write_json(directory / "automatic.json", {"size": list(image.shape[:2]), "cases": out}, indent=None)


def records(model: SAM2Base, image: np.ndarray, options: dict) -> list[dict]:
    generator = SAM2AutomaticMaskGenerator(model, output_mode="coco_rle", **options)
    predictor_of(model, generator.predictor)
    out = generator.generate(image)
    for record in out:
        record["counts"] = record.pop("segmentation")["counts"]
    return out


def pixels_of(image: np.ndarray) -> torch.Tensor:
    """The processor's input, resized by Pillow, from whose bytes torchvision's differ by a level at most."""
    processor = Sam2ImageProcessor(size={"height": SIDE, "width": SIDE})
    resized = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    mean, std = (torch.tensor(values)[:, None, None] for values in (processor.image_mean, processor.image_std))
    level = (lambda pixels: (pixels * std + mean) * 255)
    values = torch.from_numpy(resized.copy()).permute(2, 0, 1).double() * processor.rescale_factor
    pixels = (values.float() - mean) / std
    theirs = processor(image, return_tensors="pt").pixel_values[0]
    assert (level(pixels) - level(theirs)).abs().max() < 1.01
    return pixels


def write_hugging_face(directory: Path) -> None:
    model = build_hugging_face()
    state = {key: p.half() for key, p in model.state_dict().items()}
    del state["prompt_encoder.shared_embedding.positional_embedding"]
    common.write_tensors(directory / "model.safetensors", state)
    common.write_json(directory / "config.json", hub_config())
    common.write_json(directory / "preprocessor_config.json", {
        "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406], "image_processor_type": "Sam2ImageProcessorFast",
        "image_std": [0.229, 0.224, 0.225], "mask_size": {"height": 4 * GRID, "width": 4 * GRID}, "resample": 2,
        "rescale_factor": 1 / 255, "size": {"height": SIDE, "width": SIDE}})
    cases, tensors = {}, {}
    for name, (width, height) in PICTURES.items():
        image = common.picture(f"sam2_predictor.{name}", height, width, 3)
        pixels = pixels_of(image)
        tensors[f"{name}.image"] = image
        if name == "large":
            tensors[f"{name}.pixels"] = pixels[:, ROWS]
        scale = torch.tensor([SIDE / width, SIDE / height])
        masks = {}
        for kind, prompt in prompts(width, height).items():
            if kind in ("holes", "nothing") or name != "small" and kind not in ("point", "single"):
                continue
            points = labels = box = mask = None
            if "points" in prompt:
                points = (torch.tensor(prompt["points"]) * scale)[None, None]
                labels = torch.tensor(prompt["labels"])[None, None]
            if "box" in prompt:
                box = (torch.tensor(prompt["box"]).reshape(2, 2) * scale).reshape(1, 1, 4)
            if "mask" in prompt:
                mask = masks[prompt["mask"]][None]
            out = model(pixel_values=pixels[None], input_points=points, input_labels=labels, input_boxes=box,
                        input_masks=mask, multimask_output=prompt.get("multimask", True))
            low_res = out.pred_masks[0, 0]
            masks[kind] = low_res[1:2].clamp(-32, 32) if len(low_res) > 1 else low_res
            case = f"{name}.{kind}"
            cases[case] = prompt
            tensors[f"{case}.iou"], tensors[f"{case}.low_res"] = out.iou_scores[0, 0], low_res.clamp(-32, 32)
    common.write_tensors(directory / "golden.safetensors", tensors)
    common.write_json(directory / "golden.json", cases)


def generate(output: Path) -> None:
    with torch.inference_mode():
        write_original(output / "sam2_predictor" / "original")
        write_hugging_face(output / "sam2_predictor" / "huggingface")
