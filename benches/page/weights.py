"""Random weights of a model of docs/models.md, at its full size: weights.py RECIPE DIRECTORY, or weights.py --count RECIPE

RECIPE is the JSON of `recipe` in models.json. The architecture is built without memory, and random values are written for the shapes
of its tensors. Packages: those of ../peers/requirements.txt, and segment-anything.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file


def transformers_model(recipe: dict):
    """A class of transformers with a configuration; what is left out is its default."""
    import transformers

    config_class = getattr(transformers, recipe["class"].replace("Model", "Config"))
    model = getattr(transformers, recipe["class"])(config_class(**recipe["config"]))
    files = {"config.json": recipe["config"] | {"model_type": config_class.model_type}}
    return model, "model.safetensors", files


def open_clip_model(recipe: dict):
    """A configuration of open_clip."""
    import open_clip

    config = open_clip.get_model_config(recipe["config"])
    model = open_clip.create_model(recipe["config"], device="meta", load_weights=False)
    pretrained = open_clip.get_pretrained_cfg(recipe["config"], recipe["tag"]) if "tag" in recipe else {}
    keys = ("mean", "std", "interpolation", "resize_mode")
    preprocess = {key: pretrained[key] for key in keys if key in pretrained}
    files = {"open_clip_config.json": {"model_cfg": config, "preprocess_cfg": preprocess}}
    return model, "open_clip_model.safetensors", files


def sam_model(recipe: dict):
    """A size of segment-anything, in Meta's naming."""
    from segment_anything import sam_model_registry

    return sam_model_registry[recipe["config"]](), "model.safetensors", {}


def sam2_model(recipe: dict):
    """A size of sam2, in Meta's naming."""
    from sam2.build_sam import build_sam2

    # It computes with values while it is built.
    with torch.device("cpu"):
        return build_sam2(recipe["config"], device="cpu"), "model.safetensors", {}


PROGRAMS = {"transformers": transformers_model, "open_clip": open_clip_model, "segment_anything": sam_model,
            "sam2": sam2_model}


def values(name: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Values of the size that a trained model's have, so that results stay finite."""
    if name.endswith("logit_scale"):
        return np.full(shape, 2.66, np.float32)
    noise = random.standard_normal(shape, np.float32)
    if name.endswith("running_var"):
        return 1 + 0.1 * np.abs(noise)
    if len(shape) < 2:
        return (1 if name.endswith("weight") else 0) + 0.1 * noise
    return noise * np.float32(max(np.prod(shape[1:]), 1) ** -0.5)


def main() -> None:
    count = sys.argv[1] == "--count"
    recipe = json.loads(sys.argv[2 if count else 1])
    with torch.device("meta"):
        model, weights, files = PROGRAMS[recipe["program"]](recipe)
    if count:
        print(sum(p.numel() for p in model.parameters()))
        return
    directory, random = Path(sys.argv[2]), np.random.default_rng(0)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, tensor in model.state_dict().items():
        if name.endswith("position_ids"):
            continue
        shape = tuple(tensor.shape)
        is_float = tensor.is_floating_point()
        tensors[name] = values(name, shape, random) if is_float else np.zeros(shape, np.int64)
    for name, contents in files.items():
        (directory / name).write_text(json.dumps(contents, default=list))
    save_file(tensors, directory / weights, metadata={"format": "pt"})


if __name__ == "__main__":
    main()
