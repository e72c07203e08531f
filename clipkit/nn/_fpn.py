"""A light decoder in the manner of a feature pyramid network (Lin et al., CVPR 2017, arXiv:1612.03144)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn_relu(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch normalisation, ReLU; keeps the size when `stride` is 1."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class FPNDecoder(nn.Module):
    """y_i = conv3x3(lateral_i(x_i) + up(y_{i+1})), from coarse to fine; the output is y_0.

    Args:
        in_channels: channels of the incoming maps, finest first.
        features: channels of the output: one number, or one a level (finest first), so that fine levels stay cheap.

    Attributes:
        out_channels: channels of the finest level.

    Raises:
        ValueError: when `features` is a list of another length, or `forward` gets another number of maps.
    """

    def __init__(self, in_channels: Sequence[int], features: int | Sequence[int] = 128):
        super().__init__()
        widths = [features] * len(in_channels) if isinstance(features, int) else list(features)
        if len(widths) != len(in_channels):
            raise ValueError(f"features has {len(widths)} entries for {len(in_channels)} maps; give one a map")
        self.laterals = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in zip(in_channels, widths))
        # Changing the width before the upsampling costs a quarter of changing it after.
        self.reduce = nn.ModuleList(
            nn.Identity() if a == b else nn.Conv2d(a, b, 1, bias=False) for a, b in zip(widths[1:], widths)
        )
        self.smooth = nn.ModuleList(conv_bn_relu(o, o) for o in widths)
        self.out_channels = widths[0]

    def forward(self, maps: Sequence[Tensor], cls: Sequence[Tensor] | None = None) -> Tensor:
        """`maps` list of (B, C_i, h_i, w_i), finest first -> (B, features, h_0, w_0). `cls` is accepted and unused."""
        if len(maps) != len(self.laterals):
            raise ValueError(f"the decoder was built for {len(self.laterals)} maps and got {len(maps)}")
        out = self.smooth[-1](self.laterals[-1](maps[-1]))
        for i in range(len(maps) - 2, -1, -1):
            up = F.interpolate(self.reduce[i](out), size=maps[i].shape[-2:], mode="bilinear", align_corners=False)
            out = self.smooth[i](self.laterals[i](maps[i]) + up)
        return out
