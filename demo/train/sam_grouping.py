"""What trains the image encoder beside the prompts: which cells of a picture belong to one object.

A few prompts say little about a picture. Here its embedding is asked for pairs of cells of 4 x 4 pixels: a linear map
gives a vector for each cell, and those of one object, or of nothing, are to be near one another and far from all others
(the pairwise form of Fathi et al. 2017, "Semantic Instance Segmentation via Deep Metric Learning"). The map is thrown
away after training.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL, SIZE = 4, 16  # pixels a side; numbers of a cell's vector
OUTSIDE = 255  # label of the padding
SAMPLES = 256  # cells of a picture that are compared with one another


class Grouping(nn.Module):
    """Features `[B, C, h, w]` of one stride or several -> loss against labels `[B, n * h, n * w]` of the cells.
    Each stride is given by its channels `C` and by the cells `n` along a side of its patch."""

    def __init__(self, *strides: tuple[int, int]):
        super().__init__()
        self.vectors = nn.ModuleList(nn.Conv2d(channels, cells**2 * (SIZE + 1), 1) for channels, cells in strides)
        for vectors in self.vectors:  # features may be large; distances begin near the margin
            nn.init.normal_(vectors.weight, std=0.005)
        self.cells = [cells for _, cells in strides]
        self.margin = nn.Parameter(torch.tensor(2.0))

    def forward(self, features: list[Tensor], labels: Tensor) -> Tensor:
        """Cross entropy of `margin - distance^2` for "the same", both answers with equal weight, and that of
        "there is an object"."""
        maps = zip(features, self.vectors, self.cells, strict=True)
        cells = sum(F.pixel_shuffle(vectors(feature), n) for feature, vectors, n in maps)
        cells = cells.flatten(2).transpose(1, 2).float()
        labels = labels.flatten(1).long()
        # Objects are small: half of the cells that are drawn lie on them, as far as chance allows.
        area = (labels > 0).float().mean(1, keepdim=True).clamp(0.02, 0.98)
        weight = torch.where(labels > 0, 1 / area, 1 / (1 - area)) * (labels != OUTSIDE)
        chosen = torch.multinomial(weight + 1e-9, SAMPLES)
        labels = labels.gather(1, chosen)
        cells = cells.gather(1, chosen[..., None].expand(-1, -1, SIZE + 1))
        vectors, presence = cells[..., :SIZE], cells[..., SIZE]
        distance = (vectors[:, :, None] - vectors[:, None]).square().sum(3)
        same = (labels[:, :, None] == labels[:, None]).float()
        each = F.binary_cross_entropy_with_logits(self.margin - distance, same, reduction="none")
        pairs = (each * same).sum() / same.sum() + (each * (1 - same)).sum() / (1 - same).sum().clamp_min(1)
        return pairs / 2 + F.binary_cross_entropy_with_logits(presence, (labels > 0).float())
