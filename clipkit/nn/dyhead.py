"""A block of the dynamic head (Dai et al., "Dynamic Head", CVPR 2021, arXiv:2106.08322): levels of a pyramid read their
neighbours, through deformable convolutions whose offsets the middle level says."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

OFFSETS = ("kernel", "resize", None)
GROUPS = 16  # of the norms, as in the release


class DyReLU(nn.Module):
    """max(x a1 + b1, x a2 + b2), a1 in [0, 2], the others in ±1 and ±0.5, from the mean over places (Chen et al., ECCV
    2020)."""

    def __init__(self, channels: int, ratio: int = 4):
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // ratio), nn.ReLU(), nn.Linear(channels // ratio, 4 * channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same."""
        by_mean = F.hardsigmoid(self.fc(x.mean((2, 3)))) - 0.5
        a1, b1, a2, b2 = by_mean[:, :, None, None].chunk(4, 1)
        return torch.maximum(x * (2 * a1 + 1) + b1, x * (2 * a2) + b2)


class _Conv(nn.Module):
    """3x3 convolution and group norm; deformable where offsets and mask are given."""

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, stride, 1)
        self.norm = nn.GroupNorm(GROUPS, channels)

    def forward(self, x: Tensor, offset: Tensor | None, mask: Tensor | None) -> Tensor:
        if offset is None:
            return self.norm(self.conv(x))
        weight, bias, stride = self.conv.weight, self.conv.bias, self.conv.stride
        return self.norm(deform_conv2d(x, offset, weight, bias, stride, padding=1, mask=mask))


class DyConv(nn.Module):
    """One block: each level becomes the mean of itself, the finer level at stride 2 and the coarser one enlarged, each
    times its own weight (scale attention), through a `DyReLU`.

    Args:
        in_channels, channels: multiples of 16.
        offsets: a level's offsets also steer the convolution of the coarser level, whose map is smaller.
            `'kernel'`: they are read as the CUDA kernel of DyHead and GLIP reads them, by the smaller map's strides:
            what released weights were trained with. `'resize'`: resized to the smaller map. None: plain convolutions.

    Raises:
        ValueError: an unknown word, or channels that 16 groups do not divide.
    """

    def __init__(self, in_channels: int, channels: int, offsets: str | None = "kernel"):
        super().__init__()
        if offsets not in OFFSETS:
            raise ValueError(f"DyConv: offsets='{offsets}' is unknown; known: kernel, resize, None")
        if channels % GROUPS:
            raise ValueError(f"DyConv: {channels} channels do not make {GROUPS} groups")
        self.offsets = offsets
        self.coarser, self.same = _Conv(in_channels, channels, 1), _Conv(in_channels, channels, 1)
        self.finer = _Conv(in_channels, channels, 2)
        self.weigh = nn.Conv2d(channels, 1, 1)
        self.offset = None if offsets is None else nn.Conv2d(in_channels, 27, 3, padding=1)
        self.relu = DyReLU(channels)
        for part in (self.coarser.conv, self.same.conv, self.finer.conv, self.weigh):
            nn.init.normal_(part.weight, std=0.01)
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Levels (B, in_channels, h, w), finest first, each half the size of the one before -> (B, channels, h, w)."""
        out = []
        for i, level in enumerate(levels):
            offset, mask = self._steer(level)
            parts = [self.same(level, offset, mask)]
            if i > 0:
                parts.append(self.finer(levels[i - 1], offset, mask))
            if i < len(levels) - 1:
                coarse = levels[i + 1]
                found = self.coarser(coarse, *self._fit(offset, mask, coarse))
                parts.append(F.interpolate(found, level.shape[-2:], mode="bilinear", align_corners=True))
            weights = [F.hardsigmoid(F.relu(self.weigh(part.mean((2, 3), keepdim=True)))) for part in parts]
            out.append(self.relu(sum(w * part for w, part in zip(weights, parts)) / len(parts)))
        return out

    def _steer(self, level: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Offsets (B, 18, h, w) and masks (B, 9, h, w) of a level."""
        if self.offset is None:
            return None, None
        said = self.offset(level)
        return said[:, :18], said[:, 18:].sigmoid()

    def _fit(self, offset: Tensor | None, mask: Tensor | None, coarse: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Those of a level for the next coarser one."""
        if offset is None or mask is None:
            return None, None
        size = coarse.shape[-2:]
        if self.offsets == "resize":
            smaller = [F.interpolate(x, size, mode="bilinear", align_corners=True) for x in (offset, mask)]
            return smaller[0] * (size[0] / offset.shape[-2]), smaller[1]
        # As `clipkit.mmcv_ops.deform` reads larger maps, here with a gradient: the first values of each picture.
        taken = [x.flatten(1)[:, : x.shape[1] * size.numel()].unflatten(1, (x.shape[1], *size)) for x in (offset, mask)]
        return taken[0], taken[1]
