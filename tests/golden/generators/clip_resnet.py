"""Tiny CLIPs with a ResNet image tower and random weights, and the stages of their forward pass, by open_clip."""

from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch

from .clip import CLIP_MEAN, CLIP_STD, Recorder, write_weights
from .common import seeded, strip_source_positions, write_json, write_tensors
from .torch_cases import published

LAYERS = ("layer1", "layer2", "layer3", "layer4")


@dataclass
class Case:
    """One directory under `clip/`."""

    name: str
    image: int
    width: int
    blocks: tuple[int, int, int, int]
    text: tuple[int, int, int]  # width, heads, layers
    dtype: torch.dtype
    head_width: int = 64
    embed: int = 20
    vocab: int = 150
    context: int = 12
    images: int = 2


CASES = [
    Case("resnet-openai", 64, 4, (1, 2, 1, 2), (64, 1, 1), torch.float16),
    Case("resnet-openclip", 96, 6, (2, 1, 1, 1), (48, 3, 1), torch.bfloat16, head_width=32),
]


def build(case: Case) -> open_clip.CLIP:
    """open_clip's model of `case`, its weights random and rounded to the file's dtype."""
    width, heads, layers = case.text
    model = open_clip.CLIP(
        case.embed,
        vision_cfg={"image_size": case.image, "layers": list(case.blocks), "width": case.width,
                    "head_width": case.head_width, "patch_size": None},
        text_cfg={"context_length": case.context, "vocab_size": case.vocab, "width": width,
                  "heads": heads, "layers": layers},
        quick_gelu=case.name == "resnet-openai",
    ).eval()
    fill(model, seeded(case.name))
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.to(case.dtype))
    return model


def fill(model: open_clip.CLIP, generator: torch.Generator) -> None:
    """Random parameters under which every stage keeps magnitudes of order one.

    Matrices and kernels: N(0, 2/fan_in); norms: 1 + 0.2 N and 0.2 N; statistics of batch norms: means 0.5 N and
    variances between 0.3 and 2.3, so that a norm that is left out, or folded wrongly, moves the result.
    """
    with torch.no_grad():
        for name, tensor in sorted(model.state_dict().items()):
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if name == "logit_scale":
                tensor.fill_(2.75)
            elif name.endswith("running_var"):
                tensor.copy_(0.3 + 2 * torch.rand(tensor.shape, generator=generator))
            elif name.endswith("running_mean"):
                tensor.copy_(0.5 * noise)
            elif name.endswith("bias"):
                tensor.copy_(0.2 * noise)
            elif tensor.dim() == 1:
                tensor.copy_(1 + 0.2 * noise)
            elif "embedding" in name:
                tensor.copy_(0.5 * noise)
            else:
                tensor.copy_(noise * (2 / tensor[0].numel()) ** 0.5)
    for number, (name, tensor) in enumerate(model.state_dict().items()):
        if name.endswith("num_batches_tracked"):
            tensor.fill_(number)


def pooled(pool: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What the attention pool gives before its last projection, written out for the query of the mean alone."""
    tokens = x.flatten(2).transpose(1, 2)
    tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1) + pool.positional_embedding
    heads = lambda t: t.unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)  # noqa: E731
    q, k, v = heads(pool.q_proj(tokens[:, :1])), heads(pool.k_proj(tokens)), heads(pool.v_proj(tokens))
    weights = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(1)


def vision_stages(model: open_clip.CLIP, pixels: torch.Tensor) -> dict:
    """Named stages of the image tower; maps as [B, H, W, C]."""
    maps, visual = {}, model.visual
    with Recorder(maps) as record:
        record("vision.stem", visual.avgpool)
        for name in LAYERS:
            record(f"vision.{name}", getattr(visual, name))
        embeds = model.encode_image(pixels)
    last = pooled(visual.attnpool, maps["vision.layer4"])
    torch.testing.assert_close(visual.attnpool.c_proj(last), embeds, rtol=1e-5, atol=1e-5)
    stages = {name: value.permute(0, 2, 3, 1) for name, value in maps.items()}
    return stages | {"pixels": pixels, "vision.pooled": last, "image_embeds": embeds}


def text_stages(model: open_clip.CLIP, ids: torch.Tensor) -> dict:
    """Named stages of the text tower."""
    stages = {"input_ids": ids, "text.embeddings": model.token_embedding(ids) + model.positional_embedding}
    with Recorder(stages) as record:
        for i, block in enumerate(model.transformer.resblocks):
            record(f"text.layers.{i}", block)
        record("text.final_layer_norm", model.ln_final)
        stages["text_embeds"] = model.encode_text(ids)
    last = stages["text.final_layer_norm"][torch.arange(len(ids)), ids.argmax(-1)]
    torch.testing.assert_close(last @ model.text_projection, stages["text_embeds"], rtol=1e-5, atol=1e-5)
    return stages | {"text.pooled": last}


def write_case(case: Case, directory: Path) -> None:
    """Weights, configuration and stages of one model."""
    model = build(case)
    generator = seeded(case.name + ".inputs")
    pixels = torch.randn(case.images, 3, case.image, case.image, generator=generator)
    ids = torch.randint(1, case.vocab - 1, (3, case.context), generator=generator)
    for row, end in zip(ids, (3, case.context // 2, case.context - 1)):
        row[end], row[end + 1:] = case.vocab - 1, 0
    stages = vision_stages(model, pixels) | text_stages(model, ids)
    image, text = (e / e.norm(dim=-1, keepdim=True) for e in (stages["image_embeds"], stages["text_embeds"]))
    stages |= {"logit_scale": model.logit_scale, "logits_per_image": model.logit_scale.exp() * image @ text.T}
    for name, value in stages.items():
        print(f"  {case.name} {name} {list(value.shape)} rms {value.float().square().mean().sqrt():.2f}")
    write_tensors(directory / "golden.safetensors", stages)

    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if case.name == "resnet-openclip":
        write_weights(directory / "open_clip_model.safetensors", state, case.dtype)
        config = {"embed_dim": case.embed,
                  "vision_cfg": {"image_size": case.image, "layers": list(case.blocks), "width": case.width,
                                 "head_width": case.head_width, "patch_size": None},
                  "text_cfg": {"context_length": case.context, "vocab_size": case.vocab, "width": case.text[0],
                               "heads": case.text[1], "layers": case.text[2]}}
        write_json(directory / "open_clip_config.json",
                   {"model_cfg": config, "preprocess_cfg": {"mean": CLIP_MEAN, "std": CLIP_STD}})
        return
    sizes = {"input_resolution": case.image, "context_length": case.context, "vocab_size": case.vocab}
    state |= {name: torch.tensor(value) for name, value in sizes.items()}
    write_weights(directory / "model.safetensors", state, case.dtype)
    # OpenAI publishes TorchScript; norms and what is no matrix stay F32 there.
    traced = torch.jit.trace(published(model, case.image, case.context, case.vocab), (pixels[:1], ids[:1]))
    for parameter in traced.parameters():
        if parameter.dim() > 1:
            parameter.data = parameter.data.half()
    torch.jit.save(traced, directory / "model.pt")
    strip_source_positions(directory / "model.pt")
    again = torch.jit.load(directory / "model.pt").state_dict()
    assert set(again) == set(state), set(again) ^ set(state)
    assert all(torch.equal(again[name].float(), tensor.float()) for name, tensor in state.items())


def generate(root: Path) -> None:
    """Write `clip/resnet-*`."""
    with torch.inference_mode(False), torch.no_grad():
        for case in CASES:
            write_case(case, root / "clip" / case.name)
