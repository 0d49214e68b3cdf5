"""Small SAM 2s with random weights that follow discs through a video, by SAM2VideoPredictor and by Sam2VideoModel."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sam2 import sam2_video_predictor, sam2_video_predictor_legacy
from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam.transformer import RoPEAttention, TwoWayTransformer
from sam2.modeling.sam2_utils import MLP
from skimage.measure import label
from torch import nn

from . import tracker_selection
from .common import seeded, write_json, write_tensors

HEIGHT, WIDTH, FRAMES = 60, 84, 22
SIZE, GRID, DIM, MEMORY = 128, 8, 32, 16
WIDTHS, BLOCKS, HEADS, WINDOWS, GLOBAL = (8, 16, 32, 64), (1, 1, 2, 1), (1, 2, 2, 4), (4, 2, 4, 2), (3,)
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

SHARP, CROSS = 2.0, 2.5

# Every so many logits, in both directions, are kept.
STRIDE = 4


@dataclass
class Case:
    """One directory under `tracker/`."""

    name: str
    is_21: bool
    max_conditioning: int
    # Of the object score head, so that objects are there where they are prompted and not on all frames behind.
    score_bias: float
    seed: int
    score_sign: int = 1


CASES = {
    "sam2.0": Case("sam2.0", is_21=False, max_conditioning=2, score_bias=2.0, seed=3, score_sign=-1),
    "sam2.1": Case("sam2.1", is_21=True, max_conditioning=-1, score_bias=8.0, seed=22),
}


@dataclass
class Scenario:
    """What a user does. Clicks are `(frame, object, [(x, y, label), …], box, keep earlier)`; masks are discs."""

    steps: list
    options: dict = field(default_factory=dict)
    cases: tuple = ("sam2.1",)
    is_legacy: bool = False


def click(frame, obj, points, box=None, keep=False):
    return {"do": "click", "frame": frame, "object": obj, "points": points, "box": box, "keep": keep}


def mask(frame, obj, x, y, radius):
    return {"do": "mask", "frame": frame, "object": obj, "disc": [x, y, radius]}


def follow(start=None, backward=False, most=None):
    return {"do": "propagate", "start": start, "backward": backward, "most": most}


SCENARIOS = {
    "forward": Scenario([
        click(0, 3, [[20, 30, 1]]),
        click(0, 8, [], box=[48, 10, 66, 30]),
        follow(),
    ], cases=("sam2.0", "sam2.1")),
    "masks": Scenario([
        mask(0, 1, 20, 30, 10),
        click(3, 2, [[60, 24, 1], [5, 5, 0]], box=[50, 12, 70, 34]),
        mask(2, 5, 0, 0, 0),
        follow(),
    ]),
    "corrections": Scenario([
        click(0, 1, [[20, 30, 1]]),
        click(0, 2, [[60, 20, 1], [30, 30, 0]]),
        follow(most=9),
        click(6, 1, [[10, 50, 0]]),
        click(6, 1, [[33, 31, 1]], keep=True),
        mask(8, 2, 52, 28, 8),
        follow(start=9, most=3),
        click(0, 1, [[70, 50, 0]]),
        click(10, 7, [[70, 50, 1]]),
        follow(start=10),
    ]),
    "conditioning-corrections": Scenario([
        click(0, 1, [[20, 30, 1]]),
        click(0, 1, [[60, 20, 0]], keep=True),
        follow(most=12),
        click(5, 1, [[31, 30, 1]]),
        click(9, 1, [[38, 31, 1], [50, 27, 0]]),
        mask(12, 1, 44, 30, 10),
        click(14, 1, [[48, 31, 1]]),
        follow(),
    ], {"corrections_are_conditioning": True}, cases=("sam2.0",)),
    "backward": Scenario([
        click(11, 1, [[42, 30, 1]]),
        click(11, 2, [[49, 31, 1]]),
        follow(),
        follow(backward=True),
        click(4, 2, [[56, 24, 1]]),
        follow(start=6, backward=True),
    ]),
    "removal": Scenario([
        click(0, 1, [[20, 30, 1]]),
        click(0, 2, [[60, 20, 1]]),
        click(4, 2, [[56, 24, 1]]),
        click(2, 9, [[70, 50, 1]]),
        follow(most=8),
        {"do": "clear", "frame": 0, "object": 2},
        {"do": "remove", "object": 1},
        follow(start=5, most=6),
        click(5, 2, [[55, 25, 1]]),
        {"do": "clear", "frame": 5, "object": 2},
        follow(start=9),
    ]),
    "clear-memory": Scenario([
        click(0, 1, [[20, 30, 1]]),
        follow(most=10),
        click(6, 1, [[33, 31, 1]]),
        follow(start=7),
    ], {"clear_memory_around_input": True, "corrections_are_conditioning": True}),
    "options": Scenario([
        click(0, 1, [[20, 30, 1]]),
        click(0, 2, [], box=[48, 10, 66, 30]),
        follow(),
    ], {"fill_hole_area": 0, "binarize_clicked_masks": False, "dynamic_multimask_via_stability": False}),
    "non-overlap-memory": Scenario([
        click(0, 1, [[20, 30, 1]]),
        click(0, 2, [[24, 30, 1], [60, 20, 1]]),
        follow(most=5),  # who has a pixel is soon a matter of the last bit
    ], {"non_overlap_memory": True}, is_legacy=True),
}


def frame(t: int) -> np.ndarray:
    """Frame `t`: three discs over a texture; the second is not there in frames 13 to 15."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    out = np.stack([(3 * x + y + 2 * t) % 160, (x + 4 * y) % 160, (2 * x + 5 * y + t) % 160], -1)
    discs = [(20 + 2 * t, 30, 10, (230, 40, 40)), (60 - t, 20 + t, 8, (40, 60, 240)), (70, 50, 6, (250, 250, 90))]
    for i, (cx, cy, radius, colour) in enumerate(discs):
        if i != 1 or not 13 <= t <= 15:
            out[disc(cx, cy, radius)] = colour
    return out.astype(np.uint8)


def disc(cx: int, cy: int, radius: int) -> np.ndarray:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return (x - cx) ** 2 + (y - cy) ** 2 < radius**2


def components(is_hole: torch.Tensor):
    """What the CUDA extension of the sam2 package does."""
    labels = torch.from_numpy(np.stack([label(m[0], connectivity=2) for m in is_hole.numpy()]))[:, None]
    areas = torch.stack([torch.bincount(m.flatten())[m] for m in labels])
    return labels, torch.where(labels > 0, areas, 0)


@contextmanager
def on_cpu():
    """Lets the sam2 package find small holes without CUDA."""
    from sam2.utils import misc

    original, misc.get_connected_components = misc.get_connected_components, components
    try:
        yield
    finally:
        misc.get_connected_components = original


class Predictor:
    """A SAM2VideoPredictor of small modules."""

    def __new__(cls, case: Case, options: dict, is_legacy: bool):
        module = sam2_video_predictor_legacy if is_legacy else sam2_video_predictor
        rope = {"embedding_dim": DIM, "num_heads": 1, "downsample_rate": 1, "feat_sizes": (GRID, GRID)}
        layer = MemoryAttentionLayer(
            activation="relu", cross_attention=RoPEAttention(rope_k_repeat=True, kv_in_dim=MEMORY, **rope),
            d_model=DIM, dim_feedforward=48, dropout=0.0, pos_enc_at_attn=False, pos_enc_at_cross_attn_keys=True,
            pos_enc_at_cross_attn_queries=False, self_attention=RoPEAttention(**rope))
        sine = lambda features: PositionEmbeddingSine(num_pos_feats=features, normalize=True, scale=None)
        trunk = Hiera(embed_dim=WIDTHS[0], num_heads=1, stages=BLOCKS, global_att_blocks=GLOBAL,
                      window_pos_embed_bkg_spatial_size=(4, 4), window_spec=WINDOWS, head_mul=1.0)
        for block, heads in zip(trunk.blocks, [h for n, h in zip(BLOCKS, HEADS) for _ in range(n)]):
            block.attn.num_heads = heads
        heads = {"use_high_res_features_in_sam": True, "multimask_output_in_sam": True,
                 "iou_prediction_use_sigmoid": True, "use_obj_ptrs_in_encoder": True, "pred_obj_scores": True,
                 "pred_obj_scores_mlp": True, "fixed_no_obj_ptr": True, "multimask_output_for_tracking": True,
                 "use_multimask_token_for_obj_ptr": True, "multimask_min_pt_num": 0, "multimask_max_pt_num": 1,
                 "use_mlp_for_obj_ptr_proj": True, "only_obj_ptrs_in_the_past_for_eval": True,
                 "no_obj_embed_spatial": case.is_21, "add_tpos_enc_to_obj_ptrs": case.is_21,
                 "proj_tpos_enc_in_obj_ptrs": case.is_21, "use_signed_tpos_enc_to_obj_ptrs": case.is_21}
        stability = {"dynamic_multimask_via_stability": options.get("dynamic_multimask_via_stability", True),
                     "dynamic_multimask_stability_delta": 0.05, "dynamic_multimask_stability_thresh": 0.98}
        model = module.SAM2VideoPredictor(
            image_encoder=ImageEncoder(trunk, FpnNeck(sine(DIM), DIM, list(WIDTHS[::-1]), fpn_top_down_levels=[2, 3],
                                                      fpn_interp_model="nearest"), scalp=1),
            memory_attention=MemoryAttention(DIM, True, layer, 2),
            memory_encoder=MemoryEncoder(MEMORY, MaskDownSampler(DIM, kernel_size=3, stride=2, padding=1),
                                         Fuser(CXBlock(DIM, use_dwconv=True), 2), sine(MEMORY), in_dim=DIM),
            num_maskmem=7, image_size=SIZE, sigmoid_scale_for_mem_enc=20.0, sigmoid_bias_for_mem_enc=-10.0,
            use_mask_input_as_output_without_sam=True, directly_add_no_mem_embed=True,
            max_cond_frames_in_attn=case.max_conditioning, sam_mask_decoder_extra_args=stability,
            binarize_mask_from_pts_for_mem_enc=options.get("binarize_clicked_masks", True),
            non_overlap_masks_for_mem_enc=options.get("non_overlap_memory", False),
            fill_hole_area=options.get("fill_hole_area", 8),
            clear_non_cond_mem_around_input=options.get("clear_memory_around_input", False),
            add_all_frames_to_correct_as_cond=options.get("corrections_are_conditioning", False), **heads)
        # The decoder's sizes are fixed in the package.
        model.sam_mask_decoder.transformer = TwoWayTransformer(2, DIM, 4, 48)
        model.sam_mask_decoder.iou_prediction_head = MLP(DIM, 24, 4, 3, sigmoid_output=True)
        # Memories alone, without pointers, are bfloat16, which the package can only read under autocast.
        attend = model.memory_attention.forward
        model.memory_attention.forward = lambda memory, **rest: attend(memory=memory.float(), **rest)
        # The package calls by this name what it defines by another, for all objects.
        model._clear_obj_non_cond_mem_around_input = lambda state, t, i: [
            state["output_dict_per_obj"][i]["non_cond_frame_outputs"].pop(u, None) for u in range(t - 7, t + 8)]
        fill(model, case)
        return model.eval().float()


@torch.no_grad()
def fill(model: nn.Module, case: Case) -> None:
    """Random weights that pass on what they get, rounded as the file rounds them."""
    random = seeded(f"tracker {case.name} {case.seed}")
    for name, parameter in model.named_parameters():
        values = torch.randn(parameter.shape, generator=random)
        if "norm" in name or ".encoder.1." in name or ".encoder.4." in name or ".encoder.7." in name:
            values = 0.1 * values + (1.0 if name.endswith("weight") and parameter.dim() == 1 else 0.0)
        if parameter.dim() >= 2 and "embed" not in name and "token" not in name:
            inputs = parameter[0].numel()
            if "output_upscaling" in name and parameter.dim() == 4:
                inputs = parameter.shape[0]
            values = values / inputs**0.5
        elif parameter.dim() == 1 and "norm" not in name and "encoder." not in name:
            values = 0.1 * values
        if parameter.dim() == 2 and ("q_proj" in name or "k_proj" in name):
            values = SHARP * values  # or all objects would look alike
        if parameter.dim() == 2 and "cross_attn_image" in name:
            values = CROSS * values
        if "pred_obj_score_head.layers.2" in name:
            values = 8 * values
        if "conv_s0" in name or "conv_s1" in name:
            values = 0.3 * values  # smooth masks, with holes that are small or large, not in doubt
        if name.endswith("gamma"):
            values = 0.3 + 0.1 * values
        if "maskmem_tpos_enc" in name or "pos_embed" in name:
            values = 0.1 * values
        parameter.copy_(values)
    gaussian = model.sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
    gaussian.copy_(torch.randn(gaussian.shape, generator=random))
    # As trained models do: a mask as a prompt has the scale of predicted logits.
    model.mask_downsample.weight.fill_(20 / 16)
    model.mask_downsample.bias.fill_(-10)
    scores = model.sam_mask_decoder.pred_obj_score_head.layers[-1]
    scores.weight.mul_(case.score_sign)
    scores.bias.fill_(case.score_bias)
    for tensor in model.state_dict().values():
        tensor.copy_(tensor.half().float())


def pictures() -> torch.Tensor:
    """All frames as `load_video_frames` loads them."""
    images = torch.zeros(FRAMES, 3, SIZE, SIZE)
    for t in range(FRAMES):
        picture = np.array(Image.fromarray(frame(t)).resize((SIZE, SIZE))) / 255.0
        images[t] = torch.from_numpy(picture).permute(2, 0, 1)
    return (images - MEAN[:, None, None]) / STD[:, None, None]


def state_of(model, images):
    """`init_state` without files."""
    loaders = [(m, m.load_video_frames) for m in (sam2_video_predictor, sam2_video_predictor_legacy)]
    for m, _ in loaders:
        m.load_video_frames = lambda **_: (images, HEIGHT, WIDTH)
    try:
        return model.init_state("")
    finally:
        for m, loader in loaders:
            m.load_video_frames = loader


def latest(state, place, t):
    """What the reference knows of an object on a frame."""
    temporary, kept = state["temp_output_dict_per_obj"][place], state["output_dict_per_obj"][place]
    for outputs in (temporary["non_cond_frame_outputs"], temporary["cond_frame_outputs"],
                    kept["cond_frame_outputs"], kept["non_cond_frame_outputs"]):
        if t in outputs:
            return outputs[t]
    return None


def play(case: Case, scenario: Scenario, images: torch.Tensor):
    """Results in the order in which they come: (frame, object, logits [32, 32], score)."""
    model = Predictor(case, scenario.options, scenario.is_legacy)
    results = []
    with torch.inference_mode(), on_cpu():
        state = state_of(model, images)

        def result(t, obj):
            out = latest(state, state["obj_id_to_idx"][obj], t)
            results.append((t, obj, out["pred_masks"][0, 0].clone(), float(out["object_score_logits"])))

        for step in scenario.steps:
            if step["do"] == "click":
                points = np.array(step["points"], np.float32).reshape(-1, 3)
                arguments = {"points": points[:, :2], "labels": points[:, 2].astype(np.int32)} if len(points) else {}
                if step["box"]:
                    arguments["box"] = np.array(step["box"], np.float32)
                model.add_new_points_or_box(state, step["frame"], step["object"],
                                            clear_old_points=not step["keep"], **arguments)
                result(step["frame"], step["object"])
            elif step["do"] == "mask":
                model.add_new_mask(state, step["frame"], step["object"], torch.from_numpy(disc(*step["disc"])))
                result(step["frame"], step["object"])
            elif step["do"] == "clear":
                model.clear_all_prompts_in_frame(state, step["frame"], step["object"], need_output=False)
            elif step["do"] == "remove":
                model.remove_object(state, step["object"], need_output=False)
            else:
                turns = model.propagate_in_video(state, step["start"], step["most"], step["backward"])
                for t, ids, _ in turns:
                    for obj in ids:
                        result(t, obj)
    return model, results


def configuration(case: Case) -> dict:
    """The sizes, as transformers writes them."""
    backbone = {"hidden_size": WIDTHS[0], "image_size": [SIZE, SIZE], "blocks_per_stage": BLOCKS,
                "embed_dim_per_stage": WIDTHS, "num_attention_heads_per_stage": HEADS,
                "window_size_per_stage": WINDOWS, "global_attention_blocks": GLOBAL,
                "window_positional_embedding_background_size": [4, 4]}
    return {
        "model_type": "sam2_video", "image_size": SIZE,
        "vision_config": {"backbone_config": backbone, "backbone_channel_list": WIDTHS[::-1], "fpn_hidden_size": DIM},
        "prompt_encoder_config": {"hidden_size": DIM, "image_size": SIZE},
        "mask_decoder_config": {"hidden_size": DIM, "mlp_dim": 48, "num_attention_heads": 4,
                                "iou_head_hidden_dim": 24},
        "num_maskmem": 7, "max_cond_frame_num": case.max_conditioning,
        "enable_occlusion_spatial_embedding": case.is_21,
        "enable_temporal_pos_encoding_for_object_pointers": case.is_21,
        "memory_attention_hidden_size": DIM, "memory_attention_num_layers": 2,
        "memory_attention_feed_forward_hidden_size": 48, "memory_attention_rope_feat_sizes": [GRID, GRID],
        "memory_encoder_hidden_size": DIM, "memory_encoder_output_channels": MEMORY,
        "mask_downsampler_embed_dim": DIM, "memory_fuser_embed_dim": DIM, "memory_fuser_intermediate_dim": 4 * DIM,
    }


def pack(results: list) -> dict:
    """Results as tensors. Of the logits: every fourth in both directions, the largest, and all signs."""
    logits = torch.stack([logits for _, _, logits, _ in results])
    return {
        "frames": torch.tensor([[t, obj] for t, obj, _, _ in results]),
        "scores": torch.tensor([score for *_, score in results]),
        "logits": logits[:, ::STRIDE, ::STRIDE],
        "largest": logits.flatten(1).abs().max(1).values,
        "signs": torch.from_numpy(np.packbits((logits > 0).flatten(1).numpy(), axis=1)),
    }


def generate(root: Path) -> None:
    tracker_selection.generate(root)
    images = pictures()
    for case in CASES.values():
        out = root / "tracker" / case.name
        model = Predictor(case, {}, False)
        write_tensors(out / "model.safetensors", {n: t.half() for n, t in model.state_dict().items()})
        write_json(out / "config.json", configuration(case), indent=None)
        for name, scenario in SCENARIOS.items():
            if case.name in scenario.cases:
                _, results = play(case, scenario, images)
                write_tensors(out / f"{name}.safetensors", pack(results))
    scenarios = {name: {"options": s.options, "cases": s.cases, "steps": s.steps} for name, s in SCENARIOS.items()}
    write_json(root / "tracker" / "scenarios.json", scenarios, indent=1)
