"""clip-nano: `transformers`' CLIP with tiny dimensions, and the towers as training calls them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from captions import CONTEXT, VOCABULARY

IMAGE_SIZE, PATCH_SIZE = 64, 8
PROJECTION = 192


def configuration() -> CLIPConfig:
    """Image tower 192 wide, 5 blocks, 64 patches; text tower 128 wide, 2 blocks; QuickGELU."""
    return CLIPConfig(
        text_config={
            "vocab_size": VOCABULARY,
            "hidden_size": 128,
            "intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": CONTEXT,
            "projection_dim": PROJECTION,
            "hidden_act": "quick_gelu",
            "bos_token_id": VOCABULARY - 2,
            "eos_token_id": VOCABULARY - 1,
            "pad_token_id": VOCABULARY - 1,
        },
        vision_config={
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH_SIZE,
            "hidden_size": 192,
            "intermediate_size": 768,
            "num_hidden_layers": 5,
            "num_attention_heads": 6,
            "projection_dim": PROJECTION,
            "hidden_act": "quick_gelu",
        },
        projection_dim=PROJECTION,
    )


def new_model(seed: int) -> CLIPModel:
    """A fresh model; the patch positions start as 2-D sines and cosines and are learned from there."""
    torch.manual_seed(seed)
    # For some dozens of tokens on a CPU, plain matrix products beat the fused attention's backward pass.
    model = CLIPModel._from_config(configuration(), attn_implementation="eager")
    positions = model.vision_model.embeddings.position_embedding.weight
    with torch.no_grad():
        positions[1:] = 0.3 * sincos(IMAGE_SIZE // PATCH_SIZE, positions.shape[1])
    return model


def sincos(side: int, width: int) -> Tensor:
    """`[side * side, width]`: a quarter each of sin and cos of the rows and of the columns."""
    frequencies = torch.exp(-math.log(100.0) * torch.arange(width // 4) / (width // 4))
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [axis.reshape(-1, 1) * frequencies for axis in (rows, columns)]
    return torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], 1)


def embed_images(model: CLIPModel, pixels: Tensor, keep: float) -> Tensor:
    """`[B, projection]`, unit length. `keep < 1` leaves out patches at random (FLIP, Li et al. 2023)."""
    tower = model.vision_model
    hidden = tower.embeddings(pixels)
    if keep < 1:
        batch, tokens, width = hidden.shape
        kept = torch.rand(batch, tokens - 1).argsort(1)[:, : round(keep * (tokens - 1))] + 1
        kept = F.pad(kept, (1, 0))  # the class token always stays
        hidden = hidden.gather(1, kept[:, :, None].expand(-1, -1, width))
    hidden = tower.encoder(inputs_embeds=tower.pre_layrnorm(hidden)).last_hidden_state
    return F.normalize(model.visual_projection(tower.post_layernorm(hidden[:, 0])).float(), dim=-1)


def embed_texts(model: CLIPModel, ids: Tensor) -> Tensor:
    """`[B, projection]`, unit length, from padded token ids `[B, T]`."""
    pooled = model.text_model(input_ids=ids).pooler_output
    return F.normalize(model.text_projection(pooled).float(), dim=-1)
