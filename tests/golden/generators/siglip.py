"""Tiny SigLIPs with random weights, and the stages of their forward pass, by transformers."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import SiglipConfig, SiglipModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from .clip import Recorder, write_weights
from .common import picture, seeded, write_json, write_tensors


@dataclass
class Case:
    """One directory under `clip/`. Tower tuples are (width, heads, layers, mlp width)."""

    name: str
    image: int
    patch: int
    vision: tuple[int, int, int, int]
    text: tuple[int, int, int, int]
    dtype: torch.dtype
    resample: int  # as Pillow numbers the filters
    context: int = 10
    vocab: int = 120
    resized: tuple[int, int] | None = None  # (H, W) of a run with interpolated positions


CASES = [
    # As the SO400M models: pixels are left over beside the patches, and the text tower has a width of its own.
    Case("siglip", 48, 14, (48, 3, 2, 100), (32, 2, 2, 80), torch.float16, 3, resized=(64, 48)),
    Case("siglip2", 32, 8, (40, 2, 1, 160), (40, 2, 1, 160), torch.bfloat16, 2, context=16),
]
KEYS = ("hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size")


def config(case: Case) -> dict:
    """`config.json`; what equals the default of transformers is left out, as it is in the hub's files."""
    vision = dict(zip(KEYS, case.vision)) | {"image_size": case.image, "patch_size": case.patch}
    text = dict(zip(KEYS, case.text)) | {"vocab_size": case.vocab, "max_position_embeddings": case.context}
    if case.text[0] != case.vision[0]:
        text["projection_size"] = case.vision[0]
    towers = {"text_config": text | {"model_type": "siglip_text_model"},
              "vision_config": vision | {"model_type": "siglip_vision_model"}}
    return {"architectures": ["SiglipModel"], "initializer_factor": 1.0, "model_type": "siglip"} | towers


def build(case: Case) -> SiglipModel:
    """The model of `case`, its weights random and rounded to the file's dtype."""
    model = SiglipModel(SiglipConfig(**config(case))).eval().float()
    fill(model, case.name, case.dtype)
    return model


def fill(model: torch.nn.Module, name: str, dtype: torch.dtype) -> None:
    """Give a SigLIP random weights that depend on `name`, rounded to `dtype`."""
    generator = seeded(name)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=generator)
            if name == "logit_scale":
                p.fill_(1.25)
            elif name == "logit_bias":
                p.fill_(-1.5)
            elif "norm" in name:
                p.copy_(0.2 * noise + (1.0 if name.endswith("weight") else 0.0))
            elif "probe" in name or ("embedding" in name and "patch" not in name):
                p.copy_(0.5 * noise)
            elif p.dim() == 1:
                p.copy_(0.2 * noise)
            else:
                p.copy_(noise * p[0].numel() ** -0.5)
            p.copy_(p.to(dtype))


def vision_stages(model: SiglipModel, pixels: torch.Tensor, interpolate: bool) -> dict:
    """Named stages of the image tower."""
    stages, vision = {"pixels": pixels}, model.vision_model
    with Recorder(stages) as record:
        record("vision.embeddings", vision.embeddings)
        for i, layer in enumerate(vision.encoder.layers):
            record(f"vision.layers.{i}", layer)
        record("vision.post_layernorm", vision.post_layernorm)
        out = vision(pixels, interpolate_pos_encoding=interpolate)
    return stages | {"image_embeds": out.pooler_output}


def text_stages(model: SiglipModel, ids: torch.Tensor) -> dict:
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


def write_case(case: Case, directory: Path) -> None:
    """Weights, configuration, stages, and pictures through to probabilities."""
    model = build(case)
    write_weights(directory / "model.safetensors", model.state_dict(), case.dtype)
    write_json(directory / "config.json", config(case))
    size = {"height": case.image, "width": case.image}
    write_json(directory / "preprocessor_config.json", {
        "do_convert_rgb": None, "do_normalize": True, "do_rescale": True, "do_resize": True,
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "image_processor_type": "SiglipImageProcessor",
        "processor_class": "SiglipProcessor", "resample": case.resample, "rescale_factor": 1 / 255, "size": size,
    })
    generator = seeded(case.name + ".inputs")
    pixels = torch.randn(2, 3, case.image, case.image, generator=generator)
    # Padding, id 1, is behind the second text, and reaches its embedding.
    ids = torch.randint(2, case.vocab, (3, case.context), generator=generator)
    ids[1, case.context // 2:] = 1
    stages = vision_stages(model, pixels, False) | text_stages(model, ids)
    stages |= {"logit_scale": model.logit_scale, "logit_bias": model.logit_bias}
    write_tensors(directory / "golden.safetensors", stages)

    again = SiglipModel.from_pretrained(directory, dtype=torch.float32).eval()
    pictures = [picture("end-to-end.0", 75, 110, 3), picture("end-to-end.1", 50, 40, 3)]
    pixels = SiglipImageProcessorPil(size=size, resample=case.resample)(pictures, return_tensors="pt").pixel_values
    out = again(input_ids=ids, pixel_values=pixels)
    write_tensors(directory / "end_to_end.safetensors", {
        "image.0": pictures[0], "image.1": pictures[1], "pixels": pixels, "input_ids": ids,
        "image_embeds_normalized": out.image_embeds, "text_embeds_normalized": out.text_embeds,
        "logits_per_image": out.logits_per_image, "probabilities": out.logits_per_image.sigmoid(),
    })
    print(f"  {case.name}: {out.logits_per_image.tolist()} {sorted(model.state_dict())[:3]}")
    if case.resized:
        h, w = case.resized
        pixels = torch.randn(1, 3, h, w, generator=seeded(case.name + ".resized"))
        write_tensors(directory / f"golden_{h}x{w}.safetensors", vision_stages(model, pixels, True))


def generate(root: Path) -> None:
    """Write `clip/siglip*`."""
    with torch.inference_mode():
        for case in CASES:
            write_case(case, root / "clip" / case.name)
