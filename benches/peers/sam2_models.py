"""SAM 2.1 Hiera-T at its published size with random weights, its parts as ONNX, and a memory bank that is full.

torch is imported where it is used: the processes that measure the memory of other engines never load it.
"""

import warnings
from pathlib import Path

import numpy as np

CONFIG = "configs/sam2.1/sam2.1_hiera_t.yaml"
SIDE, GRID, DIM, MEMORY_DIM = 1024, 64, 256, 64
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
# The frame at which all 7 memories and 16 pointers (64 tokens) are there: 0 is clicked, 1 to 15 are tracked.
FRAME, POINTER_TOKENS = 16, 64
CLICK = (412.0, 530.0)
# Inputs and outputs of the ONNX files, in order.
PARTS = {
    "encoder": (["pixels"], ["top", "s1", "s0"]),
    "attention": (["top", "memory", "memory_pos"], ["conditioned"]),
    "decoder": (["top", "s1", "s0", "point"], ["masks", "iou"]),
    "memory": (["top", "mask"], ["features"]),
    "frame": (["pixels", "memory", "memory_pos"], ["mask", "features", "pointer"]),
}


def build():
    """The network of the `sam2` package, as its video predictor sets it up."""
    from sam2.build_sam import build_sam2

    overrides = ["++model.binarize_mask_from_pts_for_mem_enc=true"]
    return build_sam2(CONFIG, device="cpu", hydra_overrides_extra=overrides)


def model_directory(cache: Path) -> Path:
    """Seeded random weights in Meta's naming, made on first use."""
    directory = cache / "sam2.1-tiny"
    if (directory / "complete").exists():
        return directory
    import torch
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = build()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            # Not as the package initialises: biases and positions at 0, norms at 1 and layer scales at 1e-6 would
            # hide every mistake.
            if any(name in key for name in ("gaussian_matrix", "_token", "embeddings", "a_point_embed", "no_mask_embed")):
                value.normal_()
            elif value.dim() == 1:
                value.add_(0.1 * torch.randn_like(value))
            else:
                value.normal_(std=value[0].numel() ** -0.5)
        # The object is in every frame: the mask of an absent one is a constant.
        model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.add_(10)
    save_file({name: t.contiguous() for name, t in model.state_dict().items()}, directory / "model.safetensors")
    (directory / "complete").touch()
    return directory


def load(directory: Path):
    """The network with its weights."""
    from safetensors.torch import load_file

    model = build()
    model.load_state_dict(load_file(directory / "model.safetensors"))
    return model.eval()


def use_real_rotations(model) -> None:
    """Rotary positions without complex numbers, which ONNX lacks. Cosines and sines become constants."""
    import torch
    import torch.nn.functional as F
    from sam2.modeling.sam.transformer import RoPEAttention

    def rotate(x, cos, sin):
        even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)

    class RealRoPEAttention(RoPEAttention):
        def forward(self, q, k, v, num_k_exclude_rope=0):
            q, k, v = self.q_proj(q)[:, None], self.k_proj(k)[:, None], self.v_proj(v)[:, None]
            cos, sin = self.freqs_cis.real.clone(), self.freqs_cis.imag.clone()
            rotated = k.shape[2] - num_k_exclude_rope
            times = int(rotated) // len(cos)
            q = rotate(q, cos, sin)
            k = torch.cat((rotate(k[:, :, :rotated], cos.repeat(times, 1), sin.repeat(times, 1)),
                           k[:, :, rotated:]), 2)
            return self.out_proj(F.scaled_dot_product_attention(q, k, v)[:, 0])

    for module in model.modules():
        if isinstance(module, RoPEAttention):
            assert module.num_heads == 1
            module.__class__ = RealRoPEAttention


def part(directory: Path, name: str, for_export: bool = False):
    """A part as a module. The positions of the picture's tokens do not depend on anything: they are constants."""
    import torch

    model = load(directory)
    if for_export:
        use_real_rotations(model)
    with torch.inference_mode():
        trunk = model.image_encoder.trunk
        window_pos = trunk._get_pos_embed((SIDE // 4, SIDE // 4)).clone()
        trunk._get_pos_embed = lambda _: window_pos
        top_pos = model.image_encoder.neck.position_encoding(torch.zeros(1, DIM, GRID, GRID))
        dense_pos = model.sam_prompt_encoder.get_dense_pe().clone()
        model.sam_prompt_encoder.get_dense_pe = lambda: dense_pos

    def tokens(features):
        return features.flatten(2).permute(2, 0, 1)

    class Part(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def encoder(self, pixels):
            s0, s1, top = model.forward_image(pixels)["backbone_fpn"]
            return top, s1, s0

        def attention(self, top, memory, memory_pos):
            out = model.memory_attention(curr=tokens(top), curr_pos=tokens(top_pos), memory=memory,
                                         memory_pos=memory_pos, num_obj_ptr_tokens=POINTER_TOKENS)
            return out.permute(1, 2, 0).unflatten(2, (GRID, GRID))

        def decoder(self, top, s1, s0, point):
            """One click on a picture: `point` [1, 1, 2] -> masks [1, 3, 4G, 4G], iou [1, 3]"""
            labels = torch.ones(1, 1, dtype=torch.int32)
            sparse, dense = model.sam_prompt_encoder((point, labels), None, None)
            masks, iou, _, _ = model.sam_mask_decoder(
                top + model.no_mem_embed.reshape(1, -1, 1, 1), dense_pos, sparse, dense, multimask_output=True,
                repeat_image=False, high_res_features=[s0, s1])
            return masks, iou

        def memory(self, top, mask):
            """`mask` [1, 1, S, S] are logits."""
            return model._encode_new_memory([tokens(top)], [(GRID, GRID)], mask, torch.ones(1, 1), False)[0]

        def frame(self, pixels, memory, memory_pos):
            """All of a frame with one object that was clicked before."""
            top, s1, s0 = self.encoder(pixels)
            conditioned = self.attention(top, memory, memory_pos)
            heads = model._forward_sam_heads(conditioned, high_res_features=[s0, s1], multimask_output=True)
            _, _, _, low_res, high_res, pointer, _ = heads
            return low_res, self.memory(top, high_res), pointer

    module = Part()
    module.forward = getattr(module, name)
    return module.eval()


def onnx_file(directory: Path, name: str) -> Path:
    """Where `export` leaves a part."""
    return directory / f"{name}.onnx"


def export(directory: Path, name: str) -> None:
    """Writes a part as ONNX for the shapes of `bank`, unless it is there."""
    path = onnx_file(directory, name)
    if path.exists():
        return
    import torch

    scratch = path.with_suffix(".partial")
    inputs, outputs = PARTS[name]
    example = tuple(torch.from_numpy(value) for value in tensors(bank(directory), name))
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(part(directory, name, for_export=True), example, str(scratch), input_names=inputs,
                          output_names=outputs, opset_version=17, dynamo=False)
    scratch.rename(path)


def tensors(values: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, ...]:
    """The inputs of a part among `values`."""
    return tuple(np.ascontiguousarray(values[key]) for key in PARTS[name][0])


def bank(directory: Path) -> dict[str, np.ndarray]:
    """What the reference has at frame `FRAME`, made on first use by tracking: the inputs of every part, and what
    its memory is made of."""
    path = directory / "bank.npz"
    if not path.exists():
        import torch

        with torch.inference_mode():
            np.savez(path, **{name: value.numpy() for name, value in track(load(directory)).items()})
    return dict(np.load(path))


def parts_file(directory: Path) -> Path:
    """The bank as Vitrum's program for single parts takes it: channels last, and memories without positions."""
    path = directory / "parts.safetensors"
    if not path.exists():
        from safetensors.numpy import save_file

        values = bank(directory)
        last = {key: np.ascontiguousarray(np.moveaxis(values[key], 1, -1)) for key in ("top", "spatial")}
        save_file(last | {key: values[key] for key in ("mask", "pointers")}, path)
    return path


def track(model) -> dict:
    """Clicks frame 0, tracks the others, and keeps what goes into the memory attention of the last one."""
    import torch

    outputs = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
    kept = {}

    def keep(_, __, arguments):
        kept.update(memory=arguments["memory"], memory_pos=arguments["memory_pos"],
                    pointer_tokens=torch.tensor(arguments["num_obj_ptr_tokens"]))

    for index in range(FRAME + 1):
        kind = "non_cond_frame_outputs" if index else "cond_frame_outputs"
        click = None if index else {"point_coords": torch.tensor([[CLICK]]),
                                    "point_labels": torch.ones(1, 1, dtype=torch.int32)}
        pixels = torch.from_numpy(pixels_of(picture(index)))
        features = model.forward_image(pixels)
        _, levels, positions, sizes = model._prepare_backbone_features(features)
        hook = model.memory_attention.register_forward_hook(
            lambda module, args, arguments, _: keep(module, args, arguments), with_kwargs=True)
        out = model.track_step(index, index == 0, levels, positions, sizes, click, None, outputs, num_frames=10000)
        hook.remove()
        # The predictor keeps memories as bf16.
        out["maskmem_features"] = out["maskmem_features"].bfloat16().float()
        outputs[kind][index] = out
    s0, s1, top = features["backbone_fpn"]
    recent = [outputs["non_cond_frame_outputs"][i] for i in range(FRAME)[:0:-1]]
    first = outputs["cond_frame_outputs"][0]
    return kept | {
        "pixels": pixels, "top": top, "s1": s1, "s0": s0, "point": torch.tensor([[CLICK]]),
        "mask": out["pred_masks_high_res"], "low_res": out["pred_masks"], "pointer": out["obj_ptr"],
        # As the memory lists them: the clicked frame, then from the oldest recent one on; and for pointers from the
        # latest one on.
        "spatial": torch.cat([first["maskmem_features"], *(o["maskmem_features"] for o in recent[5::-1])]),
        "pointers": torch.cat([first["obj_ptr"], *(o["obj_ptr"] for o in recent)]),
    }


def picture(index: int) -> np.ndarray:
    """u8 [S, S, 3] at the input size, so that preprocessing resizes nothing: a texture that moves."""
    texture = np.random.default_rng(1).integers(0, 256, (SIDE // 16, SIDE // 16, 3), np.uint8)
    return np.ascontiguousarray(np.roll(texture.repeat(16, 0).repeat(16, 1), (3 * index, 5 * index), (0, 1)))


def pixels_of(rgb: np.ndarray) -> np.ndarray:
    """The package's rescale and normalise: f32 [1, 3, S, S]."""
    scaled = rgb.astype(np.float32) / 255
    return np.ascontiguousarray(((scaled - MEAN) / STD).transpose(2, 0, 1)[None])
