"""A tiny SigLIP 2 of variable resolution (NaFlex) with random weights, and the stages of its forward pass, by transformers."""

from pathlib import Path
from unittest.mock import patch

import torch
from PIL import Image
from transformers import Siglip2Config, Siglip2Model
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil, convert_image_to_patches

from .clip import Recorder, write_weights
from .common import picture, seeded, write_json, write_tensors
from .siglip import fill

PATCH, MOST = 6, 24
CONTEXT, VOCABULARY = 8, 100
# Rows and columns of patches: the native grid, wide, tall, of one row, of one column, and a single one.
GRIDS = [(4, 4), (2, 9), (10, 2), (1, 24), (24, 1), (1, 1)]
# Height and width of pictures: of two neighbours the inputs have the same size; then extreme and tiny ones.
PICTURES = [(75, 110), (150, 220), (110, 75), (3, 400), (500, 1), (2, 3), (1, 1), (60, 60)]


INTERPOLATE = torch.nn.functional.interpolate


def interpolate(x: torch.Tensor, size: tuple[int, int], **options) -> torch.Tensor:
    """What PyTorch computes for two columns alike, where there is one.

    For an output of one column and another height, its antialiased kernel for CPUs (2.15) gives every row the values of one.
    """
    if size[1] > 1:
        return INTERPOLATE(x, size=size, **options)
    column = INTERPOLATE(x, size=(x.shape[2], 1), **options)
    return INTERPOLATE(column.repeat(1, 1, 1, 2), size=(size[0], 2), **options)[..., :1]


def config() -> dict:
    """`config.json`; what equals the default of transformers is left out, as it is in the hub's files."""
    keys = ("hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size")
    vision = dict(zip(keys, (24, 2, 2, 50))) | {"patch_size": PATCH, "num_patches": 16}
    text = dict(zip(keys, (32, 2, 1, 40)))
    text |= {"vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "projection_size": 24}
    return {
        "architectures": ["Siglip2Model"], "initializer_factor": 1.0, "model_type": "siglip2",
        "text_config": text | {"model_type": "siglip2_text_model"},
        "vision_config": vision | {"model_type": "siglip2_vision_model"},
    }


def vision_stages(model: Siglip2Model, rows: int, columns: int) -> dict:
    """Named stages of the image tower, of a sequence that is padded to the most patches and masked."""
    count, vision, stages = rows * columns, model.vision_model, {}
    pixels = torch.randn(3, rows * PATCH, columns * PATCH, generator=seeded(f"naflex.{rows}x{columns}"))
    patches = torch.from_numpy(convert_image_to_patches(pixels.numpy(), PATCH))
    # Padding that would show if it were attended to.
    padded = torch.cat([patches, torch.full((MOST - count, patches.shape[1]), 3.0)])[None]
    mask = (torch.arange(MOST) < count).int()[None]
    with Recorder(stages) as record:
        record("vision.embeddings", vision.embeddings)
        for i, layer in enumerate(vision.encoder.layers):
            record(f"vision.layers.{i}", layer)
        record("vision.post_layernorm", vision.post_layernorm)
        out = vision(padded, pixel_attention_mask=mask, spatial_shapes=torch.tensor([[rows, columns]]))
    stages = {name: stage[:, :count] for name, stage in stages.items()}
    return stages | {"pixels": pixels[None], "image_embeds": out.pooler_output}


def text_stages(model: Siglip2Model, ids: torch.Tensor) -> dict:
    """Named stages of the text tower."""
    stages, text = {"input_ids": ids}, model.text_model
    with Recorder(stages) as record:
        record("text.embeddings", text.embeddings)
        for i, layer in enumerate(text.encoder.layers):
            record(f"text.layers.{i}", layer)
        record("text.final_layer_norm", text.final_layer_norm)
        out = text(ids)
    last = stages["text.final_layer_norm"][:, -1]
    return stages | {"text.pooled": last, "text_embeds": out.pooler_output}


def planes(patches: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Patches of a picture, back in their places: [3, height, width]."""
    pixels = patches[: rows * columns].reshape(rows, columns, PATCH, PATCH, 3).permute(4, 0, 2, 1, 3)
    return pixels.reshape(3, rows * PATCH, columns * PATCH)


def generate(root: Path) -> None:
    """Write `clip/naflex`."""
    directory = root / "clip" / "naflex"
    with torch.inference_mode(), patch("torch.nn.functional.interpolate", interpolate):
        model = Siglip2Model(Siglip2Config(**config())).eval().float()
        fill(model, "naflex", torch.float16)
        write_weights(directory / "model.safetensors", model.state_dict(), torch.float16)
        write_json(directory / "config.json", config())
        write_json(directory / "preprocessor_config.json", {
            "do_convert_rgb": None, "do_normalize": True, "do_rescale": True, "do_resize": True,
            "image_mean": [0.5] * 3, "image_processor_type": "Siglip2ImageProcessor", "image_std": [0.5] * 3,
            "max_num_patches": MOST, "patch_size": PATCH, "processor_class": "Siglip2Processor", "resample": 2,
            "rescale_factor": 1 / 255,
        })
        ids = torch.randint(2, VOCABULARY, (3, CONTEXT), generator=seeded("naflex.ids"))
        ids[1, CONTEXT // 2:] = 0
        text = text_stages(model, ids) | {"logit_scale": model.logit_scale, "logit_bias": model.logit_bias}
        for grid in GRIDS:
            stages = vision_stages(model, *grid)
            if grid == GRIDS[0]:
                write_tensors(directory / "golden.safetensors", stages | text)
            else:
                write_tensors(directory / f"golden_{grid[0] * PATCH}x{grid[1] * PATCH}.safetensors", stages)

        again = Siglip2Model.from_pretrained(directory, dtype=torch.float32).eval()
        pictures = [picture(f"naflex.{h}x{w}", h, w, 3) for h, w in PICTURES]
        processor = Siglip2ImageProcessorPil.from_pretrained(directory)
        # Of a picture with a side of 1 or 3 pixels, arrays do not say which of their sides are channels.
        inputs = processor([Image.fromarray(image) for image in pictures], return_tensors="pt")
        out = again(input_ids=ids, **inputs)
        shapes = inputs["spatial_shapes"].tolist()
        tensors = {f"image.{i}": image for i, image in enumerate(pictures)}
        tensors |= {f"pixels.{i}": planes(patches, *shape)
                    for i, (patches, shape) in enumerate(zip(inputs["pixel_values"], shapes))}
        write_tensors(directory / "end_to_end.safetensors", tensors | {
            "input_ids": ids, "image_embeds_normalized": out.image_embeds, "text_embeds_normalized": out.text_embeds,
            "logits_per_image": out.logits_per_image, "probabilities": out.logits_per_image.sigmoid(),
        })
        print(f"  naflex: {shapes} {out.logits_per_image[:2].tolist()} {sorted(model.state_dict())[-3:]}")
