"""Tiny SAMs with random weights: prompts, and the stages of prompt encoder and mask decoder."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from transformers import SamConfig, SamModel

from .common import seeded, write_json, write_tensors


@dataclass
class Case:
    """One directory under `sam_decoder/`."""

    name: str
    naming: str
    grid: int
    dim: int
    heads: int
    layers: int
    mlp: int
    mask_channels: int
    iou_depth: int
    downsample: int = 2


CASES = [
    Case("huggingface", "huggingface", grid=9, dim=32, heads=4, layers=3, mlp=40, mask_channels=8, iou_depth=4,
         downsample=1),
    Case("original", "original", grid=17, dim=64, heads=8, layers=2, mlp=96, mask_channels=16, iou_depth=3),
]


@dataclass
class Prompt:
    """Places in units of the input's side; `mask` asks for a mask prompt."""

    points: list[tuple[float, float, int]] = field(default_factory=list)
    box: tuple[float, float, float, float] | None = None
    mask: bool = False
    multimask: bool = True
    stages: bool = False  # whether to keep the large stages


PROMPTS = {
    "point": Prompt([(0.3, 0.7, 1)], stages=True),
    "point-single": Prompt([(0.3, 0.7, 1)], multimask=False),
    "negative": Prompt([(0.6, 0.2, 0)]),
    "points": Prompt([(0.1, 0.2, 1), (0.8, 0.9, 0), (0.55, 0.4, 1)], multimask=False),
    "padding": Prompt([(0.25, 0.5, 1), (0.9, 0.9, -1)]),
    "box": Prompt(box=(0.2, 0.1, 0.7, 0.85)),
    "box-single": Prompt(box=(0.05, 0.1, 0.4, 0.5), multimask=False),
    "point-box": Prompt([(0.4, 0.4, 1), (0.6, 0.6, 0)], box=(0.2, 0.1, 0.7, 0.85)),
    "outside": Prompt([(-0.2, 1.3, 1)]),
    "mask": Prompt(mask=True),
    "point-mask": Prompt([(0.35, 0.65, 1)], mask=True, multimask=False, stages=True),
    "box-mask": Prompt(box=(0.3, 0.3, 0.9, 0.6), mask=True),
    "nothing": Prompt(),
    "many": Prompt([(i * 37 % 71 / 71, i * 29 % 71 / 71, i % 2) for i in range(70)], multimask=False),
}


def fill(model: torch.nn.Module, name: str) -> None:
    """Random parameters under which every stage keeps magnitudes of order one; see `clip.fill`."""
    generator = seeded(name)
    with torch.no_grad():
        for key, p in sorted(model.state_dict().items()):
            noise = torch.randn(p.shape, generator=generator)
            if "norm" in key or "output_upscaling.1" in key or "mask_downscaling.1" in key \
                    or "mask_downscaling.4" in key or "neck.1" in key or "neck.3" in key:
                p.copy_(0.2 * noise + (1.0 if key.endswith("weight") else 0.0))
            elif "frequencies" in key or "positional_embedding" in key or "gaussian" in key:
                p.copy_(noise)
            elif "embed" in key and "mask_embed.c" not in key or "token.weight" in key or "tokens.weight" in key:
                p.copy_(0.5 * noise)
            elif p.dim() == 1:
                p.copy_(0.2 * noise)
            elif "upscal" in key:
                p.copy_(noise * p.shape[0] ** -0.5)  # [inputs, outputs, 2, 2], each tap by itself
            else:
                p.copy_(noise * p[0].numel() ** -0.5)


def build_hugging_face(case: Case) -> SamModel:
    size = 16 * case.grid
    config = SamConfig(
        vision_config={"hidden_size": 16, "output_channels": case.dim, "num_hidden_layers": 1,
                       "num_attention_heads": 2, "image_size": size, "mlp_dim": 24, "window_size": 0,
                       "global_attn_indexes": [0], "num_pos_feats": case.dim // 2},
        prompt_encoder_config={"hidden_size": case.dim, "image_size": size,
                               "mask_input_channels": case.mask_channels},
        mask_decoder_config={"hidden_size": case.dim, "mlp_dim": case.mlp, "num_hidden_layers": case.layers,
                             "num_attention_heads": case.heads, "iou_head_depth": case.iou_depth,
                             "attention_downsample_rate": case.downsample, "iou_head_hidden_dim": 24},
    )
    model = SamModel(config).eval().float()
    fill(model, case.name)
    # Both are one parameter in every published checkpoint, saved twice.
    model.prompt_encoder.shared_embedding.positional_embedding.data = \
        model.shared_image_embedding.positional_embedding.data
    return model


def build_original(case: Case) -> Sam:
    size = 16 * case.grid
    sides = (case.grid, case.grid)
    model = Sam(
        image_encoder=ImageEncoderViT(img_size=size, patch_size=16, embed_dim=16, depth=1, num_heads=2,
                                      out_chans=case.dim, use_rel_pos=True, global_attn_indexes=(0,)),
        prompt_encoder=PromptEncoder(case.dim, sides, (size, size), case.mask_channels),
        mask_decoder=MaskDecoder(
            transformer_dim=case.dim, iou_head_depth=case.iou_depth, iou_head_hidden_dim=24,
            transformer=TwoWayTransformer(case.layers, case.dim, case.heads, case.mlp,
                                          attention_downsample_rate=case.downsample)),
    ).eval()
    fill(model, case.name)
    return model


class Decoder:
    """Both implementations behind one call."""

    def __init__(self, case: Case, model):
        self.case, self.model = case, model
        self.is_hf = case.naming == "huggingface"
        self.decoder = model.mask_decoder

    def positions(self):
        if self.is_hf:
            return self.model.get_image_wide_positional_embeddings()
        return self.model.prompt_encoder.get_dense_pe()

    def embed(self, points, labels, box, mask):
        if self.is_hf:
            unsqueeze = (lambda t: None if t is None else t[None, None])
            box = None if box is None else box[None, None]
            mask = None if mask is None else mask[None, None]
            return self.model.prompt_encoder(unsqueeze(points), unsqueeze(labels), box, mask)
        points = None if points is None else (points[None], labels[None])
        box = None if box is None else box[None]
        return self.model.prompt_encoder(points, box, None if mask is None else mask[None, None])

    def decode(self, image, sparse, dense, multimask):
        return self.decoder(image, self.positions(), sparse, dense, multimask)


def tokens(image: torch.Tensor) -> torch.Tensor:
    """[1, C, h, w] to [h * w, C]."""
    return image[0].flatten(1).T


def run(decoder: Decoder, name: str, prompt: Prompt, image: torch.Tensor) -> dict:
    """The prompt and the stages of its way to masks."""
    case = decoder.case
    size, side = 16 * case.grid, 4 * case.grid
    out = {"multimask": torch.tensor([int(prompt.multimask)])}
    points = labels = box = mask = None
    if prompt.points:
        points = torch.tensor([[x * size, y * size] for x, y, _ in prompt.points])
        labels = torch.tensor([label for *_, label in prompt.points])
        out |= {"points": points, "labels": labels}
    if prompt.box:
        out["box"] = box = torch.tensor(prompt.box) * size
    if prompt.mask:
        out["mask"] = mask = 6 * torch.randn(side, side, generator=seeded(f"{case.name}.{name}"))

    stages, handles = {}, []

    def watch(module, store):
        handles.append(module.register_forward_hook(lambda _m, _i, o: store(o)))

    transformer = decoder.decoder.transformer
    for i, layer in enumerate(transformer.layers):
        def store(o, i=i):
            stages[f"decoder.layers.{i}.tokens"], stages[f"decoder.layers.{i}.image"] = o[0], o[1]
        watch(layer, store)
    watch(transformer, lambda o: stages.__setitem__("decoder.tokens", o[0]))
    weights = []
    for mlp in decoder.decoder.output_hypernetworks_mlps:
        watch(mlp, lambda o: weights.append(o))
    if decoder.is_hf:
        # One module for both GELUs: what the second gives stays.
        watch(decoder.decoder.activation, lambda o: stages.__setitem__("decoder.upscaled", o))
    else:
        watch(decoder.decoder.output_upscaling, lambda o: stages.__setitem__("decoder.upscaled", o))

    sparse, dense = decoder.embed(points, labels, box, mask)
    if sparse is not None and sparse.numel():
        stages["prompt.sparse"] = sparse
    if mask is not None:
        stages["prompt.dense"] = tokens(dense)
    masks, iou = decoder.decode(image, sparse, dense, prompt.multimask)
    for handle in handles:
        handle.remove()
    stages["decoder.upscaled"] = stages["decoder.upscaled"][0].permute(1, 2, 0)
    which = slice(1, None) if prompt.multimask else slice(0, 1)
    stages["decoder.mask_weights"] = torch.stack([w.flatten() for w in weights])[which]
    stages["decoder.masks"], stages["decoder.iou"] = masks, iou
    large = ("prompt.dense", "decoder.upscaled", "decoder.layers.0.image", "decoder.layers.1.image")
    out |= {stage: t for stage, t in stages.items() if prompt.stages or stage not in large}
    return {f"{name}.{key}": t for key, t in out.items()}


def write_case(case: Case, directory: Path) -> None:
    """Weights, configuration and stages of one model."""
    model = build_hugging_face(case) if case.naming == "huggingface" else build_original(case)
    decoder = Decoder(case, model)
    image = torch.randn(1, case.dim, case.grid, case.grid, generator=seeded(case.name + ".image"))
    golden = {"embedding": tokens(image), "dense_pe": tokens(decoder.positions())}
    for name, prompt in PROMPTS.items():
        golden |= run(decoder, name, prompt, image)
    state = {n: t for n, t in model.state_dict().items() if "pixel_" not in n}
    if case.naming == "huggingface":
        write_json(directory / "config.json", hub_config(model))
        del state["prompt_encoder.shared_embedding.positional_embedding"]
    write_tensors(directory / "model.safetensors", state)
    write_tensors(directory / "golden.safetensors", golden)


def hub_config(model: SamModel) -> dict:
    """`config.json` with the keys that describe the model and none that steer Python."""
    keys = {
        "vision_config": ("hidden_size", "output_channels", "num_hidden_layers", "num_attention_heads",
                          "num_channels", "image_size", "patch_size", "hidden_act", "layer_norm_eps", "qkv_bias",
                          "use_abs_pos", "use_rel_pos", "window_size", "global_attn_indexes", "num_pos_feats",
                          "mlp_dim"),
        "prompt_encoder_config": ("hidden_size", "image_size", "patch_size", "mask_input_channels",
                                  "num_point_embeddings", "hidden_act", "layer_norm_eps"),
        "mask_decoder_config": ("hidden_size", "hidden_act", "mlp_dim", "num_hidden_layers",
                                "num_attention_heads", "attention_downsample_rate", "num_multimask_outputs",
                                "iou_head_depth", "iou_head_hidden_dim", "layer_norm_eps"),
    }
    whole = model.config.to_dict()
    return {"architectures": ["SamModel"], "model_type": "sam"} | {
        part: {key: whole[part][key] for key in names} for part, names in keys.items()}


def generate(root: Path) -> None:
    """Write `sam_decoder/`."""
    with torch.inference_mode():
        for case in CASES:
            write_case(case, root / "sam_decoder" / case.name)
