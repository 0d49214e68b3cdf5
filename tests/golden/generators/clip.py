"""Tiny CLIP models with random weights, and the stages of their forward pass."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel

from .common import picture, seeded, write_json, write_tensors
from .original_naming import check_against_open_clip, open_clip_config, to_original
from .tokenizer import golden_tokenizer

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]


@dataclass
class Case:
    """One directory under `clip/`. Tower tuples are (width, heads, layers, mlp width)."""

    name: str
    image: int
    patch: int
    vision: tuple[int, int, int, int]
    text: tuple[int, int, int, int]
    vocab: int
    embed: int
    activation: str
    dtype: torch.dtype = torch.float32
    context: int = 77
    eos: int = 2  # config value; 2 means argmax pooling
    naming: str = "huggingface"
    resized: tuple[int, int] | None = None  # (H, W) of a run with interpolated positions


CASES = [
    Case("quickgelu-p32", 64, 32, (16, 2, 2, 64), (24, 2, 3, 96), 0, 20, "quick_gelu"),
    Case("gelu-p14", 42, 14, (48, 2, 2, 192), (40, 2, 2, 100), 300, 20, "gelu",
         torch.float16, context=20, eos=150),
    Case("quickgelu-p16", 48, 16, (40, 2, 2, 160), (48, 3, 2, 192), 310, 32, "quick_gelu",
         torch.bfloat16, context=24, eos=309, resized=(80, 64)),
    Case("openclip-gelu", 32, 8, (128, 2, 1, 256), (64, 1, 1, 256), 300, 24, "gelu",
         torch.float16, context=16, naming="openclip"),
    Case("openclip-g14", 28, 14, (48, 2, 2, 210), (48, 2, 1, 192), 200, 24, "gelu",
         torch.bfloat16, context=12, naming="openclip", resized=(42, 56)),
    Case("openai-naming", 24, 8, (64, 1, 1, 256), (128, 2, 1, 512), 200, 32, "quick_gelu",
         torch.float16, context=16, naming="openai"),
]


def build(case: Case) -> CLIPModel:
    """The transformers model of `case`, its weights random and rounded to the file's dtype."""
    keys = ("hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size")
    common = {"hidden_act": case.activation, "projection_dim": case.embed}
    config = CLIPConfig(
        projection_dim=case.embed,
        vision_config=dict(zip(keys, case.vision)) | common
        | {"image_size": case.image, "patch_size": case.patch},
        text_config=dict(zip(keys, case.text)) | common
        | {"vocab_size": case.vocab, "max_position_embeddings": case.context,
           "bos_token_id": 0, "eos_token_id": case.eos, "pad_token_id": 1},
    )
    model = CLIPModel(config).eval().float()
    fill(model, seeded(case.name))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.to(case.dtype))
    return model


def fill(model: CLIPModel, generator: torch.Generator) -> None:
    """Random parameters under which every stage keeps magnitudes of order one.

    Matrices: N(0, 1/fan_in); biases: 0.2 N; layer norms: 1 + 0.2 N and 0.2 N; embeddings: 0.5 N.
    No parameter is zero or one, so a bias or a scale left out moves the result.
    """
    def noise(p):
        return torch.randn(p.shape, generator=generator)

    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            if name == "logit_scale":
                p.fill_(2.75)
            elif "norm" in name or "layrnorm" in name:
                p.copy_(0.2 * noise(p) + (1.0 if name.endswith("weight") else 0.0))
            elif "embedding" in name and "patch" not in name:
                p.copy_(0.5 * noise(p))
            elif p.dim() == 1:
                p.copy_(0.2 * noise(p))
            else:
                p.copy_(noise(p) * p[0].numel() ** -0.5)


def vision_stages(model: CLIPModel, pixels: torch.Tensor, interpolate: bool) -> dict:
    """Named stages of the image tower."""
    stages = {"pixels": pixels}
    with Recorder(stages) as record:
        record("vision.embeddings", model.vision_model.embeddings)
        record("vision.pre_layrnorm", model.vision_model.pre_layrnorm)
        for i, layer in enumerate(model.vision_model.encoder.layers):
            record(f"vision.layers.{i}", layer)
        record("image_embeds", model.visual_projection)
        out = model.get_image_features(pixels, interpolate_pos_encoding=interpolate)
    # transformers hands out the projected features in place of the pooled ones; take the pooled
    # ones from the last block.
    pooled = model.vision_model.post_layernorm(out.last_hidden_state[:, 0])
    assert torch.equal(model.visual_projection(pooled), stages["image_embeds"])
    stages["vision.pooled"] = pooled
    return stages


def text_stages(model: CLIPModel, ids: torch.Tensor) -> dict:
    """Named stages of the text tower."""
    stages = {"input_ids": ids}
    with Recorder(stages) as record:
        record("text.embeddings", model.text_model.embeddings)
        for i, layer in enumerate(model.text_model.encoder.layers):
            record(f"text.layers.{i}", layer)
        record("text.final_layer_norm", model.text_model.final_layer_norm)
        record("text_embeds", model.text_projection)
        stages["text.pooled"] = model.text_model(ids).pooler_output
        model.get_text_features(ids)
    return stages


class Recorder:
    """Context in which `record(name, module)` stores the module's output under `name`."""

    def __init__(self, stages: dict):
        self.stages, self.handles = stages, []

    def __enter__(self):
        return self

    def __call__(self, name, module):
        def hook(_module, _inputs, output):
            self.stages[name] = output[0] if isinstance(output, tuple) else output

        self.handles.append(module.register_forward_hook(hook))

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


def token_rows(case: Case) -> torch.Tensor:
    """Three rows [3, context]: short, long and full, each start … end and then padding.

    Under argmax pooling the end token is the highest id. Otherwise higher ids stand before it,
    and end tokens are repeated as padding, so that argmax and last-end pooling both go wrong.
    Id 2 stands in every row, since `eos_token_id: 2` does not mean a token 2.
    """
    end = case.vocab - 1 if case.eos == 2 else case.eos
    generator = seeded(case.name + ".ids")
    rows = []
    for length, pad in ((3, 0), (case.context * 2 // 3, end), (case.context - 2, end)):
        body = torch.randint(3, case.vocab - 2, (length,), generator=generator)
        body[body == end] = 3
        body[1] = 2
        if end < case.vocab - 2:
            body[0] = case.vocab - 2
        row = torch.cat([torch.tensor([0]), body, torch.tensor([end])])
        rows.append(torch.nn.functional.pad(row, (0, case.context - len(row)), value=pad))
    return torch.stack(rows)


def logits(model: CLIPModel, image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """exp(logit_scale) · cos(image, text), [images, texts]."""
    unit = [e / e.norm(dim=-1, keepdim=True) for e in (image, text)]
    return model.logit_scale.exp() * unit[0] @ unit[1].T


def write_case(case: Case, directory: Path) -> None:
    """Weights, configuration and stages of one model."""
    tokenizer = None
    if case.name == "quickgelu-p32":
        tokenizer = golden_tokenizer(directory.parent.parent / "tokenizer")
        case.vocab = len(tokenizer)
    model = build(case)
    state = {name: t for name, t in model.state_dict().items() if "position_ids" not in name}

    pixels = torch.randn(2, 3, case.image, case.image, generator=seeded(case.name + ".pixels"))
    stages = vision_stages(model, pixels, interpolate=False) | text_stages(model, token_rows(case))
    stages["logit_scale"] = model.logit_scale
    stages["logits_per_image"] = logits(model, stages["image_embeds"], stages["text_embeds"])
    whole = model(input_ids=stages["input_ids"], pixel_values=pixels).logits_per_image
    torch.testing.assert_close(stages["logits_per_image"], whole, rtol=1e-5, atol=1e-5)

    if case.naming == "huggingface":
        if case.name == "quickgelu-p32":
            # Checkpoints saved by transformers before 4.31 carry these buffers.
            for tower, count in (("text", case.context), ("vision", (case.image // case.patch) ** 2 + 1)):
                state[f"{tower}_model.embeddings.position_ids"] = torch.arange(count)[None]
        write_weights(directory / "model.safetensors", state, case.dtype)
        write_json(directory / "config.json", hub_config(model))
        write_json(directory / "preprocessor_config.json", preprocessor(case.image))
        again = CLIPModel.from_pretrained(directory, dtype=torch.float32).eval()
        again = again(input_ids=stages["input_ids"], pixel_values=pixels).logits_per_image
        torch.testing.assert_close(again, whole, rtol=1e-5, atol=1e-5)
    else:
        original = to_original(state, case.vision[2], case.text[2])
        check_against_open_clip(case, original, stages)
        if case.naming == "openai":
            # OpenAI's archives also hold three integers beside the weights.
            original |= {"input_resolution": torch.tensor(case.image),
                         "context_length": torch.tensor(case.context),
                         "vocab_size": torch.tensor(case.vocab)}
            write_weights(directory / "model.safetensors", original, case.dtype)
        else:
            write_weights(directory / "open_clip_model.safetensors", original, case.dtype)
            write_json(directory / "open_clip_config.json",
                       open_clip_config(case, CLIP_MEAN, CLIP_STD))
    write_tensors(directory / "golden.safetensors", stages)

    if case.resized:
        h, w = case.resized
        pixels = torch.randn(1, 3, h, w, generator=seeded(case.name + ".resized"))
        write_tensors(directory / f"golden_{h}x{w}.safetensors",
                      vision_stages(model, pixels, interpolate=True))
    if tokenizer is not None:
        write_end_to_end(model, case, tokenizer, directory)


def write_weights(path: Path, state: dict, dtype: torch.dtype) -> None:
    """Store floating-point tensors as `dtype`, integers as they are."""
    write_tensors(path, {n: t.to(dtype) if t.is_floating_point() else t for n, t in state.items()})


def hub_config(model: CLIPModel) -> dict:
    """`config.json` with the keys that describe the model and none that steer Python."""
    keys = ("model_type", "projection_dim", "logit_scale_init_value", "hidden_size",
            "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act",
            "layer_norm_eps", "image_size", "patch_size", "num_channels", "vocab_size",
            "max_position_embeddings", "bos_token_id", "eos_token_id", "pad_token_id")

    def pick(config):
        return {key: config[key] for key in keys if key in config}

    whole = model.config.to_dict()
    towers = {name: pick(whole[name]) for name in ("text_config", "vision_config")}
    return {"architectures": ["CLIPModel"]} | pick(whole) | towers


def preprocessor(size: int) -> dict:
    """`preprocessor_config.json` as openai/clip-vit-base-patch32 has it, at another size."""
    return {
        "crop_size": {"height": size, "width": size},
        "do_center_crop": True, "do_convert_rgb": True, "do_normalize": True,
        "do_rescale": True, "do_resize": True,
        "image_mean": CLIP_MEAN, "image_processor_type": "CLIPImageProcessor",
        "image_std": CLIP_STD, "resample": 3, "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": size},
    }


def write_end_to_end(model, case: Case, tokenizer, directory: Path) -> None:
    """Pictures and labels in, probabilities out, through the tokenizer and the preprocessing."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.save(str(directory / "tokenizer.json"))
    labels = ["cat", "a red bicycle", "Ein Café in Zürich, 1998!"]
    template = "a photo of {}."
    prompts = [template.format(label) for label in labels]
    ids = tokenizer(prompts, padding="max_length", max_length=case.context, truncation=True,
                    return_tensors="pt").input_ids
    pictures = [picture("end-to-end.0", 75, 110, 3), picture("end-to-end.1", 50, 40, 3)]
    processor = CLIPImageProcessorPil(size={"shortest_edge": case.image},
                                      crop_size={"height": case.image, "width": case.image})
    pixels = processor(pictures, return_tensors="pt").pixel_values
    out = model(input_ids=ids, pixel_values=pixels)
    write_tensors(directory / "end_to_end.safetensors", {
        "image.0": pictures[0], "image.1": pictures[1], "pixels": pixels, "input_ids": ids,
        "image_embeds_normalized": out.image_embeds, "text_embeds_normalized": out.text_embeds,
        "logits_per_image": out.logits_per_image,
        "probabilities": out.logits_per_image.softmax(-1),
    })
    write_json(directory / "end_to_end.json", {"template": template, "labels": labels})


def generate(root: Path) -> None:
    """Write `clip/`."""
    with torch.inference_mode():
        for case in CASES:
            write_case(case, root / "clip" / case.name)
