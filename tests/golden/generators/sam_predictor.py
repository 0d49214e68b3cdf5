"""A whole small SAM of segment-anything with random weights, and what its `SamPredictor` says of pictures."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from . import common

SIDE, PATCH, DIM = 96, 8, 32
GRID = SIDE // PATCH
# Width, height: smaller than the input, larger, upright, square.
PICTURES = {"small": (90, 64), "large": (211, 150), "upright": (61, 160), "square": (96, 96)}


def build() -> Sam:
    """Windows of 5 on a grid of 12 (so that padding is needed), the second block global."""
    sam = Sam(
        image_encoder=ImageEncoderViT(
            img_size=SIDE,
            patch_size=PATCH,
            embed_dim=48,
            depth=3,
            num_heads=3,
            mlp_ratio=2,
            out_chans=DIM,
            qkv_bias=True,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            rel_pos_zero_init=False,
            window_size=5,
            global_attn_indexes=(1,),
        ),
        prompt_encoder=PromptEncoder(DIM, (GRID, GRID), (SIDE, SIDE), mask_in_chans=8),
        mask_decoder=MaskDecoder(
            transformer_dim=DIM,
            transformer=TwoWayTransformer(depth=2, embedding_dim=DIM, num_heads=8, mlp_dim=64),
            num_multimask_outputs=3,
            iou_head_depth=3,
            iou_head_hidden_dim=40,
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    )
    generator = common.seeded("sam_predictor")
    for name, tensor in list(sam.named_parameters()) + list(sam.named_buffers()):
        noise = torch.randn(tensor.shape, generator=generator)
        if name.startswith("pixel_"):
            continue
        if tensor.dim() == 1 and name.endswith("weight"):
            tensor.data = 1 + 0.2 * noise
        elif name.endswith("bias"):
            tensor.data = 0.2 * noise
        elif "gaussian" in name:
            tensor.data = noise
        elif "embed" in name or "token" in name or "rel_pos" in name:
            tensor.data = 0.5 * noise
        else:
            tensor.data = 1.4 * noise / tensor[0].numel() ** 0.5
    return sam.eval()


def prompts(width: int, height: int) -> dict[str, dict]:
    """Prompts of each kind, in pixels of the picture."""
    at = lambda x, y: [x * width, y * height]  # noqa: E731
    box = [*at(0.2, 0.3), *at(0.7, 0.8)]
    return {
        "point": dict(points=[at(0.4, 0.5)], labels=[1]),
        "points": dict(points=[at(0.4, 0.5), at(0.8, 0.1), at(0.3, 0.3)], labels=[1, 0, 1]),
        "padding": dict(points=[at(0.4, 0.5), [0.0, 0.0]], labels=[1, -1]),
        "outside": dict(points=[at(-0.5, 2.0)], labels=[1]),
        "box": dict(box=box),
        "flat_box": dict(box=[*at(0.5, 0.5), *at(0.5, 0.5)]),
        "box_and_point": dict(box=box, points=[at(0.5, 0.6)], labels=[0]),
        "single": dict(points=[at(0.4, 0.5), at(0.5, 0.6)], labels=[1, 1], multimask=False),
        "nothing": dict(),
        "mask": dict(mask="point"),
        "mask_and_point": dict(mask="point", points=[at(0.6, 0.6)], labels=[0], multimask=False),
    }


def generate(output: Path) -> None:
    sam, directory = build(), output / "sam_predictor"
    common.write_tensors(directory / "model.safetensors", sam.state_dict())
    predictor = SamPredictor(sam)
    cases, tensors = {}, {}
    for name, (width, height) in PICTURES.items():
        image = common.picture(f"sam_predictor.{name}", height, width, 3)
        predictor.set_image(image)
        tensors[f"{name}.image"] = image
        tensors[f"{name}.embedding"] = predictor.features[0].permute(1, 2, 0)
        masks = {}
        for kind, prompt in prompts(width, height).items():
            if name != "small" and kind not in ("point", "box_and_point", "mask"):
                continue
            array = lambda key: np.array(prompt[key]) if key in prompt else None  # noqa: B023, E731
            logits, iou, low_res = predictor.predict(
                point_coords=array("points"),
                point_labels=array("labels"),
                box=array("box"),
                mask_input=masks[prompt["mask"]] if "mask" in prompt else None,
                multimask_output=prompt.get("multimask", True),
                return_logits=True,
            )
            masks[kind] = low_res[1:2] if len(low_res) > 1 else low_res
            case = f"{name}.{kind}"
            cases[case] = prompt
            tensors[f"{case}.iou"] = iou
            tensors[f"{case}.low_res"] = low_res
            if kind == "point":
                tensors[f"{case}.logits"] = logits[:1]
    common.write_tensors(directory / "golden.safetensors", tensors)
    common.write_json(directory / "golden.json", cases)
