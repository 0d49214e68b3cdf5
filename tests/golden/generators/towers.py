"""Tiny PE-Cores and MobileCLIPs with random weights, and the stages of their forward pass.

The image towers are timm's, in OpenCLIP's models as OpenCLIP makes them. In Meta's and Apple's naming the models are those of
their own programs, which are no packages: `perception_models` and `ml-mobileclip`, whose directories are named in the
environment variables PERCEPTION_MODELS and ML_MOBILECLIP.
"""

import os
import sys
from functools import partial
from pathlib import Path

import open_clip
import timm
import torch
from timm.layers import LayerNorm, LayerNorm2d
from timm.models import convnext, eva, fastvit, vision_transformer, vision_transformer_hybrid

from .clip import CLIP_MEAN, CLIP_STD, Recorder, write_weights
from .common import seeded, write_json, write_tensors

EMBED, VOCAB, CONTEXT = 20, 150, 12
TEXT = {"context_length": CONTEXT, "vocab_size": VOCAB, "width": 64, "heads": 2, "layers": 2}


def fill(model: torch.nn.Module, name: str, dtype: torch.dtype) -> None:
    """Random parameters under which stages keep magnitudes of order one, rounded to the file's dtype.

    Matrices and kernels: N(0, 2/fan_in); norms: 1 + 0.2 N and 0.2 N, statistics of batch norms: means 0.5 N and variances
    between 0.3 and 2.3; layer scales: 0.3 + 0.1 N.
    """
    generator = seeded(name)
    with torch.no_grad():
        for key, tensor in sorted(model.state_dict().items()):
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if key in ("logit_scale", "logit_bias"):
                tensor.fill_(2.75 if key == "logit_scale" else -1.5)
            elif key.endswith("running_var"):
                tensor.copy_(0.3 + 2 * torch.rand(tensor.shape, generator=generator))
            elif key.endswith("running_mean"):
                tensor.copy_(0.5 * noise)
            elif "layer_scale" in key or "gamma" in key:
                tensor.copy_(0.3 + 0.1 * noise)
            elif key.endswith("bias"):
                tensor.copy_(0.2 * noise)
            elif "embed" in key and "patch" not in key or "latent" in key or "probe" in key or "cls" in key or "class" in key:
                tensor.copy_(0.5 * noise)
            elif tensor.dim() == 1:
                tensor.copy_(1 + 0.2 * noise)
            elif key.endswith("proj") or key.endswith("projection") or key.endswith("projection_layer"):
                tensor.copy_(noise * tensor.shape[0] ** -0.5)
            else:
                tensor.copy_(noise * (2 / tensor[0].numel()) ** 0.5)
            tensor.copy_(tensor.to(dtype))


def text_ids(name: str, context: int = CONTEXT) -> torch.Tensor:
    """Three texts of different lengths, whose end token has the highest id."""
    ids = torch.randint(1, VOCAB - 1, (3, context), generator=seeded(name + ".ids"))
    for row, end in zip(ids, (3, context // 2, context - 1)):
        row[end], row[end + 1:] = VOCAB - 1, 0
    return ids


def finish(model: torch.nn.Module, stages: dict, directory: Path, clamp: float = float("inf")) -> None:
    """Write `golden.safetensors`."""
    image, text = (e / e.norm(dim=-1, keepdim=True) for e in (stages["image_embeds"], stages["text_embeds"]))
    stages |= {"logit_scale": model.logit_scale}
    logits = model.logit_scale.exp().clamp(max=clamp) * image @ text.T
    if getattr(model, "logit_bias", None) is not None:
        logits = logits + model.logit_bias
        stages["logit_bias"] = model.logit_bias.reshape(1)
    stages["logits_per_image"] = logits
    for key, value in stages.items():
        print(f"  {directory.name} {key} {list(value.shape)} rms {value.float().square().mean().sqrt():.2f}")
    write_tensors(directory / "golden.safetensors", stages)


# OpenCLIP's models with timm's towers. The registered names say what no tensor does; the sizes are made tiny.

PE = dict(global_pool="map", attn_type="rope", use_pre_transformer_norm=True, use_rot_pos_emb=True,
          rope_grid_indexing="xy", attn_pool_num_heads=8, attn_pool_mlp_ratio=3.0, norm_layer=partial(LayerNorm, eps=1e-5))
MCI = dict(pos_embs=(None, None, None, partial(fastvit.RepConditionalPosEnc, spatial_shape=(7, 7))),
           token_mixers=("repmixer",) * 3 + ("attention",), se_downsamples=(False, False, True, True), lkc_use_act=True)


def pe_tiny(num_classes, global_pool, **_):
    return eva.Eva(img_size=48, patch_size=16, embed_dim=48, depth=2, num_heads=3, mlp_ratio=2.5, num_classes=num_classes,
                   ref_feat_shape=(3, 3), rope_grid_offset=1.0, **PE | {"global_pool": global_pool})


def pe_gigantic(num_classes, global_pool, **_):
    return eva.Eva(img_size=56, patch_size=14, embed_dim=64, depth=2, num_heads=16, mlp_ratio=2, num_classes=num_classes,
                   class_token=False, ref_feat_shape=(4, 4), **PE | {"global_pool": global_pool})


def mci0(num_classes, global_pool, **_):
    return fastvit.FastVit(layers=(1, 1, 2, 1), embed_dims=(8, 16, 32, 64), mlp_ratios=(3,) * 4, num_classes=num_classes,
                           global_pool=global_pool, **MCI)


def mci3(num_classes, global_pool, **_):
    encode = partial(fastvit.RepConditionalPosEnc, spatial_shape=(7, 7))
    return fastvit.FastVit(layers=(1,) * 5, embed_dims=(4, 8, 16, 32, 64), mlp_ratios=(2,) * 5, num_classes=num_classes,
                           global_pool=global_pool, se_downsamples=(False,) * 5, downsamples=(False,) + (True,) * 4,
                           pos_embs=(None, None, None, encode, encode), token_mixers=("repmixer",) * 3 + ("attention",) * 2,
                           lkc_use_act=True, norm_layer=partial(LayerNorm2d, eps=1e-5), stem_use_scale_branch=False)


def mci_vit(num_classes, global_pool, **_):
    backbone = vision_transformer_hybrid.ConvStem(channels=(12, 12, 48), stride=(4, 2, 2), kernel_size=(4, 2, 2), padding=0,
                                                  act_layer=torch.nn.GELU)
    embed = partial(timm.layers.HybridEmbed, backbone=backbone, proj=False)
    return vision_transformer.VisionTransformer(img_size=48, patch_size=1, embed_dim=48, depth=2, num_heads=12, no_embed_class=True,
                                                embed_layer=embed, num_classes=num_classes, global_pool=global_pool)


def clip_vit(num_classes, global_pool, **_):
    return vision_transformer.VisionTransformer(img_size=56, patch_size=14, embed_dim=64, depth=2, num_heads=16, pre_norm=True,
                                                norm_layer=partial(LayerNorm, eps=1e-5), num_classes=num_classes,
                                                global_pool=global_pool)


def siglip_vit(num_classes, global_pool, **_):
    return vision_transformer.VisionTransformer(img_size=48, patch_size=14, embed_dim=EMBED * 3, depth=2, num_heads=12,
                                                class_token=False, num_classes=num_classes, global_pool=global_pool)


def eva_giant(num_classes, global_pool, **_):
    return eva.Eva(img_size=24, patch_size=8, embed_dim=64, depth=1, num_heads=16, mlp_ratio=2, num_classes=num_classes,
                   global_pool=global_pool)


def eva02(num_classes, global_pool, **_):
    return eva.Eva(img_size=24, patch_size=8, embed_dim=48, depth=2, num_heads=12, mlp_ratio=4 * 2 / 3, qkv_fused=False,
                   swiglu_mlp=True, scale_mlp=True, scale_attn_inner=True, use_rot_pos_emb=True, ref_feat_shape=(16, 16),
                   num_classes=num_classes, global_pool=global_pool)


SIGLIP_TEXT = {"no_causal_mask": True, "proj_bias": True, "pool_type": "last", "norm_kwargs": {"eps": 1e-6}}
SQUASH = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"}
PLAIN = {"mean": [0.0] * 3, "std": [1.0] * 3, "interpolation": "bilinear", "resize_mode": "shortest"}
# name, timm's name, tower, input size, pool, text settings, preprocessing, dtype
OPENCLIP = [
    ("pe-timm", "vit_pe_core_tiny_patch16_384", pe_tiny, 48, "map", {}, SQUASH, torch.float16),
    ("pe-timm-g", "vit_pe_core_gigantic_patch14_448", pe_gigantic, 56, "map", {}, SQUASH, torch.bfloat16),
    ("mobileclip-s0-timm", "fastvit_mci0", mci0, 64, "avg", {"no_causal_mask": True}, PLAIN, torch.float16),
    ("mobileclip-s3-timm", "fastvit_mci3", mci3, 128, "avg", {"no_causal_mask": True},
     PLAIN | {"mean": CLIP_MEAN, "std": CLIP_STD}, torch.float16),
    ("mobileclip-b-timm", "vit_base_mci_224", mci_vit, 48, "token", {"no_causal_mask": False}, PLAIN, torch.float16),
    ("mobileclip-l-timm", "vit_large_patch14_clip_224", clip_vit, 56, "token", {"no_causal_mask": True},
     PLAIN | {"mean": CLIP_MEAN, "std": CLIP_STD}, torch.bfloat16),
    ("eva-timm", "eva_giant_patch14_clip_224", eva_giant, 24, "token", {"width": 32, "layers": 1},
     PLAIN | {"mean": CLIP_MEAN, "std": CLIP_STD, "interpolation": "bicubic"}, torch.float16),
    ("eva02-timm", "eva02_base_patch16_clip_224", eva02, 24, "token", {"width": 32, "layers": 1},
     PLAIN | {"mean": CLIP_MEAN, "std": CLIP_STD, "interpolation": "bicubic"}, torch.bfloat16),
    ("siglip-timm", "vit_base_patch16_siglip_224", siglip_vit, 48, "map", SIGLIP_TEXT, SQUASH, torch.float16),
]


def timm_stages(trunk: torch.nn.Module, encode) -> dict:
    """Named stages of one of timm's towers; maps as [B, H, W, C]."""
    stages = {}
    with Recorder(stages) as record:
        if isinstance(trunk, fastvit.FastVit):
            record("vision.stem", trunk.stem)
            for i, stage in enumerate(trunk.stages):
                if i:
                    record(f"vision.stages.{i}.downsample", stage.downsample)
                for j, block in enumerate(stage.blocks):
                    record(f"vision.stages.{i}.blocks.{j}", block)
            record("pooled", trunk.head.global_pool)
        else:
            before = getattr(trunk, "pos_drop", None) if isinstance(trunk, eva.Eva) and trunk.attn_pool is None else trunk.norm_pre
            record("vision.pre_layrnorm" if isinstance(before, torch.nn.LayerNorm) else "vision.embeddings", before)
            if isinstance(before, torch.nn.LayerNorm):
                trunk.norm_pre.register_forward_pre_hook(lambda _, inputs: stages.update({"vision.embeddings": inputs[0]}))
            for i, block in enumerate(trunk.blocks):
                record(f"vision.layers.{i}", block)
            if trunk.attn_pool is not None:
                record("vision.post_layernorm", trunk.norm)
            record("vision.pooled", trunk.fc_norm)
        stages["image_embeds"] = encode()
    if isinstance(trunk, fastvit.FastVit):
        pooled = stages.pop("pooled").flatten(1)
        stages = {key: value.permute(0, 2, 3, 1) if value.dim() == 4 else value for key, value in stages.items()}
        stages |= {"vision.pooled.even": pooled[:, 0::2], "vision.pooled.odd": pooled[:, 1::2]}
    elif isinstance(trunk.head, torch.nn.Identity):
        del stages["vision.pooled"]
    return {key: value.clone() for key, value in stages.items()}


def openclip_text_stages(text: torch.nn.Module, ids: torch.Tensor, last: bool) -> dict:
    """Named stages of an OpenCLIP text tower."""
    stages = {"input_ids": ids, "text.embeddings": text.token_embedding(ids) + text.positional_embedding}
    with Recorder(stages) as record:
        for i, block in enumerate(text.transformer.resblocks):
            record(f"text.layers.{i}", block)
        record("text.final_layer_norm", text.ln_final)
        stages["text_embeds"] = text(ids)
    ends = torch.full((len(ids),), ids.shape[1] - 1) if last else ids.argmax(-1)
    return stages | {"text.pooled": stages["text.final_layer_norm"][torch.arange(len(ids)), ends]}


def convnext_tower(**options) -> torch.nn.Module:
    net = convnext.ConvNeXt(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32), **options)
    net.default_cfg = {"pool_size": (2, 2)}
    return net


CONVNEXT = [
    # name, timm's name, projection, tower, dtype; the text tower's tensors have no prefix.
    ("convnext-timm", "convnext_base", "linear", {}, torch.float16),
    ("convnext-d-timm", "convnext_xxlarge", "mlp", {"norm_eps": 1e-5}, torch.bfloat16),
]


def write_convnext(case: tuple, directory: Path) -> None:
    """LAION's convolutional CLIPs."""
    name, timm_name, proj, options, dtype = case
    image, text = 64, TEXT | {"width": 32, "layers": 1}
    config = {"embed_dim": EMBED, "text_cfg": text,
              "vision_cfg": {"timm_model_name": timm_name, "timm_model_pretrained": False, "timm_pool": "", "timm_proj": proj,
                             "timm_drop": 0.0, "timm_drop_path": 0.1, "image_size": image}}
    create, timm.create_model = timm.create_model, lambda name, **_: convnext_tower(**options)
    try:
        model = open_clip.CLIP(**config).eval()
    finally:
        timm.create_model = create
    fill(model, name, dtype)
    pixels = torch.randn(2, 3, image, image, generator=seeded(name + ".pixels"))
    stages, trunk = {"pixels": pixels}, model.visual.trunk
    with Recorder(stages) as record:
        record("vision.stem", trunk.stem)
        for i, stage in enumerate(trunk.stages):
            if i:
                record(f"vision.stages.{i}.downsample", stage.downsample)
            for j, block in enumerate(stage.blocks):
                record(f"vision.stages.{i}.blocks.{j}", block)
        record("pooled", trunk.head.norm)
        stages["image_embeds"] = model.encode_image(pixels)
    stages = {key: value.permute(0, 2, 3, 1) if value.dim() == 4 and key != "pixels" else value for key, value in stages.items()}
    stages["vision.pooled"] = stages.pop("pooled").flatten(1)
    ids = text_ids(name)
    stages |= {"input_ids": ids, "text.embeddings": model.token_embedding(ids) + model.positional_embedding}
    with Recorder(stages) as record:
        for i, block in enumerate(model.transformer.resblocks):
            record(f"text.layers.{i}", block)
        record("text.final_layer_norm", model.ln_final)
        stages["text_embeds"] = model.encode_text(ids)
    stages["text.pooled"] = stages["text.final_layer_norm"][torch.arange(len(ids)), ids.argmax(-1)]
    write_weights(directory / "open_clip_model.safetensors", model.state_dict(), dtype)
    preprocess = {"mean": CLIP_MEAN, "std": CLIP_STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    write_json(directory / "open_clip_config.json", {"model_cfg": config, "preprocess_cfg": preprocess})
    finish(model, stages, directory)


def write_openclip(case: tuple, directory: Path) -> None:
    """One of OpenCLIP's models."""
    name, timm_name, tower, image, pool, text, preprocess, dtype = case
    is_siglip = name.startswith("siglip")
    embed = 3 * EMBED if is_siglip else EMBED
    config = {"embed_dim": embed, "custom_text": True,
              "vision_cfg": {"image_size": image, "timm_model_name": timm_name, "timm_model_pretrained": False,
                             "timm_pool": pool, "timm_proj": "none" if is_siglip else None},
              "text_cfg": TEXT | text}
    if is_siglip:
        config["init_logit_bias"] = -10
    create, timm.create_model = timm.create_model, lambda name, **arguments: tower(**arguments)
    try:
        arguments = {key: value for key, value in config.items() if key != "custom_text"}
        model = open_clip.CustomTextCLIP(**arguments).eval()
    finally:
        timm.create_model = create
    fill(model, name, dtype)
    pixels = torch.randn(2, 3, image, image, generator=seeded(name + ".pixels"))
    stages = {"pixels": pixels} | timm_stages(model.visual.trunk, lambda: model.encode_image(pixels))
    stages |= openclip_text_stages(model.text, text_ids(name), is_siglip)
    write_weights(directory / "open_clip_model.safetensors", model.state_dict(), dtype)
    write_json(directory / "open_clip_config.json", {"model_cfg": config, "preprocess_cfg": preprocess})
    finish(model, stages, directory)
    if isinstance(model.visual.trunk, fastvit.FastVit) and name.endswith("s0-timm"):
        # The same model with its branches folded by timm, in f32.
        for module in list(model.modules()):
            if hasattr(module, "reparameterize"):
                module.reparameterize()
        write_weights(directory / "folded" / "open_clip_model.safetensors", model.state_dict(), torch.float32)
        write_json(directory / "folded" / "open_clip_config.json", {"model_cfg": config, "preprocess_cfg": preprocess})
        again = model.encode_image(pixels)
        error = (again - stages["image_embeds"]).abs().max() / stages["image_embeds"].abs().max()
        print(f"  {name}: timm's own folding changes embeddings by {error:.1e} of the largest")


# Meta's.

def write_pe(name: str, image: int, patch: int, width: int, has_class: bool, resized: tuple, directory: Path) -> None:
    """A PE-Core of `perception_models`."""
    sys.path.insert(0, os.environ["PERCEPTION_MODELS"])
    from core.vision_encoder.config import PEConfig, PETextConfig
    from core.vision_encoder.pe import CLIP

    vision = PEConfig(image_size=image, patch_size=patch, width=width, layers=2, heads=width // 64, mlp_ratio=2.5,
                      output_dim=EMBED, use_cls_token=has_class)
    model = CLIP(vision, PETextConfig(CONTEXT, 64, 1, 2, EMBED, vocab_size=VOCAB)).eval()
    fill(model, name, torch.float16)
    visual = model.visual

    def vision_stages(pixels: torch.Tensor) -> dict:
        stages = {"pixels": pixels}
        hook = visual.ln_pre.register_forward_pre_hook(lambda _, inputs: stages.update({"vision.embeddings": inputs[0]}))
        with Recorder(stages) as record:
            record("vision.pre_layrnorm", visual.ln_pre)
            for i, block in enumerate(visual.transformer.resblocks):
                record(f"vision.layers.{i}", block)
            record("vision.post_layernorm", visual.ln_post)
            record("vision.pooled", visual.attn_pool)
            stages["image_embeds"] = model.encode_image(pixels)
        hook.remove()
        stages["vision.pooled"] = stages["vision.pooled"].squeeze(1)
        return stages

    stages = vision_stages(torch.randn(2, 3, image, image, generator=seeded(name + ".pixels")))
    ids = text_ids(name)
    stages |= {"input_ids": ids, "text.embeddings": model.token_embedding(ids) + model.positional_embedding}
    with Recorder(stages) as record:
        for i, block in enumerate(model.transformer.resblocks):
            record(f"text.layers.{i}", block)
        record("text.final_layer_norm", model.ln_final)
        stages["text_embeds"] = model.encode_text(ids)
    stages["text.pooled"] = stages["text.final_layer_norm"][torch.arange(len(ids)), ids.argmax(-1)]
    write_weights(directory / "model.safetensors", model.state_dict(), torch.float16)
    finish(model, stages, directory)
    h, w = resized
    pixels = torch.randn(1, 3, h, w, generator=seeded(name + ".resized"))
    write_tensors(directory / f"golden_{h}x{w}.safetensors", vision_stages(pixels))


# Apple's.

def write_mobile_clip(name: str, variant: str, directory: Path) -> None:
    """A MobileCLIP of `ml-mobileclip`: `hybrid` is S0, with convolutions in its text tower, `vit` is B."""
    sys.path.insert(0, os.environ["ML_MOBILECLIP"])
    import mobileclip.models.mci as mci
    import mobileclip.models.vit as vit
    from mobileclip.clip import CLIP
    from timm.models import register_model

    if variant == "hybrid":
        def vitrum_mci(pretrained=False, **arguments):
            return mci.FastViT([1, 1, 2, 1], token_mixers=("repmixer",) * 3 + ("attention",), embed_dims=[8, 16, 32, 64],
                               pos_embs=[None, None, None, partial(mci.RepCPE, spatial_shape=(7, 7))], mlp_ratios=[3] * 4,
                               downsamples=[True] * 4, se_downsamples=[False, False, True, True], **arguments)
        build, image, size = vitrum_mci, "vitrum_mci", 64
    else:
        def vitrum_vit(pretrained=False, **arguments):
            config = {"norm_layer": "layer_norm_fp32", "embed_dim": 48, "n_transformer_layers": 2, "n_attn_heads": 12}
            return vit.VisionTransformer(cfg=config, **arguments)
        build, image, size = vitrum_vit, "vitrum_vit", 224
    build.__module__ = mci.__name__
    register_model(build)
    text = {"context_length": CONTEXT, "vocab_size": VOCAB, "dim": 64, "ffn_multiplier_per_layer": 4.0,
            "n_heads_per_layer": 2, "n_transformer_layers": 2, "norm_layer": "layer_norm_fp32",
            "causal_masking": variant == "vit", "model_name": "mct" if variant == "hybrid" else "base"}
    config = {"embed_dim": EMBED, "image_cfg": {"image_size": size, "model_name": image}, "text_cfg": text}
    model = CLIP(config).eval()
    fill(model, name, torch.float16)
    trunk, tower = model.image_encoder.model, model.text_encoder
    pixels = torch.randn(1 if variant == "vit" else 2, 3, size, size, generator=seeded(name + ".pixels"))
    stages = {"pixels": pixels}
    with Recorder(stages) as record:
        if variant == "hybrid":
            record("vision.stem", trunk.patch_embed)
            for i, part in enumerate((0, 2, 4, 7)):
                if i:
                    record(f"vision.stages.{i}.downsample", trunk.network[(1, 3, 5)[i - 1]])
                for j, block in enumerate(trunk.network[part]):
                    record(f"vision.stages.{i}.blocks.{j}", block)
            record("pooled", trunk.head.pool)
        else:
            record("vision.embeddings", trunk.emb_dropout)
            for i, block in enumerate(trunk.transformer):
                record(f"vision.layers.{i}", block)
            record("vision.norm", trunk.post_transformer_norm)
        stages["image_embeds"] = model.encode_image(pixels)
    if variant == "hybrid":
        pooled = stages.pop("pooled")
        stages = {key: value.permute(0, 2, 3, 1) if value.dim() == 4 and key != "pixels" else value
                  for key, value in stages.items()}
        stages |= {"vision.pooled.even": pooled[:, 0::2], "vision.pooled.odd": pooled[:, 1::2]}
    else:
        stages["vision.pooled"] = stages.pop("vision.norm")[:, 0]
    ids = text_ids(name)
    stages |= {"input_ids": ids, "text.embeddings": tower.forward_embedding(ids)}
    layers = list(tower.transformer)
    with Recorder(stages) as record:
        if variant == "hybrid":
            record("text.mixers.0", layers[0])
            record("text.mixers.1", layers[-1])
            layers = layers[1:-1]
        for i, block in enumerate(layers):
            record(f"text.layers.{i}", block)
        record("text.final_layer_norm", tower.final_layer_norm)
        stages["text_embeds"] = model.encode_text(ids)
    stages["text.pooled"] = stages["text.final_layer_norm"][torch.arange(len(ids)), ids.argmax(-1)]
    write_weights(directory / "model.safetensors", model.state_dict(), torch.float16)
    write_json(directory / "config.json", config)
    finish(model, stages, directory, 100.0)


def generate(root: Path) -> None:
    """Write `clip/pe-*`, `clip/mobileclip-*`, `clip/eva*`, `clip/convnext-*` and `clip/siglip-timm`."""
    with torch.inference_mode(False), torch.no_grad():
        for case in OPENCLIP:
            write_openclip(case, root / "clip" / case[0])
        for case in CONVNEXT:
            write_convnext(case, root / "clip" / case[0])
        write_pe("pe-meta", 48, 16, 128, True, (64, 48), root / "clip" / "pe-meta")
        write_pe("pe-meta-g", 42, 14, 64, False, (28, 56), root / "clip" / "pe-meta-g")
        write_mobile_clip("mobileclip-s0-apple", "hybrid", root / "clip" / "mobileclip-s0-apple")
        write_mobile_clip("mobileclip-b-apple", "vit", root / "clip" / "mobileclip-b-apple")
