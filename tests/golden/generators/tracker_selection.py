"""What frames attend to, by SAM2Base._prepare_memory_conditioned_features of the sam2 package.

The method runs on a stand-in for the model whose memories and pointers are the numbers of their frames.
"""

import random
from pathlib import Path
from types import SimpleNamespace

import torch
from sam2.modeling import sam2_base


def select(rules, frame, reverse, conditioning, tracked):
    """(frame, row of maskmem_tpos_enc) of memories, and (frame, encoded distance) of pointers."""
    memories, stride, most, pointers, past, signed, frames = rules
    seen = {}

    def attention(curr, curr_pos, memory, memory_pos, num_obj_ptr_tokens):
        split = memory.shape[0] - num_obj_ptr_tokens
        values, rows = memory[:, 0, 0].tolist(), memory_pos[:, 0, 0].tolist()
        seen["memories"] = [(int(f), int(r)) for f, r in zip(values[:split], rows[:split])]
        seen["pointers"] = [(int(f), d) for f, d in zip(values[split:], rows[split:])]
        return curr[-1]

    model = SimpleNamespace(
        hidden_dim=1, mem_dim=1, training=False, num_maskmem=memories,
        memory_temporal_stride_for_eval=stride, max_cond_frames_in_attn=most,
        use_obj_ptrs_in_encoder=True, max_obj_ptrs_in_encoder=pointers,
        only_obj_ptrs_in_the_past_for_eval=past, use_signed_tpos_enc_to_obj_ptrs=signed,
        add_tpos_enc_to_obj_ptrs=True, proj_tpos_enc_in_obj_ptrs=True,
        obj_ptr_tpos_proj=torch.nn.Identity(), memory_attention=attention,
        maskmem_tpos_enc=torch.arange(memories).float().reshape(memories, 1, 1, 1))

    def output(t):
        return {"maskmem_features": torch.full((1, 1, 1, 1), float(t)),
                "maskmem_pos_enc": [torch.zeros(1, 1, 1, 1)], "obj_ptr": torch.full((1, 1), float(t))}

    outputs = {"cond_frame_outputs": {t: output(t) for t in conditioning},
               "non_cond_frame_outputs": {t: output(t) for t in tracked}}
    one = [torch.zeros(1, 1, 1)]
    encode = sam2_base.get_1d_sine_pe
    sam2_base.get_1d_sine_pe = lambda distances, dim: distances.unsqueeze(-1)
    try:
        sam2_base.SAM2Base._prepare_memory_conditioned_features(
            model, frame, False, one, one, [(1, 1)], outputs, frames, reverse)
    finally:
        sam2_base.get_1d_sine_pe = encode
    return seen["memories"], seen["pointers"]


def generate(root: Path) -> None:
    """Writes tracker/selection.txt: a case per line, fields separated by semicolons."""
    rng = random.Random("tracker selection")
    lines = []
    for _ in range(150):
        frames = rng.choice([5, 12, 40, 40, 40])
        memories = rng.choice([7, 7, 7, 3, 2, 1])
        stride = rng.choice([1, 1, 1, 2, 5])
        most = rng.choice([-1, 2, 3, 4])
        pointers = rng.choice([16, 16, 16, 4])
        rules = (memories, stride, most, pointers, rng.random() < 0.6, rng.random() < 0.5, frames)
        frame = rng.randrange(frames)
        others = [t for t in range(frames) if t != frame]
        rng.shuffle(others)
        conditioning = others[:rng.randint(1, min(6, len(others) - 1))]
        rest = [t for t in others if t not in conditioning]
        tracked = [t for t in rest if rng.random() < rng.choice([0.9, 0.9, 0.4])]
        reverse = rng.random() < 0.4
        chosen, kept = select(rules, frame, reverse, conditioning, tracked)
        numbers = [int(value) for value in rules]
        text = [" ".join(map(str, numbers)), str(frame), str(int(reverse)),
                " ".join(map(str, conditioning)), " ".join(map(str, tracked)),
                " ".join(f"{f}:{r}" for f, r in chosen), " ".join(f"{f}:{d!r}" for f, d in kept)]
        lines.append(";".join(text))
    out = root / "tracker"
    out.mkdir(parents=True, exist_ok=True)
    (out / "selection.txt").write_text("\n".join(lines) + "\n")
