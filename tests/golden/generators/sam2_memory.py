"""Tiny SAM 2s with random weights: memory attention, memory encoder and object pointers."""

from dataclasses import dataclass
from pathlib import Path

import torch
from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.modeling.sam2_base import SAM2Base
from sam2.modeling.sam2_utils import get_1d_sine_pe
from transformers import Sam2VideoConfig, Sam2VideoModel

from .common import seeded, write_tensors

MEMORIES = 4  # num_maskmem
OBJECTS = 2
FRAMES = 8


@dataclass
class Case:
    """One directory under `sam2_memory/`."""

    name: str
    naming: str
    v21: bool
    grid: int
    dim: int
    mem_dim: int
    layers: int
    mlp: int


CASES = [
    Case("original-2.1", "original", True, grid=5, dim=32, mem_dim=8, layers=2, mlp=48),
    Case("original-2.0", "original", False, grid=6, dim=32, mem_dim=32, layers=2, mlp=40),
    Case("huggingface-2.1", "huggingface", True, grid=5, dim=128, mem_dim=64, layers=1, mlp=64),
    Case("huggingface-2.0", "huggingface", False, grid=4, dim=64, mem_dim=64, layers=2, mlp=40),
]


@dataclass
class Scene:
    """What is remembered when frame `frame` comes; prompted frames and tracked ones."""

    frame: int
    prompted: list[int]
    tracked: list[int]
    pointers: bool = True

    def memories(self) -> list[tuple[int, int]]:
        """Frames and their rows of the temporal encodings, in the reference's order."""
        recent = [(t, self.frame - t - 1) for t in sorted(self.tracked) if self.frame - t < MEMORIES]
        return [(t, MEMORIES - 1) for t in self.prompted] + recent

    def distances(self, signed: bool) -> list[tuple[int, int]]:
        """Frames whose pointers are attended to, and their distances."""
        if not self.pointers:
            return []
        prompted = [(t, self.frame - t if signed else abs(self.frame - t)) for t in self.prompted]
        return prompted + [(t, self.frame - t) for t in sorted(self.tracked, reverse=True)]


SCENES = {
    "first": Scene(1, [0], []),
    "spatial": Scene(2, [0], [1], pointers=False),
    "several": Scene(5, [0, 7], [2, 3, 4]),
}


def fill(model: torch.nn.Module, name: str) -> None:
    """Random parameters, as bfloat16 has them, under which every stage keeps magnitudes of order one."""
    generator = seeded(name)
    with torch.no_grad():
        for key, p in sorted(model.state_dict().items()):
            if not p.is_floating_point():
                continue
            noise = torch.randn(p.shape, generator=generator)
            if "norm" in key or key.endswith("encoder.1.weight"):
                value = 0.2 * noise + (1.0 if key.endswith("weight") else 0.0)
            elif p.dim() <= 1:
                value = 0.3 * noise
            elif "attn" in key and ("q_proj" in key or "k_proj" in key):
                value = noise * 1.5 * p[0].numel() ** -0.5
            else:
                value = noise * p[0].numel() ** -0.5
            p.copy_(value.bfloat16())


def build_original(case: Case) -> SAM2Base:
    dim = case.dim

    def attention(**options):
        return RoPEAttention(embedding_dim=dim, num_heads=1, downsample_rate=1, dropout=0.0,
                             feat_sizes=(case.grid, case.grid), **options)

    layer = MemoryAttentionLayer(
        activation="relu", d_model=dim, dim_feedforward=case.mlp, dropout=0.0, pos_enc_at_attn=False,
        pos_enc_at_cross_attn_keys=True, pos_enc_at_cross_attn_queries=False, self_attention=attention(),
        cross_attention=attention(rope_k_repeat=True, kv_in_dim=case.mem_dim))
    encoder = MemoryEncoder(
        out_dim=case.mem_dim, in_dim=dim, position_encoding=PositionEmbeddingSine(case.mem_dim),
        mask_downsampler=MaskDownSampler(embed_dim=dim, kernel_size=3, stride=2, padding=1),
        fuser=Fuser(CXBlock(dim=dim, kernel_size=7, padding=3), num_layers=2))
    trunk = Hiera(embed_dim=8, num_heads=1, stages=(1, 1, 1, 1), global_att_blocks=(2,))
    neck = FpnNeck(PositionEmbeddingSine(dim), dim, [64, 32, 16, 8])
    model = SAM2Base(
        ImageEncoder(trunk, neck, scalp=1), MemoryAttention(dim, True, layer, case.layers), encoder,
        num_maskmem=MEMORIES, image_size=16 * case.grid, sigmoid_scale_for_mem_enc=20.0,
        sigmoid_bias_for_mem_enc=-10.0, binarize_mask_from_pts_for_mem_enc=True,
        use_mask_input_as_output_without_sam=True, directly_add_no_mem_embed=True,
        use_obj_ptrs_in_encoder=True, add_tpos_enc_to_obj_ptrs=case.v21, proj_tpos_enc_in_obj_ptrs=case.v21,
        use_signed_tpos_enc_to_obj_ptrs=case.v21, pred_obj_scores=True, pred_obj_scores_mlp=True,
        fixed_no_obj_ptr=True, use_mlp_for_obj_ptr_proj=True, no_obj_embed_spatial=case.v21).eval()
    fill(model, case.name)
    return model


def build_hugging_face(case: Case) -> Sam2VideoModel:
    size = 16 * case.grid
    config = Sam2VideoConfig(
        vision_config={
            "backbone_config": {
                "model_type": "sam2_hiera_det_model", "hidden_size": 8, "image_size": [size, size],
                "embed_dim_per_stage": [8, 16, 32, 64], "blocks_per_stage": [1, 1, 1, 1],
                "num_attention_heads_per_stage": [1, 1, 2, 4], "global_attention_blocks": [2]},
            "backbone_channel_list": [64, 32, 16, 8], "fpn_hidden_size": case.dim,
            "backbone_feature_sizes": [[4 * case.grid] * 2, [2 * case.grid] * 2, [case.grid] * 2]},
        prompt_encoder_config={"hidden_size": case.dim, "image_size": size},
        mask_decoder_config={"hidden_size": case.dim, "mlp_dim": 32, "iou_head_hidden_dim": 16},
        image_size=size, num_maskmem=MEMORIES, memory_attention_hidden_size=case.dim,
        memory_attention_num_layers=case.layers, memory_attention_feed_forward_hidden_size=case.mlp,
        memory_attention_rope_feat_sizes=[case.grid, case.grid], memory_attention_dropout=0.0,
        memory_encoder_hidden_size=case.dim, memory_encoder_output_channels=case.mem_dim,
        mask_downsampler_embed_dim=case.dim, memory_fuser_embed_dim=case.dim,
        memory_fuser_intermediate_dim=48, enable_occlusion_spatial_embedding=case.v21,
        enable_temporal_pos_encoding_for_object_pointers=case.v21)
    model = Sam2VideoModel(config).eval().float()
    fill(model, case.name)
    return model


class Memory:
    """Both implementations behind one call."""

    def __init__(self, case: Case):
        self.case = case
        self.is_hf = case.naming == "huggingface"
        self.model = build_hugging_face(case) if self.is_hf else build_original(case)
        model = self.model
        self.times = model.memory_temporal_positional_encoding if self.is_hf else model.maskmem_tpos_enc
        self.project = (model.temporal_positional_encoding_projection_layer if self.is_hf
                        else model.obj_ptr_tpos_proj)
        self.score_head = (model.mask_decoder.pred_obj_score_head.proj_out if self.is_hf
                           else model.sam_mask_decoder.pred_obj_score_head.layers[-1])
        # The positions of the neck, [N, 1, C], and of the memories, [N, 1, D].
        self.positions = self.sine(case.dim)
        self.memory_positions = self.sine(case.mem_dim)

    def sine(self, channels: int) -> torch.Tensor:
        grid = torch.zeros(1, channels, self.case.grid, self.case.grid)
        return PositionEmbeddingSine(channels)(grid).flatten(2).permute(2, 0, 1)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The parameters of the parts that are tested."""
        others = ("image_encoder", "sam_", "vision_encoder", "prompt_encoder", "mask_decoder", "shared_")
        return {k: v.bfloat16() for k, v in self.model.state_dict().items() if not k.startswith(others)}

    def attend(self, top, scene: Scene, features: dict, pointers: dict) -> torch.Tensor:
        """[N, B, C]: `top` conditioned on what `scene` remembers."""
        if not self.is_hf:
            return self.attend_original(top, scene, features, pointers)
        case, model = self.case, self.model
        memory, positions = [], []
        for frame, row in scene.memories():
            memory.append(features[frame].float())
            positions.append((self.memory_positions + self.times[row].view(1, 1, -1)).expand(-1, OBJECTS, -1))
        count = 0
        for frame, distance in scene.distances(signed=True):
            tokens = case.dim // case.mem_dim
            memory.append(pointers[frame].view(OBJECTS, tokens, case.mem_dim).transpose(0, 1))
            time = torch.zeros(case.mem_dim)
            if case.v21:
                time = self.project(get_1d_sine_pe(torch.tensor([distance / (FRAMES - 1)]), case.dim))[0]
            positions.append(time.expand(tokens, OBJECTS, -1))
            count += tokens
        out = model.memory_attention(top, torch.cat(memory), self.positions.expand(-1, OBJECTS, -1),
                                     torch.cat(positions), count)
        return out.squeeze(1) if out.dim() == 4 and out.shape[1] == 1 else out

    def attend_original(self, top, scene: Scene, features: dict, pointers: dict) -> torch.Tensor:
        def output(frame):
            grid = (OBJECTS, self.case.mem_dim, self.case.grid, self.case.grid)
            spatial = features[frame].float().permute(1, 2, 0).reshape(grid)
            positions = self.memory_positions.expand(-1, OBJECTS, -1).permute(1, 2, 0).reshape(grid)
            return {"maskmem_features": spatial, "maskmem_pos_enc": [positions], "obj_ptr": pointers[frame]}

        self.model.use_obj_ptrs_in_encoder = scene.pointers
        out = self.model._prepare_memory_conditioned_features(
            scene.frame, False, [top], [self.positions.expand(-1, OBJECTS, -1)],
            [(self.case.grid, self.case.grid)],
            {"cond_frame_outputs": {t: output(t) for t in scene.prompted},
             "non_cond_frame_outputs": {t: output(t) for t in scene.tracked}}, FRAMES)
        self.model.use_obj_ptrs_in_encoder = True
        return out.flatten(2).permute(2, 0, 1)

    def encode(self, top, masks, scores, binarize: bool) -> torch.Tensor:
        """[N, B, D] in f32."""
        if self.is_hf:
            kept = []
            handle = self.model.memory_encoder.register_forward_hook(lambda _m, _i, o: kept.append(o[0]))
            rounded, _ = self.model._encode_new_memory(top, masks, scores[..., None], binarize)
            handle.remove()
            # The module's own output was changed in place by the occlusion embedding.
            exact = kept[0].flatten(2).permute(2, 0, 1)
            assert torch.equal(exact.bfloat16(), rounded)
            return exact
        grid = (self.case.grid, self.case.grid)
        features, _ = self.model._encode_new_memory([top], [grid], masks, scores, binarize)
        return features.flatten(2).permute(2, 0, 1)

    def pointer(self, top, visible: bool):
        """The decoder's token, its object score and the pointer made of them, of one object."""
        self.score_head.bias.data.fill_(5.0 if visible else -5.0)
        projection = self.model.object_pointer_proj if self.is_hf else self.model.obj_ptr_proj
        kept = {}
        handle = projection.register_forward_hook(lambda _m, i, _o: kept.update(token=i[0].reshape(-1)))
        image = top[:, :1].permute(1, 2, 0).reshape(1, self.case.dim, self.case.grid, self.case.grid)
        if self.is_hf:
            side = self.case.grid
            high = [torch.zeros(1, self.case.dim // 8, 4 * side, 4 * side),
                    torch.zeros(1, self.case.dim // 4, 2 * side, 2 * side)]
            out = self.model._single_frame_forward(image_embeddings=[*high, image], multimask_output=False)
            result = out.object_pointer.reshape(-1), out.object_score_logits.reshape(-1)
        else:
            out = self.model._forward_sam_heads(image)
            result = out[5].reshape(-1), out[6].reshape(-1)
        handle.remove()
        return kept["token"], result[1], result[0]


def stages(case: Case) -> dict[str, torch.Tensor]:
    memory = Memory(case)
    attention, encoder = memory.model.memory_attention, memory.model.memory_encoder
    generator = seeded(case.name + " inputs")
    tokens, side = case.grid**2, 16 * case.grid
    top = torch.randn(tokens, 1, case.dim, generator=generator)
    out = {"top": top[:, 0]}
    features = {t: torch.randn(tokens, OBJECTS, case.mem_dim, generator=generator).bfloat16() for t in range(FRAMES)}
    pointers = {t: torch.randn(OBJECTS, case.dim, generator=generator) for t in range(FRAMES)}
    for t in sorted({t for scene in SCENES.values() for t in scene.prompted + scene.tracked}):
        for i in range(OBJECTS):
            out[f"memory.{t}.{i}"] = features[t][:, i].float()
            out[f"pointer.{t}.{i}"] = pointers[t][i]
    for name, scene in SCENES.items():
        kept = {}
        hooks = [layer.register_forward_hook(lambda _m, _i, o, i=i: kept.update({i: o}))
                 for i, layer in enumerate(attention.layers)]
        result = memory.attend(top.expand(-1, OBJECTS, -1), scene, features, pointers)
        [hook.remove() for hook in hooks]
        distances = [d for d in scene.distances(signed=case.v21)]
        out[f"{name}.memories"] = torch.tensor([list(m) for m in scene.memories()])
        out[f"{name}.pointers"] = torch.tensor([list(d) for d in distances]).view(-1, 2)
        for layer, value in kept.items():
            out[f"{name}.memory_attention.layers.{layer}.0"] = value.reshape(OBJECTS, tokens, case.dim)[0]
        for i in range(OBJECTS):
            out[f"{name}.memory_attention.{i}"] = result.transpose(0, 1).reshape(OBJECTS, tokens, case.dim)[i] \
                if result.shape[0] == tokens else result.reshape(OBJECTS, tokens, case.dim)[i]

    masks = 4 * torch.randn(OBJECTS, 1, side, side, generator=generator)
    scores = torch.tensor([[3.0], [-2.0]])
    fuser = encoder.memory_fuser if memory.is_hf else encoder.fuser
    for binarize in [False, True]:
        kept = {}
        hooks = [encoder.mask_downsampler.register_forward_hook(lambda _m, _i, o: kept.update({"mask_downsampler": o}))]
        hooks += [layer.register_forward_hook(lambda _m, _i, o, i=i: kept.update({f"fuser.layers.{i}": o}))
                  for i, layer in enumerate(fuser.layers)]
        result = memory.encode(top.expand(-1, OBJECTS, -1), masks, scores, binarize)
        [hook.remove() for hook in hooks]
        name = "binary" if binarize else "soft"
        for stage, value in kept.items():
            out[f"{name}.0.memory_encoder.{stage}"] = value[0].flatten(1).T
        for i in range(OBJECTS):
            out[f"{name}.{i}.memory_encoder"] = result[:, i]
    for i in range(OBJECTS):
        out[f"mask.{i}"] = masks[i, 0]
    binary = (masks[:1] > 0).float()
    out["mask_prompt"] = memory.model.mask_downsample(binary)[0, 0]

    for name, visible in [("visible", True), ("hidden", False)]:
        token, score, pointer = memory.pointer(top, visible)
        out |= {f"{name}.token": token, f"{name}.score": score, f"{name}.object_pointer": pointer}
    return out, memory.tensors()


def generate(output: Path) -> None:
    for case in CASES:
        directory = output / "sam2_memory" / case.name
        directory.mkdir(parents=True, exist_ok=True)
        with torch.no_grad():
            golden, tensors = stages(case)
        write_tensors(directory / "golden.safetensors", {k: v.contiguous() for k, v in golden.items()})
        write_tensors(directory / "model.safetensors", {k: v.contiguous() for k, v in tensors.items()})
