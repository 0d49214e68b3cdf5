"""Makes the prompts and the decoder of a sam-nano twice as wide without a change of what it computes (Chen et al. 2016, "Net2Net").

Every channel becomes two equal ones, side by side; a weight that reads them becomes two halves. The halves differ by
noise that cancels while the channels are equal, so that the gradients of the two differ and they part in training.

    python sam_widen.py --model NARROW --output WIDE      # then: python sam_train.py --begin WIDE ...

The fourth run of sam-nano began so, with the weights of the third, whose `CHANNELS` were 64.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

NOISE = 0.5  # deviation of the halves, of that of the weights
# Convolutions of the mask prompt, and their norms, keep the channels that the checkpoint's configuration gives them.
SAME = ("prompt_encoder.mask_embed.conv1", "prompt_encoder.mask_embed.conv2", "prompt_encoder.mask_embed.layer_norm")


def widened(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `state`, which are named as `SamModel`'s."""
    generator = torch.Generator().manual_seed(0)
    return {name: tensor_of(name, tensor, generator) for name, tensor in state.items()}


def tensor_of(name: str, tensor: Tensor, generator: torch.Generator) -> Tensor:
    if name.startswith("vision_encoder.") and not name.startswith("vision_encoder.neck.") or name.startswith(SAME):
        return tensor
    if name.endswith("positional_embedding"):  # [2, C / 2]: sines, then cosines
        return tensor.repeat_interleave(2, 1)
    inputs, outputs = axes(name, tensor)
    if outputs is not None:
        tensor = tensor.repeat_interleave(2, outputs)
    if inputs is not None:
        noise = torch.randn(tensor.shape, generator=generator) * (NOISE / 2 * tensor.std())
        tensor = torch.stack([tensor / 2 + noise, tensor / 2 - noise], inputs + 1).flatten(inputs, inputs + 1)
    if ".q_proj." in name:  # a head has twice the numbers, and the scores are divided by the root of that
        tensor = tensor / 2**0.5
    if "hypernetworks" in name and ".proj_out." in name:  # meets twice as many channels of pixels
        tensor = tensor / 2
    return tensor


def axes(name: str, tensor: Tensor) -> tuple[int | None, int | None]:
    """The axes of a tensor that read and that are channels."""
    if name.endswith(("embed.weight", "token.weight", "tokens.weight")) or "point_embed" in name:  # learned vectors
        return None, 1
    if name.startswith("mask_decoder.iou_prediction_head.proj_out."):  # writes scores
        return (1 if tensor.ndim == 2 else None), None
    if tensor.ndim == 1:
        return None, 0
    if "upscale_conv" in name:  # transposed: [in, out, 2, 2]
        return 0, 1
    if name in ("vision_encoder.neck.conv1.weight", "prompt_encoder.mask_embed.conv3.weight"):  # read other channels
        return None, 0
    return 1, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of the narrow model")
    parser.add_argument("--output", type=Path, required=True, help="folder for the weights to begin with")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.float() for name, tensor in load_file(arguments.model / "model.safetensors").items()}
    weights = {name: tensor.contiguous() for name, tensor in widened(state).items()}
    save_file(weights, arguments.output / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
