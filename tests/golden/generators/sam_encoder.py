"""Tiny SAMs with random weights, and the stages of their image encoders."""

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from transformers import SamConfig, SamModel

from .clip import Recorder, write_weights
from .common import seeded, write_json, write_tensors

#: Channels of the embeddings.
DIM = 32


@dataclass
class Case:
    """One directory under `sam_encoder/`."""

    name: str
    naming: str
    image: int
    patch: int
    width: int
    heads: int
    window: int
    blocks: tuple[int, ...]  # MLP widths
    global_blocks: tuple[int, ...]
    dtype: torch.dtype
    resized: tuple[int, ...] = ()  # other input sizes
    head_dims: tuple[int, ...] = ()  # of a pruned model, whose blocks differ


CASES = [
    # Windows of 4 in a grid of 10: padding on two sides. Other grids: 14, and 3, less than a window.
    Case("vit-original", "original", 80, 8, 48, 3, 4, (192, 192, 192), (1,), torch.float32, (112, 24)),
    Case("vit-huggingface", "huggingface", 96, 16, 40, 2, 4, (160, 160, 160), (0, 2), torch.float16, (128,)),
    Case("slim-huggingface", "huggingface", 80, 16, 42, 3, 3, (58, 58), (1,), torch.bfloat16),
    Case("slim-original", "original", 56, 8, 44, 2, 3, (30, 70, 51), (2,), torch.float16,
         head_dims=(12, 9, 16)),
]
TINY_VIT = "tiny-vit"
TINY_VIT_SIZES = (96, 80)


def fill(model: torch.nn.Module, name: str) -> None:
    """Random parameters under which every stage keeps magnitudes of order one; see `clip.fill`."""
    generator = seeded(name)
    with torch.no_grad():
        for key, p in sorted(model.state_dict().items()):
            if not p.is_floating_point():
                continue
            noise = torch.randn(p.shape, generator=generator)
            if key.endswith("running_var"):
                p.copy_(0.5 + noise.abs())
            elif p.dim() == 1 and key.endswith("weight"):
                p.copy_(1.0 + 0.2 * noise)
            elif p.dim() == 1:
                p.copy_(0.2 * noise)
            elif any(part in key for part in ("rel_pos", "pos_embed", "attention_biases", "embed.weight", "token")):
                p.copy_(0.5 * noise)
            else:
                p.copy_(noise * p[0].numel() ** -0.5)


def round_to(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Round the weights as a file of `dtype` does."""
    with torch.no_grad():
        for p in model.state_dict().values():
            if p.is_floating_point():
                p.copy_(p.to(dtype))


def original(encoder: torch.nn.Module, image: int, stride: int) -> Sam:
    """Meta's whole SAM around an image encoder, as small as possible."""
    sides = (image // stride, image // stride)
    return Sam(
        image_encoder=encoder,
        prompt_encoder=PromptEncoder(DIM, sides, (image, image), 4),
        mask_decoder=MaskDecoder(transformer_dim=DIM, iou_head_hidden_dim=8,
                                 transformer=TwoWayTransformer(1, DIM, 8, 16)),
    )


def build_original(case: Case, image: int) -> Sam:
    encoder = ImageEncoderViT(
        img_size=image, patch_size=case.patch, embed_dim=case.width, depth=len(case.blocks),
        num_heads=case.heads, out_chans=DIM, norm_layer=lambda dim: torch.nn.LayerNorm(dim, eps=1e-6),
        use_rel_pos=True, window_size=case.window, global_attn_indexes=case.global_blocks)
    for i, (block, inner) in enumerate(zip(encoder.blocks, case.blocks)):
        block.mlp.lin1 = torch.nn.Linear(case.width, inner)
        block.mlp.lin2 = torch.nn.Linear(inner, case.width)
        if case.head_dims:
            attn, head_dim = block.attn, case.head_dims[i]
            attn.qkv = torch.nn.Linear(case.width, 3 * case.heads * head_dim)
            attn.proj = torch.nn.Linear(case.heads * head_dim, case.width)
            attn.scale = head_dim ** -0.5
            for name in ("rel_pos_h", "rel_pos_w"):
                setattr(attn, name, torch.nn.Parameter(torch.zeros(len(getattr(attn, name)), head_dim)))
    return original(encoder, image, case.patch)


def build_hugging_face(case: Case, image: int) -> SamModel:
    config = SamConfig(
        vision_config={"hidden_size": case.width, "output_channels": DIM, "num_hidden_layers": len(case.blocks),
                       "num_attention_heads": case.heads, "image_size": image, "patch_size": case.patch,
                       "mlp_dim": case.blocks[0], "window_size": case.window, "num_pos_feats": DIM // 2,
                       "global_attn_indexes": list(case.global_blocks)},
        prompt_encoder_config={"hidden_size": DIM, "image_size": image, "patch_size": case.patch,
                               "mask_input_channels": 4},
        mask_decoder_config={"hidden_size": DIM, "mlp_dim": 16, "num_hidden_layers": 1, "iou_head_hidden_dim": 8},
    )
    return SamModel(config)


def hub_config(model: SamModel) -> dict:
    """`config.json` with the keys that describe the model and none that steer Python."""
    keys = ("hidden_size", "output_channels", "num_hidden_layers", "num_attention_heads", "num_channels",
            "image_size", "patch_size", "hidden_act", "layer_norm_eps", "qkv_bias", "mlp_ratio", "use_abs_pos",
            "use_rel_pos", "window_size", "global_attn_indexes", "num_pos_feats", "mlp_dim",
            "mask_input_channels", "num_point_embeddings", "attention_downsample_rate",
            "num_multimask_outputs", "iou_head_depth", "iou_head_hidden_dim")
    whole = model.config.to_dict()
    parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    return {"architectures": ["SamModel"], "model_type": "sam"} | {
        part: {key: whole[part][key] for key in keys if key in whole[part]} for part in parts}


def stages_of(encoder: torch.nn.Module, blocks, name: str, image: int) -> dict:
    """Stages [H, W, C] for a random input."""
    stages = {"pixels": torch.randn(1, 3, image, image, generator=seeded(f"{name}.{image}"))}
    with Recorder(stages) as record:
        for i, block in enumerate(blocks):
            record(f"image_encoder.blocks.{i}", block)
        record("image_encoder.neck", encoder.neck)
        # The input of the first block: patches plus positions.
        handle = blocks[0].register_forward_pre_hook(
            lambda _, inputs: stages.__setitem__("image_encoder.patch_embed", inputs[0].clone()))
        encoder(stages["pixels"])
        handle.remove()
    stages["image_encoder.neck"] = stages["image_encoder.neck"].permute(0, 2, 3, 1)
    return {key: value[0] for key, value in stages.items()}


def write_case(case: Case, directory: Path) -> None:
    build = build_original if case.naming == "original" else build_hugging_face
    model = build(case, case.image).eval().float()
    fill(model, case.name)
    round_to(model, case.dtype)
    write_weights(directory / "model.safetensors", model.state_dict(), case.dtype)
    if case.naming == "huggingface":
        write_json(directory / "config.json", hub_config(model))
    for image in (case.image, *case.resized):
        other = resized(model, build(case, image).eval().float(), image // case.patch)
        encoder = other.image_encoder if case.naming == "original" else other.vision_encoder
        blocks = encoder.blocks if case.naming == "original" else encoder.layers
        stages = stages_of(encoder, blocks, case.name, image)
        write_tensors(directory / f"golden_{image}.safetensors", stages)


def resized(model, other, grid: int):
    """`model`'s weights in `other`, which is for another input size: absolute positions are interpolated here,
    relative ones by the reference itself, since the tables keep their lengths."""
    for name, p in model.named_parameters():
        module = other.get_submodule(name.rpartition(".")[0])
        if name.endswith("pos_embed"):
            planes = p.permute(0, 3, 1, 2)
            planes = torch.nn.functional.interpolate(planes, size=(grid, grid), mode="bicubic", align_corners=False)
            p = planes.permute(0, 2, 3, 1)
        setattr(module, name.rpartition(".")[2], torch.nn.Parameter(p.detach().clone()))
    return other


def tiny_vit(image: int) -> torch.nn.Module:
    """MobileSAM's own TinyViT, from a checkout of its repository, which is no package.

    Two things in it are fixed for the published sizes: the grid of the output, and which patch merging keeps the
    resolution (known by its width).
    """
    checkout = os.environ.get("MOBILE_SAM")
    if not checkout:
        raise SystemExit("MOBILE_SAM must name a checkout of github.com/ChaoningZhang/MobileSAM")
    sys.path.insert(0, checkout)
    TinyViT = importlib.import_module("mobile_sam.modeling.tiny_vit_sam").TinyViT

    class Small(TinyViT):
        def forward_features(self, x):
            x = self.patch_embed(x)
            for layer in self.layers:
                x = layer(x)
            side = image // 16
            return self.neck(x.view(x.shape[0], side, side, -1).permute(0, 3, 1, 2))

    encoder = Small(img_size=image, num_classes=1, embed_dims=[16, 24, 32, 40], depths=[2, 1, 2, 1],
                    num_heads=[2, 3, 2, 4], window_sizes=[3, 3, 4, 5], drop_path_rate=0.0)
    encoder.layers[2].downsample.conv2.c.stride = (1, 1)
    for i, width in ((0, 40), (2, DIM)):
        encoder.neck[i] = torch.nn.Conv2d(width, DIM, 3 if i else 1, padding=i // 2, bias=False)
        encoder.neck[i + 1] = type(encoder.neck[1])(DIM)
    return encoder


def write_tiny_vit(directory: Path) -> None:
    model = original(tiny_vit(TINY_VIT_SIZES[0]), TINY_VIT_SIZES[0], 16).eval().float()
    fill(model, TINY_VIT)
    round_to(model, torch.float16)
    state = model.state_dict()
    write_weights(directory / "model.safetensors", state, torch.float16)
    weights = {key[len("image_encoder."):]: p for key, p in state.items() if key.startswith("image_encoder.")}
    for image in TINY_VIT_SIZES:
        encoder = tiny_vit(image).eval().float()
        encoder.load_state_dict(weights)
        encoder.train(False)  # gathers the attention biases
        write_tensors(directory / f"golden_{image}.safetensors", tiny_vit_stages(encoder, image))


def tiny_vit_stages(encoder: torch.nn.Module, image: int) -> dict:
    stages = {"pixels": torch.randn(1, 3, image, image, generator=seeded(f"{TINY_VIT}.{image}"))}
    with Recorder(stages) as record:
        record("image_encoder.patch_embed", encoder.patch_embed)
        record("image_encoder.neck", encoder.neck)
        for i, layer in enumerate(encoder.layers):
            for j, block in enumerate(layer.blocks):
                record(f"image_encoder.layers.{i}.blocks.{j}", block)
            if layer.downsample is not None:
                record(f"image_encoder.layers.{i}.downsample", layer.downsample)
        encoder(stages["pixels"])
    planar = ("patch_embed", "neck", "layers.0.blocks")
    return {key: (value.permute(0, 2, 3, 1) if any(part in key for part in planar) else value)[0]
            for key, value in stages.items()}


def generate(root: Path) -> None:
    """Write `sam_encoder/`."""
    with torch.inference_mode():
        for case in CASES:
            write_case(case, root / "sam_encoder" / case.name)
        write_tiny_vit(root / "sam_encoder" / TINY_VIT)
