"""Cases of `tests/cases`: checkpoints as OpenAI and Meta publish theirs, tiny, and what the references compute."""

import warnings
from functools import partial
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from segment_anything import SamPredictor
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from . import common

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]


def fill(module: torch.nn.Module, name: str) -> None:
    """Random weights under which every stage keeps magnitudes of order one."""
    generator = common.seeded(name)
    with torch.no_grad():
        for name, tensor in sorted(list(module.named_parameters()) + list(module.named_buffers())):
            noise = torch.randn(tensor.shape, generator=generator)
            if name.startswith("pixel_") or name.endswith("attn_mask"):
                continue
            if name == "logit_scale":
                tensor.fill_(2.75)
            elif tensor.dim() == 1 and name.endswith("weight"):
                tensor.copy_(1 + 0.2 * noise)
            elif name.endswith("bias"):
                tensor.copy_(0.2 * noise)
            elif "gaussian" in name:
                tensor.copy_(noise)
            elif "embed" in name or "token" in name or "rel_pos" in name:
                tensor.copy_(0.5 * noise)
            else:
                tensor.copy_(1.4 * noise / max(1, tensor[0].numel()) ** 0.5)


def published(model: open_clip.CLIP, size: int, context: int, vocab: int) -> open_clip.CLIP:
    """Makes the state OpenAI's: three sizes beside the tensors, and a mask that is none of them."""
    mask = model._buffers.pop("attn_mask")
    model._non_persistent_buffers_set.discard("attn_mask")
    model.attn_mask = mask
    for name, value in (("input_resolution", size), ("context_length", context), ("vocab_size", vocab)):
        vars(model).pop(name, None)
        model.register_buffer(name, torch.tensor(value))
    return model


def openai(directory: Path) -> None:
    """`model.pt`: TorchScript by tracing, F16 but for the norms, as in OpenAI's files."""
    directory.mkdir(parents=True, exist_ok=True)
    size, context, vocab = 16, 16, 54
    tower = {"layers": 1, "width": 64, "mlp_ratio": 2}
    model = open_clip.CLIP(
        embed_dim=24,
        vision_cfg=tower | {"image_size": size, "patch_size": 8},
        text_cfg=tower | {"heads": 1, "vocab_size": vocab, "context_length": context},
        quick_gelu=True,
        output_dict=False,
    ).eval()
    fill(model, "torch_cases.openai")
    half = [p for name, p in model.named_parameters() if "ln_" not in name and name != "logit_scale"]
    with torch.no_grad():
        for parameter in half:
            parameter.copy_(parameter.half())
    picture = common.picture("torch_cases.openai", size, size, 3)
    Image.fromarray(picture).save(directory / "picture.png")
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255.0
    pixels = (pixels - torch.tensor(CLIP_MEAN)[:, None, None]) / torch.tensor(CLIP_STD)[:, None, None]
    tokens = torch.zeros(1, context, dtype=torch.long)
    tokens[0, :4] = torch.tensor([52, 3, 4, 53])
    with torch.no_grad():
        expected = model.encode_image(pixels)[0]
        traced = torch.jit.trace(published(model, size, context, vocab), (pixels, tokens))
        for name, parameter in traced.named_parameters():
            if "ln_" not in name and name != "logit_scale":
                parameter.data = parameter.data.half()
    torch.jit.save(traced, directory / "model.pt")
    common.strip_source_positions(directory / "model.pt")
    state = torch.jit.load(directory / "model.pt").state_dict()
    print("  state:", len(state), sorted(state)[:3], "attn_mask" in state, state["visual.proj"].dtype)
    with open(directory / "expected.txt", "w") as file:
        numbers = " ".join(f"{x:.4f}" for x in expected[:6].tolist())
        file.write(
            "OpenAI's TorchScript archive is read as it is: embed --raw -m model.pt --image picture.png gives "
            f"[{numbers} ...] as open_clip; attn_mask, a plain attribute, is none of its {len(state)} tensors; it "
            "said 'a zip archive (a PyTorch checkpoint?)'\n"
        )


def meta(directory: Path) -> None:
    """`sam_vit_t.pth`: a plain state dict, and `finetuned.pth`: in what MedSAM's training leaves."""
    directory.mkdir(parents=True, exist_ok=True)
    side, patch, dim = 64, 8, 16
    sam = Sam(
        image_encoder=ImageEncoderViT(
            img_size=side, patch_size=patch, embed_dim=32, depth=2, num_heads=2, mlp_ratio=2, out_chans=dim,
            qkv_bias=True, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), use_rel_pos=True,
            rel_pos_zero_init=False, window_size=5, global_attn_indexes=(1,),
        ),
        prompt_encoder=PromptEncoder(dim, (side // patch,) * 2, (side, side), mask_in_chans=4),
        mask_decoder=MaskDecoder(
            transformer_dim=dim,
            transformer=TwoWayTransformer(depth=2, embedding_dim=dim, num_heads=8, mlp_dim=32),
            num_multimask_outputs=3, iou_head_depth=3, iou_head_hidden_dim=16,
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    ).eval()
    fill(sam, "torch_cases.meta")
    torch.save(sam.state_dict(), directory / "sam_vit_t.pth")
    optimizer = torch.optim.AdamW(sam.mask_decoder.iou_prediction_head.parameters())
    optimizer.step()
    averaged = {name: tensor for name, tensor in sam.state_dict().items() if "iou_prediction_head" in name}
    torch.save(
        {"model": sam.state_dict(), "ema": averaged, "optimizer": optimizer.state_dict(), "epoch": 7},
        directory / "finetuned.pth",
    )
    picture = common.picture("torch_cases.meta", 48, 64, 3)
    Image.fromarray(picture).save(directory / "picture.png")
    predictor = SamPredictor(sam)
    predictor.set_image(picture)
    masks, iou, _ = predictor.predict(point_coords=np.array([[20.0, 30.0]]), point_labels=np.array([1]))
    with open(directory / "expected.txt", "w") as file:
        scores = " ".join(f"{x:.4f}" for x in iou.tolist())
        areas = " ".join(str(int(mask.sum())) for mask in masks)
        file.write(
            "Meta's .pth is read as it is, and so is a training checkpoint around it (with a warning of its \"ema\"): segment picture.png --point "
            f"20,30 has scores [{scores}] and areas [{areas}] as SamPredictor; it said 'a zip archive (a PyTorch "
            "checkpoint?)'\n"
        )


def generate(output: Path) -> None:
    warnings.simplefilter("ignore")
    cases = output.parent / "cases"
    openai(cases / "clip" / "30-openai-torchscript")
    meta(cases / "sam" / "30-meta-pth")
