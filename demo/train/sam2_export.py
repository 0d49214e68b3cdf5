"""Writes the averaged weights that validation liked best as a Hugging Face model folder (fp16).

    python sam2_export.py --run RUN --output ../sam2-nano
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from loop import exported
from sam2_model import IMAGE_SIZE, configuration, new_model
from sam_model import MEAN, STD

# Of automatic masks: the model's scores are lower than those that the reference's defaults are made for.
THRESHOLDS = {"pred_iou_thresh": 0.3, "stability_score_thresh": 0.3}


def preprocessor() -> dict:
    """SAM 2's preprocessing at this model's size; the masks are those of stride 4."""
    return {
        "image_processor_type": "Sam2ImageProcessor",
        "processor_class": "Sam2VideoProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        "mask_size": {"height": IMAGE_SIZE // 4, "width": IMAGE_SIZE // 4},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(MEAN),
        "image_std": list(STD),
    }


def export(state: dict[str, torch.Tensor], output: Path) -> None:
    """`model.safetensors`, `config.json`, `preprocessor_config.json`."""
    model = new_model(0)
    model.load_state_dict({name: tensor for name, tensor in state.items() if not name.startswith("grouping.")})
    output.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, output / "model.safetensors", metadata={"format": "pt"})
    (output / "model.safetensors").chmod(0o644)
    config = configuration()
    config.architectures, config.dtype = ["Sam2VideoModel"], "float16"
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
