"""Tiny image encoders of SAM 2 with random weights, and their stages."""

from dataclasses import dataclass
from pathlib import Path

import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import OmegaConf
from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from transformers import Sam2Config, Sam2HieraDetConfig, Sam2VisionConfig, Sam2VisionModel

from .clip import Recorder, write_weights
from .common import seeded, write_json, write_tensors
from .sam_encoder import DIM, fill, round_to


@dataclass
class Case:
    """One directory under `sam2_encoder/`."""

    name: str
    naming: str
    sizes: tuple[int, ...]  # of the input; the first is the checkpoint's
    dims: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    windows: tuple[int, ...]
    global_blocks: tuple[int, ...]
    background: tuple[int, int]
    mlp_ratio: float
    top_down: tuple[int, ...]
    dtype: torch.dtype


CASES = [
    # Grids of 24, 12, 6 and 3: every stage but the first, and both reductions into the last ones, have padded windows.
    Case("original", "original", (96, 64), (12, 24, 48, 96), (1, 2, 3, 2), (1, 2, 4, 8), (4, 8, 4, 2), (4,), (7, 7),
         4.0, (2, 3), torch.float16),
    # Every level takes the coarser one. Head dims 6, 15, 8, 22; two global blocks, one of them in the last stage.
    Case("huggingface", "huggingface", (128,), (18, 30, 40, 66), (2, 1, 3, 2), (3, 2, 5, 3), (8, 4, 14, 7), (4, 7),
         (5, 6), 2.5, (0, 1, 2, 3), torch.bfloat16),
    # No level does.
    Case("lateral", "huggingface", (32,), (10, 12, 14, 16), (1, 1, 1, 1), (1, 1, 1, 2), (2, 2, 2, 1), (), (3, 3),
         2.0, (), torch.float32),
]


class Encoder(torch.nn.Module):
    """The encoder of either package behind one call, named as in its checkpoints."""

    def __init__(self, case: Case):
        super().__init__()
        decoder = torch.nn.Module()
        decoder.conv_s0 = torch.nn.Conv2d(DIM, DIM // 8, 1)
        decoder.conv_s1 = torch.nn.Conv2d(DIM, DIM // 4, 1)
        if case.naming == "huggingface":
            self.vision_encoder = Sam2VisionModel(vision_config(case))
            self.mask_decoder = self.decoder = decoder
            self.trunk, self.norms = self.vision_encoder.backbone, ("layer_norm1", "layer_norm2")
        else:
            trunk = Hiera(embed_dim=case.dims[0], num_heads=case.heads[0], stages=case.depths,
                          window_spec=case.windows, global_att_blocks=case.global_blocks,
                          window_pos_embed_bkg_spatial_size=case.background)
            neck = FpnNeck(PositionEmbeddingSine(DIM), DIM, list(case.dims[::-1]), fpn_interp_model="nearest",
                           fpn_top_down_levels=list(case.top_down))
            self.image_encoder = ImageEncoder(trunk, neck, scalp=1)
            self.sam_mask_decoder = self.decoder = decoder
            self.trunk = trunk
        self.eval().float()

    def state_dict(self, *args, **kwargs):
        whole = super().state_dict(*args, **kwargs)
        return {key: p for key, p in whole.items() if not key.startswith(("decoder.", "trunk."))}

    def forward(self, pixels):
        if hasattr(self, "image_encoder"):
            levels = self.image_encoder(pixels)["backbone_fpn"]
        else:
            levels = self.vision_encoder(pixels).fpn_hidden_states
        s0, s1, top = levels
        return self.decoder.conv_s0(s0), self.decoder.conv_s1(s1), top


def vision_config(case: Case) -> Sam2VisionConfig:
    trunk = Sam2HieraDetConfig(
        hidden_size=case.dims[0], num_attention_heads=case.heads[0], image_size=[case.sizes[0]] * 2,
        window_positional_embedding_background_size=list(case.background), blocks_per_stage=list(case.depths),
        embed_dim_per_stage=list(case.dims), num_attention_heads_per_stage=list(case.heads),
        window_size_per_stage=list(case.windows), global_attention_blocks=list(case.global_blocks),
        mlp_ratio=case.mlp_ratio)
    return Sam2VisionConfig(backbone_config=trunk, backbone_channel_list=list(case.dims[::-1]),
                            fpn_hidden_size=DIM, fpn_top_down_levels=list(case.top_down))


def hub_config(case: Case) -> dict:
    """`config.json` with the keys that describe the model and none that steer Python."""
    keys = ("hidden_size", "num_attention_heads", "num_channels", "image_size", "patch_kernel_size", "patch_stride",
            "patch_padding", "query_stride", "window_positional_embedding_background_size", "num_query_pool_stages",
            "blocks_per_stage", "embed_dim_per_stage", "num_attention_heads_per_stage", "window_size_per_stage",
            "global_attention_blocks", "mlp_ratio", "hidden_act", "layer_norm_eps", "backbone_channel_list",
            "fpn_hidden_size", "fpn_kernel_size", "fpn_stride", "fpn_padding", "fpn_top_down_levels",
            "num_feature_levels", "image_size", "patch_size", "mask_input_channels", "num_point_embeddings")
    pick = (lambda config: {key: config[key] for key in keys if key in config})
    whole = Sam2Config(
        vision_config=vision_config(case),
        prompt_encoder_config={"hidden_size": DIM, "image_size": case.sizes[0], "patch_size": 16},
        mask_decoder_config={"hidden_size": DIM},
    ).to_dict()
    vision = pick(whole["vision_config"]) | {"backbone_config": pick(whole["vision_config"]["backbone_config"])}
    return {"architectures": ["Sam2Model"], "model_type": "sam2", "vision_config": vision} | {
        part: pick(whole[part]) for part in ("prompt_encoder_config", "mask_decoder_config")}


def stages(model: Encoder, case: Case, image: int) -> dict:
    recorded = {"pixels": torch.randn(1, 3, image, image, generator=seeded(f"sam2-{case.name}.{image}"))}
    with Recorder(recorded) as record:
        for i, block in enumerate(model.trunk.blocks):
            record(f"image_encoder.trunk.blocks.{i}", block)
        outputs = model(recorded["pixels"])
    # The sum with the position embeddings is no module's output.
    patches = model.trunk.patch_embed(recorded["pixels"])
    recorded["image_encoder.trunk.patch_embed"] = patches + model.trunk._get_pos_embed(patches.shape[1:3])
    for name, level in zip(("s0", "s1", "top"), outputs):
        recorded[f"image_encoder.neck.{name}"] = level.permute(0, 2, 3, 1)
    return {name: value[0] for name, value in recorded.items()}


def write_case(case: Case, directory: Path) -> None:
    model = Encoder(case)
    fill(model, "sam2-" + case.name)
    round_to(model, case.dtype)
    write_weights(directory / "model.safetensors", model.state_dict(), case.dtype)
    write_json(directory / "config.json", hub_config(case))
    for image in case.sizes:
        write_tensors(directory / f"golden_{image}.safetensors", stages(model, case, image))


def published_shapes() -> dict:
    """Names and shapes of the tensors of the eight published checkpoints, by the name of their configuration."""
    linspace = torch.linspace
    # Drop rates are read while a trunk is built, which tensors without values do not allow.
    torch.linspace = lambda *args, **kwargs: linspace(*args, **({"device": "cpu"} | kwargs))
    try:
        return {f"sam{version}_hiera_{size}": shapes(f"configs/sam{version}/sam{version}_hiera_{size}.yaml")
                for version in ("2", "2.1") for size in ("t", "s", "b+", "l")}
    finally:
        torch.linspace = linspace


def shapes(config: str) -> dict:
    config = compose(config_name=config)
    OmegaConf.resolve(config)
    with torch.device("meta"):
        model = instantiate(config.model, _recursive_=True)
    return {name: list(p.shape) for name, p in model.state_dict().items()}


def generate(root: Path) -> None:
    """Write `sam2_encoder/`."""
    with torch.inference_mode():
        for case in CASES:
            write_case(case, root / "sam2_encoder" / case.name)
    whole = published_shapes()
    # The versions differ by three tensors.
    added = {name: shape for name, shape in whole["sam2.1_hiera_t"].items() if name not in whole["sam2_hiera_t"]}
    for size in ("t", "s", "b+", "l"):
        assert whole[f"sam2.1_hiera_{size}"] == whole[f"sam2_hiera_{size}"] | added
    write_json(root / "sam2_encoder" / "published.json",
               {"added": added} | {size: whole[f"sam2_hiera_{size}"] for size in ("t", "s", "b+", "l")}, indent=None)
