"""sam2-nano: `transformers`' Sam2VideoModel (SAM 2.1) in small, and its steps written for batches of clips.

`Sam2VideoModel` itself tracks one object at a time without gradients. The functions here call the same modules in the
same order for all clips and objects of a batch; `sam2_evaluate.py --compare` measures that both agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VideoModel, Sam2VisionConfig
from transformers.models.sam2_video.modeling_sam2_video import NO_OBJ_SCORE, get_1d_sine_pe

from sam_model import MEAN, STD

IMAGE_SIZE, STRIDE = 256, 16
GRID = IMAGE_SIZE // STRIDE
WIDTH, BLOCKS, HEADS, WINDOWS, GLOBAL = 24, (1, 2, 8, 1), (1, 2, 4, 8), (8, 4, 8, 4), (4, 6, 8, 10)
CHANNELS = 64  # of the neck, the prompts, the decoder and the memory attention
MEMORY_CHANNELS = 64  # `transformers` has no other; a pointer is one token
MEMORIES, POINTERS = 7, 16
MASK_SCALE, MASK_BIAS = 20.0, -10.0  # of the memory encoder's mask


def configuration() -> Sam2VideoConfig:
    widths = [WIDTH << stage for stage in range(len(BLOCKS))]
    backbone = Sam2HieraDetConfig(
        hidden_size=WIDTH,
        image_size=[IMAGE_SIZE, IMAGE_SIZE],
        blocks_per_stage=list(BLOCKS),
        embed_dim_per_stage=widths,
        num_attention_heads_per_stage=list(HEADS),
        window_size_per_stage=list(WINDOWS),
        global_attention_blocks=list(GLOBAL),
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone.to_dict(),
        backbone_channel_list=widths[::-1],
        backbone_feature_sizes=[[4 * GRID, 4 * GRID], [2 * GRID, 2 * GRID], [GRID, GRID]],
        fpn_hidden_size=CHANNELS,
    )
    return Sam2VideoConfig(
        vision_config=vision.to_dict(),
        prompt_encoder_config={"hidden_size": CHANNELS, "image_size": IMAGE_SIZE, "patch_size": STRIDE},
        mask_decoder_config={
            "hidden_size": CHANNELS,
            "mlp_dim": 4 * CHANNELS,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": CHANNELS,
        },
        image_size=IMAGE_SIZE,
        num_maskmem=MEMORIES,
        max_object_pointers_in_encoder=POINTERS,
        memory_attention_hidden_size=CHANNELS,
        memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=2 * CHANNELS,
        memory_attention_dropout=0.0,
        memory_attention_rope_feat_sizes=[GRID, GRID],
        memory_attention_rope_dropout=0.0,
        memory_encoder_hidden_size=CHANNELS,
        memory_encoder_output_channels=MEMORY_CHANNELS,
        mask_downsampler_embed_dim=CHANNELS,
        memory_fuser_embed_dim=CHANNELS,
        memory_fuser_intermediate_dim=2 * CHANNELS,
    )


def new_model(seed: int) -> Sam2VideoModel:
    """Random weights, with matrices that pass on what they get (`transformers` draws all with a deviation of 0.02)."""
    torch.manual_seed(seed)
    model = Sam2VideoModel(configuration())
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="linear")
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5)
    for block in model.vision_encoder.backbone.blocks:  # a block begins as the identity
        nn.init.zeros_(block.attn.proj.weight)
        nn.init.zeros_(block.mlp.proj_out.weight)
    for layer in model.memory_encoder.memory_fuser.layers:
        nn.init.constant_(layer.scale, 0.5)
    for positions in (model.vision_encoder.backbone.pos_embed, model.vision_encoder.backbone.pos_embed_window,
                      model.memory_temporal_positional_encoding):
        nn.init.normal_(positions, std=0.02)
    # The mask as a prompt: as logits of the scale that predicted masks have.
    nn.init.constant_(model.mask_downsample.weight, MASK_SCALE / 16)
    nn.init.constant_(model.mask_downsample.bias, MASK_BIAS)
    return model


def normalise(pictures: Tensor) -> Tensor:
    """`[N, S, S, 3]` uint8 -> pixel values `[N, 3, S, S]`."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (pictures.permute(0, 3, 1, 2).float() / 255 - mean) / std


def encode(model: Sam2VideoModel, pixels: Tensor) -> list[Tensor]:
    """`[N, 3, S, S]` -> features of strides 4, 8 and 16: `[N, 8, S/4, S/4]`, `[N, 16, S/8, S/8]`, `[N, C, S/16, S/16]`,
    the first two as the decoder uses them. `S` may be smaller than `IMAGE_SIZE`: all positions are relative to it."""
    fine, middle, coarse = model.vision_encoder(pixels).fpn_hidden_states
    return [model.mask_decoder.conv_s0(fine), model.mask_decoder.conv_s1(middle), coarse]


@dataclass
class Decoded:
    """Of `N` objects on one frame."""

    logits: Tensor  # [N, 4, S/4, S/4]: the single mask and the three
    scores: Tensor  # [N, 4] predicted IoU
    tokens: Tensor  # [N, 4, C]
    present: Tensor  # [N] logit: is the object visible?


def decode(model: Sam2VideoModel, features: list[Tensor], points: Tensor, labels: Tensor,
           mask: Tensor | None) -> Decoded:
    """All four masks; `Sam2VideoMaskDecoder.forward` computes the same and returns the first or the other three.

    `points` `[N, K, 2]` in pixels of `IMAGE_SIZE`, `labels` `[N, K]` int (0, 1; 2 and 3 are the corners of a box; -1 is
    no point), `mask` `[N, 1, S/4, S/4]` logits or none. The last of the `features` is the one that memory has changed.
    """
    decoder, encoder = model.mask_decoder, model.prompt_encoder
    fine, middle, coarse = features
    count, channels, height, width = coarse.shape
    sparse = encoder._embed_points(points[:, None], labels[:, None], pad=True)
    dense = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1) if mask is None else encoder.mask_embed(mask)
    output = torch.cat([decoder.obj_score_token.weight, decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens, keys = decoder.transformer(
        point_embeddings=torch.cat([output.expand(count, 1, -1, -1), sparse], 2),
        image_embeddings=coarse + dense,
        image_positional_embeddings=centres(model, height, width).expand(count, -1, -1, -1),
        attention_similarity=None,
    )
    picture = keys.transpose(2, 3).reshape(count, channels, height, width)
    picture = decoder.activation(decoder.upscale_layer_norm(decoder.upscale_conv1(picture) + middle))
    picture = decoder.activation(decoder.upscale_conv2(picture) + fine)
    mask_tokens = tokens[:, 0, 2:6]
    heads = enumerate(decoder.output_hypernetworks_mlps)
    kernels = torch.stack([head(mask_tokens[:, k]) for k, head in heads], 1)
    logits = (kernels @ picture.flatten(2)).unflatten(2, picture.shape[2:])
    scores = decoder.iou_prediction_head(tokens[:, 0, 1])
    present = decoder.pred_obj_score_head(tokens[:, 0, 0])[:, 0]
    return Decoded(logits.float(), scores.float(), mask_tokens, present.float())


def centres(model: Sam2VideoModel, height: int, width: int) -> Tensor:
    """Position embeddings of the cells' centres, `[1, C, height, width]`."""
    y, x = (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width
    grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], 2)
    return model.shared_image_embedding(grid).permute(2, 0, 1)[None]


def pointer(model: Sam2VideoModel, token: Tensor, present: Tensor) -> Tensor:
    """`[N, C]` of the chosen mask's token; `present` `[N]` is 0 or 1."""
    present = present[:, None].to(token.dtype)
    return present * model.object_pointer_proj(token) + (1 - present) * model.no_object_pointer


def remember(model: Sam2VideoModel, coarse: Tensor, mask: Tensor, present: Tensor) -> Tensor:
    """Spatial memory `[N, S/16 * S/16, 64]` of a mask `[N, 1, S, S]` in 0..1 and of the features before memory."""
    memory, _ = model.memory_encoder(coarse, mask * MASK_SCALE + MASK_BIAS)
    absent = (1 - present)[:, None, None, None] * model.occlusion_spatial_embedding_parameter[..., None, None]
    return (memory + absent).flatten(2).transpose(1, 2)


def high_resolution(logits: Tensor, present: Tensor) -> Tensor:
    """`[N, 1, S/4, S/4]` -> `[N, 1, S, S]` as the memory encoder gets it."""
    logits = torch.where(present[:, None, None, None] > 0, logits, NO_OBJ_SCORE)
    return F.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)


@dataclass
class Memory:
    """What is kept of one frame."""

    spatial: Tensor  # [N, S/16 * S/16, 64]
    pointer: Tensor  # [N, C]


def attend(model: Sam2VideoModel, coarse: Tensor, prompted: list[tuple[int, Memory]],
           recent: list[tuple[int, Memory]], farthest: int) -> Tensor:
    """The frame's features `[N, C, h, w]` conditioned on memories, each with its distance in frames: those of prompted
    frames and the others. `farthest`: the distance of pointers that becomes 1 in their temporal encoding."""
    height, width = coarse.shape[2:]
    place = model.memory_encoder.position_encoding((1, MEMORY_CHANNELS, height, width), coarse.device, torch.float32)
    place = place.flatten(2).transpose(1, 2)  # [1, h * w, 64]
    time = model.memory_temporal_positional_encoding[:, 0]  # [7, 1, 64]
    spatial = [(memory.spatial, place + time[MEMORIES - 1]) for _, memory in prompted]
    spatial += [(memory.spatial, place + time[gap - 1]) for gap, memory in reversed(recent) if gap < MEMORIES]
    pointers = [(gap, memory.pointer) for gap, memory in prompted if gap >= 0]
    pointers += [(gap, memory.pointer) for gap, memory in recent if gap < POINTERS]
    gaps = torch.tensor([gap for gap, _ in pointers]) / farthest
    when = model.temporal_positional_encoding_projection_layer(get_1d_sine_pe(gaps, dim=CHANNELS))  # [P, 64]
    splits = CHANNELS // MEMORY_CHANNELS
    tokens = torch.stack([value for _, value in pointers], 1).reshape(len(coarse), -1, MEMORY_CHANNELS)
    memory = torch.cat([value for value, _ in spatial] + [tokens], 1)
    positions = torch.cat([value for _, value in spatial] + [when.repeat_interleave(splits, 0)[None]], 1)
    use_grid(model, height)
    own = model.vision_encoder.neck.position_encoding((1, CHANNELS, height, width), coarse.device, torch.float32)
    out = model.memory_attention(
        current_vision_features=coarse.flatten(2).permute(2, 0, 1),
        current_vision_position_embeddings=own.flatten(2).permute(2, 0, 1),
        memory=memory.transpose(0, 1),
        memory_posision_embeddings=positions.expand(len(coarse), -1, -1).transpose(0, 1),
        num_object_pointer_tokens=tokens.shape[1],
    )[0]  # [N, h * w, C]
    return out.transpose(1, 2).unflatten(2, (height, width))


def use_grid(model: Sam2VideoModel, side: int) -> None:
    """Rotary positions of a smaller grid, spread over the full one's range."""
    axis = (torch.arange(side) + 0.5) * (GRID / side) - 0.5
    model.memory_attention.position_ids = torch.stack([axis.repeat(side), axis.repeat_interleave(side)], 1)
