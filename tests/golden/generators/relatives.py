"""Tiny CLIPs with random weights in the layouts of CLIP's relatives, which differ from it by their configuration alone."""

import json
from pathlib import Path

import torch

from .clip import CLIP_MEAN, CLIP_STD, Case, build, hub_config, logits, preprocessor, text_stages, token_rows, vision_stages, write_weights
from .common import seeded, write_json, write_tensors
from .original_naming import check_against_open_clip, open_clip_config, to_original

COMMON = {"image": 16, "patch": 8, "embed": 20, "vocab": 90, "dtype": torch.float16}
CASES = [
    # Narrower and shallower for texts than for pictures; `config.json` as transformers saves it.
    Case("tinyclip", vision=(48, 3, 2, 192), text=(32, 2, 1, 128), activation="gelu", context=14, **COMMON),
    # QuickGELU, and weights in PyTorch's file.
    Case("metaclip", vision=(32, 2, 1, 128), text=(32, 2, 1, 128), activation="quick_gelu", context=14, **COMMON),
    # GELU; a directory of the hub with both namings of the same weights.
    Case("laion", vision=(40, 2, 1, 160), text=(32, 2, 1, 128), activation="gelu", context=14, **COMMON),
    # OpenCLIP's naming with QuickGELU; pictures are squeezed.
    Case("dfn", vision=(40, 2, 1, 160), text=(32, 2, 1, 128), activation="quick_gelu", context=14, naming="openclip", **COMMON),
]


def write_case(case: Case, directory: Path) -> None:
    model = build(case)
    state = {name: t for name, t in model.state_dict().items() if "position_ids" not in name}
    pixels = torch.randn(2, 3, case.image, case.image, generator=seeded(case.name + ".pixels"))
    stages = vision_stages(model, pixels, interpolate=False) | text_stages(model, token_rows(case))
    stages["logit_scale"] = model.logit_scale
    stages["logits_per_image"] = logits(model, stages["image_embeds"], stages["text_embeds"])
    directory.mkdir(parents=True, exist_ok=True)
    write_tensors(directory / "golden.safetensors", stages)
    if case.naming == "huggingface":
        config = hub_config(model)
        if case.name == "tinyclip":
            model.config.save_pretrained(directory)
            config = json.loads((directory / "config.json").read_text())
        write_json(directory / "config.json", config)
        write_json(directory / "preprocessor_config.json", preprocessor(case.image))
    if case.name == "metaclip":
        torch.save({name: t.to(case.dtype) for name, t in state.items()}, directory / "pytorch_model.bin")
    elif case.naming == "huggingface":
        write_weights(directory / "model.safetensors", state, case.dtype)
    if case.name in ("laion", "dfn"):
        original = to_original(state, case.vision[2], case.text[2])
        check_against_open_clip(case, original, stages)
        write_weights(directory / "open_clip_model.safetensors", original, case.dtype)
        config = open_clip_config(case, CLIP_MEAN, CLIP_STD)
        config["preprocess_cfg"] |= {"interpolation": "bicubic", "resize_mode": "squash" if case.name == "dfn" else "shortest"}
        if case.name == "dfn":
            config["model_cfg"] = {"embed_dim": case.embed, "quick_gelu": True} | config["model_cfg"]
        write_json(directory / "open_clip_config.json", config)


def generate(root: Path) -> None:
    """Write `clip/tinyclip`, `clip/metaclip`, `clip/laion` and `clip/dfn`."""
    with torch.inference_mode():
        for case in CASES:
            write_case(case, root / "clip" / case.name)
