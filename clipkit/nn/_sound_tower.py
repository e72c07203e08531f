"""A small convolutional tower for spectrograms."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._fpn import conv_bn_relu


class SoundTower(nn.Module):
    """Strided convolutions and a 1x1, then mean and maximum over time of each band of frequencies, and two layers. Made
    for CPUs: time is halved first, and no convolution is depthwise. Frequencies keep their place: which harmonics sound
    is seen by no small window.

    Args:
        dim: of the embedding.
        channels: of the three strided convolutions (5x5, 3x3, 3x7: rhythms are long) and of the 1x1.
        rows: bands of frequencies that are left at the end.
        hidden: width between the two last layers.
    """

    def __init__(
        self, dim: int, channels: Sequence[int] = (32, 64, 128, 64), rows: int = 10, hidden: int = 256
    ) -> None:
        super().__init__()
        a, b, c, d = channels
        self.rows = rows
        wide = nn.Conv2d(b, c, (3, 7), 2, (1, 3), bias=False)
        self.body = nn.Sequential(
            conv_bn_relu(1, a, 5, 2),
            conv_bn_relu(a, b, stride=2),
            nn.Sequential(wide, nn.BatchNorm2d(c), nn.ReLU(inplace=True)),
            conv_bn_relu(c, d, 1),
        )
        self.head = nn.Sequential(nn.Linear(2 * d * rows, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, dim))

    def forward(self, spectrograms: Tensor) -> Tensor:
        """`(B, bands, frames)`, as `LogMel` gives them -> `(B, dim)`, not normalised."""
        maps = self.body(F.avg_pool2d(spectrograms[:, None], (1, 2), ceil_mode=True))
        size = (self.rows, 1)
        pooled = torch.cat([F.adaptive_avg_pool2d(maps, size), F.adaptive_max_pool2d(maps, size)], 1)
        return self.head(pooled.flatten(1))
