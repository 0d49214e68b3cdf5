"""Writes the averaged weights that validation liked best as a Hugging Face model folder (fp16), and labels.txt.

    python clip_export.py --cache CACHE --run RUN --output ../clip-nano
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

import emoji
from augment import MEAN, STD
from captions import save_tokenizer, train_tokenizer
from clip_model import IMAGE_SIZE, configuration, new_model
from clip_train import SEED
from loop import exported


def preprocessor() -> dict:
    """CLIP's preprocessing at this model's size."""
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": IMAGE_SIZE},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(MEAN),
        "image_std": list(STD),
    }


def export(state: dict[str, torch.Tensor], cache: Path, output: Path) -> None:
    """`model.safetensors` and the files beside it."""
    model = new_model(SEED)
    model.load_state_dict(state)
    output.mkdir(parents=True, exist_ok=True)
    weights = {
        name: tensor.half().contiguous()
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point()  # leaves out the position ids, which are 0, 1, 2, …
    }
    save_file(weights, output / "model.safetensors", metadata={"format": "pt"})
    (output / "model.safetensors").chmod(0o644)
    config = configuration()
    config.architectures, config.dtype = ["CLIPModel"], "float16"
    config.save_pretrained(output)
    (output / "preprocessor_config.json").write_text(json.dumps(preprocessor(), indent=2) + "\n")
    known = emoji.concepts(cache)
    save_tokenizer(output, *train_tokenizer(known))
    labels = [c.name for c in known if emoji.evaluation_picture(c, cache) is not None]
    (output.parent / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    state, step = exported(arguments.run)
    export(state, arguments.cache, arguments.output)
    print(f"step {step} -> {arguments.output}")


if __name__ == "__main__":
    main()
