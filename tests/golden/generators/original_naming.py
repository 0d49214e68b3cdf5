"""transformers' CLIP weights under OpenAI's and OpenCLIP's tensor names, and the proof of it."""

import open_clip
import torch

BLOCK = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj", "self_attn.out_proj": "attn.out_proj",
}
TOWERS = {"vision_model": "visual.transformer", "text_model": "transformer"}
PLAIN = {
    "logit_scale": "logit_scale",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
}


def to_original(state: dict, vision_layers: int, text_layers: int) -> dict:
    """Rename, stack q, k, v into `in_proj`, and transpose the projections to [width, embed]."""
    out = {new: state[old] for old, new in PLAIN.items()}
    out["visual.proj"] = state["visual_projection.weight"].T
    out["text_projection"] = state["text_projection.weight"].T
    for (hf, original), layers in zip(TOWERS.items(), (vision_layers, text_layers)):
        for i in range(layers):
            source, target = f"{hf}.encoder.layers.{i}", f"{original}.resblocks.{i}"
            for kind in ("weight", "bias"):
                for old, new in BLOCK.items():
                    out[f"{target}.{new}.{kind}"] = state[f"{source}.{old}.{kind}"]
                out[f"{target}.attn.in_proj_{kind}"] = torch.cat(
                    [state[f"{source}.self_attn.{p}_proj.{kind}"] for p in "qkv"])
    assert sum(t.numel() for t in out.values()) == sum(t.numel() for t in state.values())
    return out


def open_clip_config(case, mean: list[float], std: list[float]) -> dict:
    """`open_clip_config.json`. What equals OpenCLIP's default is left out, as it is in the hub's
    files: `head_width` 64, `mlp_ratio` 4, `quick_gelu` false."""
    width, heads, layers, mlp = case.vision
    vision = {"image_size": case.image, "layers": layers, "width": width, "patch_size": case.patch}
    if width // heads != 64:
        vision["head_width"] = width // heads
    if mlp != 4 * width:
        # Rounded as in OpenCLIP's ViT-g-14 (4.3637): int(width · ratio) must give the width back.
        vision["mlp_ratio"] = round((mlp + 0.5) / width, 4)
        assert int(width * vision["mlp_ratio"]) == mlp
    width, heads, layers, _ = case.text
    text = {"context_length": case.context, "vocab_size": case.vocab, "width": width,
            "heads": heads, "layers": layers}
    return {"model_cfg": {"embed_dim": case.embed, "vision_cfg": vision, "text_cfg": text},
            "preprocess_cfg": {"mean": mean, "std": std}}


def check_against_open_clip(case, original: dict, stages: dict) -> None:
    """open_clip's own model with these tensors gives transformers' embeddings."""
    config = open_clip_config(case, [], [])["model_cfg"]
    model = open_clip.CLIP(**config, quick_gelu=case.activation == "quick_gelu").eval()
    model.load_state_dict(original)
    ids = stages["input_ids"]
    for name, got in (("image_embeds", model.encode_image(stages["pixels"])),
                      ("text_embeds", model.encode_text(ids))):
        error = (got - stages[name]).abs().max() / stages[name].abs().max()
        print(f"  {case.name}: open_clip and transformers differ by {error:.1e} on {name}")
        assert error < 1e-5
