"""A small convolutional tower for spectrograms."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._fpn import conv_bn_relu


class SoundTower(nn.Module):
    """Strided convolutions, a 1x1, mean and maximum over what is left, two layers. Made for CPUs: time is halved first,
    and no convolution is depthwise.

    Args:
        dim: of the embedding.
        channels: of the three strided convolutions (5x5, 3x3, 3x3) and of the 1x1.
        hidden: width between the two last layers.
    """

    def __init__(self, dim: int, channels: Sequence[int] = (32, 64, 128, 160), hidden: int = 256) -> None:
        super().__init__()
        a, b, c, d = channels
        self.body = nn.Sequential(
            conv_bn_relu(1, a, 5, 2), conv_bn_relu(a, b, stride=2), conv_bn_relu(b, c, stride=2), conv_bn_relu(c, d, 1)
        )
        self.head = nn.Sequential(nn.Linear(2 * d, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, dim))

    def forward(self, spectrograms: Tensor) -> Tensor:
        """`(B, bands, frames)`, as `LogMel` gives them -> `(B, dim)`, not normalised."""
        maps = self.body(F.avg_pool2d(spectrograms[:, None], (1, 2), ceil_mode=True))
        return self.head(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1))
