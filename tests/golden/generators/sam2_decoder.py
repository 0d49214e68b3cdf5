"""Tiny SAM 2 heads with random weights: prompts, and the stages of prompt encoder and mask decoder."""

from dataclasses import dataclass
from pathlib import Path

import torch
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam.prompt_encoder import PromptEncoder
from sam2.modeling.sam.transformer import TwoWayTransformer
from transformers import Sam2MaskDecoderConfig, Sam2PromptEncoderConfig
from transformers.models.sam2.modeling_sam2 import Sam2MaskDecoder, Sam2PositionalEmbedding, Sam2PromptEncoder

from .common import seeded, write_tensors
from .sam_decoder import PROMPTS, Prompt, fill, tokens


@dataclass
class Case:
    """One directory under `sam2_decoder/`."""

    name: str
    naming: str
    grid: int
    dim: int
    heads: int
    mlp: int
    mask_channels: int
    iou_depth: int
    object_layers: int = 3


CASES = [
    Case("huggingface", "huggingface", grid=9, dim=32, heads=4, mlp=40, mask_channels=8, iou_depth=3),
    Case("original", "original", grid=7, dim=40, heads=5, mlp=56, mask_channels=16, iou_depth=3),
    Case("original-linear", "original", grid=4, dim=16, heads=2, mlp=24, mask_channels=8, iou_depth=2,
         object_layers=1),
]

ASKED = ["point", "point-single", "points", "padding", "box", "box-single", "point-box", "point-mask", "box-mask",
         "nothing"]

# What a tracker asks on a frame without prompts: a padding point, and the one that always follows.
TRACKING = {
    "tracking": Prompt([(0.0, 0.0, -1)], multimask=True),
    "tracking-single": Prompt([(0.0, 0.0, -1)], multimask=False),
    "tracking-mask": Prompt([(0.0, 0.0, -1)], mask=True, multimask=False),
}

# Delta and threshold under which masks are stable or not.
STABILITY = [(0.05, 0.98), (0.01, 0.2), (0.3, 0.97)]

OBJECTS = 3


class Heads(torch.nn.Module):
    """Prompt encoder and mask decoder of either package behind one call, named as in its checkpoints."""

    def __init__(self, case: Case):
        super().__init__()
        self.case, self.is_hf = case, case.naming == "huggingface"
        size, sides = 16 * case.grid, (case.grid, case.grid)
        if self.is_hf:
            config = Sam2PromptEncoderConfig(hidden_size=case.dim, image_size=size,
                                             mask_input_channels=case.mask_channels)
            decoder = Sam2MaskDecoderConfig(hidden_size=case.dim, mlp_dim=case.mlp,
                                            num_attention_heads=case.heads, iou_head_depth=case.iou_depth,
                                            iou_head_hidden_dim=24)
            decoder._attn_implementation = "eager"
            self.shared_image_embedding = Sam2PositionalEmbedding(config)
            self.prompt_encoder = Sam2PromptEncoder(config)
            self.mask_decoder = Sam2MaskDecoder(decoder)
        else:
            self.sam_prompt_encoder = PromptEncoder(case.dim, sides, (size, size), case.mask_channels)
            self.sam_mask_decoder = MaskDecoder(
                transformer_dim=case.dim, iou_head_depth=case.iou_depth, iou_head_hidden_dim=24,
                transformer=TwoWayTransformer(2, case.dim, case.heads, case.mlp),
                use_high_res_features=True, iou_prediction_use_sigmoid=True, pred_obj_scores=True,
                pred_obj_scores_mlp=case.object_layers == 3, use_multimask_token_for_obj_ptr=True)
        fill(self, "sam2-" + case.name)
        if self.is_hf:
            # One parameter in every published checkpoint, saved twice.
            self.prompt_encoder.shared_embedding.positional_embedding.data = \
                self.shared_image_embedding.positional_embedding.data
        self.eval().float()

    @property
    def decoder(self):
        return self.mask_decoder if self.is_hf else self.sam_mask_decoder

    def positions(self):
        if not self.is_hf:
            return self.sam_prompt_encoder.get_dense_pe()
        centres = (torch.arange(self.case.grid) + 0.5) / self.case.grid
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        return self.shared_image_embedding(torch.stack([x, y], -1)).permute(2, 0, 1)[None]

    def embed(self, points, labels, box, mask):
        mask = None if mask is None else mask[None, None]
        if self.is_hf:
            unsqueeze = (lambda t: None if t is None else t[None, None])
            sparse, dense = self.prompt_encoder(unsqueeze(points), unsqueeze(labels), unsqueeze(box), mask)
            empty = torch.zeros(1, 1, 0, self.case.dim)
            return (empty if sparse is None else sparse), dense
        # The reference's image predictor passes a box as points. There its corners come first, here they come last:
        # attention does not care.
        coords = [] if points is None else [points]
        marks = [] if labels is None else [labels]
        if box is not None:
            coords.append(box.reshape(2, 2))
            marks.append(torch.tensor([2, 3]))
        points = (torch.cat(coords)[None], torch.cat(marks)[None]) if coords else None
        return self.sam_prompt_encoder(points, None, mask)

    def decode(self, image, maps, sparse, dense, multimask, stability=None):
        """`image: [n, C, g, g]`, sparse and dense embeddings of one prompt, which all images get."""
        self.decoder.dynamic_multimask_via_stability = stability is not None
        if stability is not None:
            self.decoder.dynamic_multimask_stability_delta, self.decoder.dynamic_multimask_stability_thresh = stability
        count = len(image)
        maps = [m.repeat(count, 1, 1, 1) for m in maps]
        if self.is_hf:
            sparse = sparse.repeat(count, 1, 1, 1)
            out = self.decoder(image, self.positions(), sparse, dense.repeat(count, 1, 1, 1), multimask, maps)
            masks, iou, _, score = out
            return masks[:, 0], iou[:, 0], score[:, 0]
        sparse = sparse.repeat(count, 1, 1)
        masks, iou, _, score = self.decoder(image, self.positions(), sparse, dense.repeat(count, 1, 1, 1), multimask,
                                            False, maps)
        return masks, iou, score


def run(heads: Heads, name: str, prompt: Prompt, image: torch.Tensor, maps: list) -> dict:
    """The prompt and the stages of its way to masks."""
    case = heads.case
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
        out["mask"] = mask = 6 * torch.randn(side, side, generator=seeded(f"sam2-{case.name}.{name}"))

    stages, weights, handles = {}, [], []

    def watch(module, store):
        handles.append(module.register_forward_hook(lambda _m, _i, o: store(o)))

    transformer = heads.decoder.transformer
    for i, layer in enumerate(transformer.layers):
        def store(o, i=i):
            stages[f"decoder.layers.{i}.tokens"], stages[f"decoder.layers.{i}.image"] = o[0], o[1]
        watch(layer, store)
    watch(transformer, lambda o: stages.__setitem__("decoder.tokens", o[0]))
    for mlp in heads.decoder.output_hypernetworks_mlps:
        watch(mlp, lambda o: weights.append(o))
    # Hugging Face has one module for both GELUs: what the second gives stays.
    gelu = heads.decoder.activation if heads.is_hf else heads.decoder.output_upscaling[4]
    watch(gelu, lambda o: stages.__setitem__("decoder.upscaled", o))

    sparse, dense = heads.embed(points, labels, box, mask)
    if sparse.numel():
        stages["prompt.sparse"] = sparse
    if mask is not None:
        stages["prompt.dense"] = tokens(dense)
    masks, iou, _ = heads.decode(image, maps, sparse, dense, prompt.multimask)
    for handle in handles:
        handle.remove()
    stages["decoder.upscaled"] = stages["decoder.upscaled"][0].permute(1, 2, 0)
    which = slice(1, None) if prompt.multimask else slice(0, 1)
    stages["decoder.mask_weights"] = torch.stack([w.flatten() for w in weights])[which]
    stages["decoder.masks"], stages["decoder.iou"] = masks, iou
    if not prompt.multimask:
        for i, stability in enumerate(STABILITY):
            stable, stable_iou, _ = heads.decode(image, maps, sparse, dense, False, stability)
            out[f"stability.{i}.options"] = torch.tensor(stability)
            out[f"stability.{i}.masks"], out[f"stability.{i}.iou"] = stable, stable_iou
            out[f"stability.{i}.replaced"] = torch.tensor([int(not torch.equal(stable, masks))])
    large = ("prompt.dense", "decoder.upscaled", "decoder.layers.0.image", "decoder.layers.1.image")
    out |= {stage: t for stage, t in stages.items() if prompt.stages or stage not in large}
    return {f"{name}.{key}": t for key, t in out.items()}


def objects(heads: Heads, maps: list) -> dict:
    """Objects of one frame: each has its own features, all have its larger maps."""
    case = heads.case
    image = torch.randn(OBJECTS, case.dim, case.grid, case.grid, generator=seeded(f"sam2-{case.name}.objects"))
    out = {"objects.embeddings": image.flatten(2).transpose(1, 2)}
    tokens_out = []
    handle = heads.decoder.transformer.register_forward_hook(lambda _m, _i, o: tokens_out.append(o[0]))
    masks = 6 * torch.randn(4 * case.grid, 4 * case.grid, generator=seeded(f"sam2-{case.name}.mask"))
    out["objects.mask"] = masks
    for name, mask in [("padding", None), ("mask", masks)]:
        sparse, dense = heads.embed(torch.zeros(1, 2), torch.tensor([-1]), None, mask)
        for multimask in [False, True]:
            masks_out, iou, score = heads.decode(image, maps, sparse, dense, multimask)
            kind = f"objects.{name}.{'multi' if multimask else 'single'}"
            out |= {f"{kind}.masks": masks_out, f"{kind}.iou": iou, f"{kind}.object_score": score,
                    f"{kind}.tokens": tokens_out[-1].reshape(OBJECTS, -1, case.dim)[:, 2:6]}
    handle.remove()
    return out


def write_case(case: Case, directory: Path) -> None:
    """Weights and stages of one model."""
    heads = Heads(case)
    noise = (lambda name, channels, side: torch.randn(1, channels, side, side,
                                                      generator=seeded(f"sam2-{case.name}.{name}")))
    image = noise("image", case.dim, case.grid)
    s0, s1 = noise("s0", case.dim // 8, 4 * case.grid), noise("s1", case.dim // 4, 2 * case.grid)
    golden = {"embedding": tokens(image), "s0": tokens(s0), "s1": tokens(s1), "dense_pe": tokens(heads.positions())}
    for name, prompt in ({name: PROMPTS[name] for name in ASKED} | TRACKING).items():
        golden |= run(heads, name, prompt, image, [s0, s1])
    golden |= objects(heads, [s0, s1])
    replaced = {int(t) for name, t in golden.items() if name.endswith(".replaced")}
    assert replaced == {0, 1}, "stable and unstable masks"
    scores = torch.cat([t.flatten() for name, t in golden.items() if name.endswith("object_score")])
    if case.object_layers == 3:
        assert scores.min() < 0 < scores.max(), "present and absent objects"
    state = heads.state_dict()
    state.pop("prompt_encoder.shared_embedding.positional_embedding", None)
    write_tensors(directory / "model.safetensors", state)
    write_tensors(directory / "golden.safetensors", golden)


def generate(root: Path) -> None:
    """Write `sam2_decoder/`."""
    with torch.inference_mode():
        for case in CASES:
            write_case(case, root / "sam2_decoder" / case.name)
