"""sam-nano: `transformers`' SamModel in small, and its decoder with all four masks of every prompt at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import SamConfig, SamModel

IMAGE_SIZE, PATCH = 256, 8
WIDTH, DEPTH, HEADS, WINDOW, GLOBAL = 128, 8, 2, 8, (1, 4, 7)
CHANNELS = 128  # of the neck, the prompts and the decoder
POSITION_DEVIATION = 2.0  # a click is told from one about ten pixels away
MEAN, STD = (123.675 / 255, 116.28 / 255, 103.53 / 255), (58.395 / 255, 57.12 / 255, 57.375 / 255)


def configuration() -> SamConfig:
    return SamConfig(
        vision_config={
            "hidden_size": WIDTH,
            "output_channels": CHANNELS,
            "num_hidden_layers": DEPTH,
            "num_attention_heads": HEADS,
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH,
            "window_size": WINDOW,
            "global_attn_indexes": list(GLOBAL),
            "num_pos_feats": CHANNELS // 2,
            "mlp_dim": 4 * WIDTH,
        },
        prompt_encoder_config={"hidden_size": CHANNELS, "image_size": IMAGE_SIZE, "patch_size": PATCH},
        mask_decoder_config={
            "hidden_size": CHANNELS,
            "mlp_dim": 4 * CHANNELS,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": CHANNELS,
        },
    )


def new_model(seed: int) -> SamModel:
    """Random weights, not as `transformers` would draw them: its vision tower starts at almost zero and its
    positions vary far too fast for 32 x 32 patches."""
    torch.manual_seed(seed)
    config = configuration()
    config._attn_implementation = "eager"  # faster in training than the fused one with a bias
    model = SamModel(config)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="linear")
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5)
    for layer in model.vision_encoder.layers:  # a block begins as the identity
        nn.init.zeros_(layer.attn.proj.weight)
        nn.init.zeros_(layer.mlp.lin2.weight)
    nn.init.normal_(model.vision_encoder.pos_embed, std=0.02)
    model.prompt_encoder.shared_embedding = model.shared_image_embedding
    positions = model.shared_image_embedding.positional_embedding
    nn.init.normal_(positions, std=POSITION_DEVIATION)
    positions.requires_grad_(False)  # fixed, as in Kirillov et al. 2023
    return model


def normalise(pictures: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
    """`[B, S, S, 3]` uint8, of which `sizes` (height, width) are filled -> pixel values, the rest zero."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    pixels = (pictures.permute(0, 3, 1, 2).float() / 255 - mean) / std
    for pixel, (height, width) in zip(pixels, sizes, strict=True):
        pixel[:, height:] = 0
        pixel[:, :, width:] = 0
    return pixels


def encode(model: SamModel, pixels: Tensor) -> Tensor:
    """`[B, 3, S, S]` -> `[B, C, S / 8, S / 8]`. At 256 pixels the same as `model.vision_encoder`; at another size
    the positions are interpolated, the relative ones by `transformers` itself."""
    encoder = model.vision_encoder
    hidden = encoder.patch_embed.projection(pixels)
    if (grid := hidden.shape[2:]) == (positions := encoder.pos_embed.permute(0, 3, 1, 2)).shape[2:]:
        hidden = hidden + positions
    else:
        hidden = hidden + F.interpolate(positions, grid, mode="area")
    hidden = hidden.permute(0, 2, 3, 1)
    for layer in encoder.layers:
        hidden = layer(hidden)
    return encoder.neck(hidden)


def embed_prompts(model: SamModel, boxes: Tensor, is_box: Tensor, points: Tensor, labels: Tensor) -> Tensor:
    """Sparse embeddings `[N, 1, 2 + K, C]`, every prompt with the same number of tokens.

    `boxes` `[N, 4]`: x0 y0 x1 y1, or x y of a foreground click where `is_box` is false; such a prompt carries
    SAM's "not a point" as its second token. Coordinates are those of 256 pixels.
    `points` `[N, K, 2]` and `labels` `[N, K]` are later clicks.
    """
    encoder = model.prompt_encoder
    corners = encoder._embed_boxes(boxes[:, None])[:, 0]
    first = encoder._embed_points(boxes[:, None, None, :2], torch.ones(len(boxes), 1, 1), pad=True)[:, 0]
    tokens = torch.where(is_box[:, None, None], corners, first)
    if points.shape[1]:
        later = encoder._embed_points(points[:, None], labels[:, None], pad=False)[:, 0]
        tokens = torch.cat([tokens, later], 1)
    return tokens[:, None]


def embed_masks(model: SamModel, logits: Tensor | None, given: Tensor | None) -> Tensor:
    """Dense embeddings `[N, C, h, w]` of `logits` `[N, 1, 4h, 4w]` where `given`, "no mask" elsewhere."""
    encoder = model.prompt_encoder
    none = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
    if logits is None:
        return none
    return torch.where(given[:, None, None, None], encoder.mask_embed(logits), none)


def decode(model: SamModel, embeddings: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
    """All mask logits `[N, 4, 4h, 4w]` and predicted IoU `[N, 4]`; `embeddings` `[N, C, h, w]` is one per prompt.

    `SamMaskDecoder.forward` computes the same and returns either the first mask or the other three.
    """
    decoder = model.mask_decoder
    count, channels, height, width = embeddings.shape
    output = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([output.expand(count, 1, -1, -1), sparse], 2)
    tokens, keys = decoder.transformer(
        point_embeddings=tokens,
        image_embeddings=embeddings + dense,
        image_positional_embeddings=centres(model, height, width).expand(count, -1, -1, -1),
        attention_similarity=None,
    )
    picture = keys.transpose(2, 3).reshape(count, channels, height, width)
    picture = decoder.activation(decoder.upscale_layer_norm(decoder.upscale_conv1(picture)))
    picture = decoder.activation(decoder.upscale_conv2(picture))
    heads = enumerate(decoder.output_hypernetworks_mlps)
    kernels = torch.stack([head(tokens[:, 0, 1 + k]) for k, head in heads], 1)
    logits = (kernels @ picture.flatten(2)).view(count, -1, *picture.shape[2:])
    return logits, decoder.iou_prediction_head(tokens[:, 0, 0])


def centres(model: SamModel, height: int, width: int) -> Tensor:
    """Position embeddings of the patch centres, `[1, C, height, width]`."""
    y, x = (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width
    grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], 2)
    return model.shared_image_embedding(grid).permute(2, 0, 1)[None]
