"""Writes the averaged weights that validation liked best as a Hugging Face model folder (fp16).

    python sam_export.py --run RUN --output ../sam-nano
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from loop import exported
from sam_model import IMAGE_SIZE, MEAN, STD, configuration, new_model

# A second name of `shared_image_embedding.positional_embedding`; `transformers` ties the two.
TIED = "prompt_encoder.shared_embedding.positional_embedding"

# Of automatic masks: the model's scores are lower than those that the reference's defaults are made for.
THRESHOLDS = {"pred_iou_thresh": 0.55, "stability_score_thresh": 0.65}


def preprocessor() -> dict:
    """SAM's preprocessing at this model's size."""
    return {
        "image_processor_type": "SamImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"longest_edge": IMAGE_SIZE},
        "mask_size": {"longest_edge": IMAGE_SIZE},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(MEAN),
        "image_std": list(STD),
        "do_pad": True,
        "pad_size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        "mask_pad_size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
    }


def export(state: dict[str, torch.Tensor], output: Path) -> None:
    """`model.safetensors`, `config.json`, `preprocessor_config.json`."""
    model = new_model(0)
    model.load_state_dict({name: tensor for name, tensor in state.items() if not name.startswith("grouping.")})
    output.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items() if name != TIED}
    save_file(weights, output / "model.safetensors", metadata={"format": "pt"})
    (output / "model.safetensors").chmod(0o644)
    config = configuration()
    config.architectures, config.dtype = ["SamModel"], "float16"
    config.task_specific_params = {"mask-generation": THRESHOLDS}
    config.save_pretrained(output)
    (output / "preprocessor_config.json").write_text(json.dumps(preprocessor(), indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    state, step = exported(arguments.run)
    export(state, arguments.output)
    print(f"step {step} -> {arguments.output}")


if __name__ == "__main__":
    main()
