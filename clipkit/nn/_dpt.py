"""The decoder of DPT (Ranftl et al., "Vision Transformers for Dense Prediction", ICCV 2021, arXiv:2103.13413,
section 3), which LSeg uses. Maps of a ViT's blocks are reassembled into a pyramid of four strides, then fused from
coarse to fine."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

READOUTS = ("project", "add", "ignore")


class Readout(nn.Module):
    """Joins the class token to every pixel of a ViT's map, and keeps the map's size.

    `project`: GELU(Linear(concat(pixel, cls))), DPT's own; `add`: pixel + cls; `ignore`: pixel.

    Args:
        channels: channels C of the map and of the class token.
        mode: one of `project`, `add`, `ignore`.

    Raises:
        ValueError: for another mode, or in `forward` when the mode needs a class token and none is given.
    """

    def __init__(self, channels: int, mode: str = "project"):
        super().__init__()
        if mode not in READOUTS:
            raise ValueError(f"readout '{mode}' is unknown; known: {', '.join(READOUTS)}")
        self.mode = mode
        # A 1x1 convolution is the paper's Linear over channels, without moving the channels to the last place.
        self.project = nn.Conv2d(2 * channels, channels, 1) if mode == "project" else None

    def forward(self, x: Tensor, cls: Tensor | None = None) -> Tensor:
        """`x` (B, C, h, w), `cls` (B, C) -> (B, C, h, w)."""
        if self.mode == "ignore":
            return x
        if cls is None:
            raise ValueError(f"readout '{self.mode}' needs the class token; this tower has none: use readout='ignore'")
        token = cls[:, :, None, None].expand_as(x)
        if self.project is None:
            return x + token
        return F.gelu(self.project(torch.cat([x, token], dim=1)))


def _rescale(channels: int, factor: float) -> nn.Module:
    """Upsampling by transposed convolution (factor 2, 4, 8), identity (1), or a 3x3 convolution of stride 1/factor."""
    if factor > 1:
        return nn.ConvTranspose2d(channels, channels, int(factor), stride=int(factor))
    if factor == 1:
        return nn.Identity()
    return nn.Conv2d(channels, channels, 3, stride=round(1 / factor), padding=1)


class Reassemble(nn.Module):
    """Readout, 1x1 convolution to `out_channels`, and change of stride by `factor` (DPT section 3.2).

    Args:
        in_channels: the tower's width.
        out_channels: channels of this level of the pyramid.
        factor: size out / size in: a whole number >= 1, or 1/2, 1/4, ...
        readout: see `Readout`.
    """

    def __init__(self, in_channels: int, out_channels: int, factor: float = 1, readout: str = "project"):
        super().__init__()
        if factor <= 0 or (factor > 1 and factor != int(factor)) or (factor < 1 and (1 / factor) % 1):
            raise ValueError(f"factor {factor}: give a whole number, or one over a whole number")
        self.readout = Readout(in_channels, readout)
        self.project = nn.Conv2d(in_channels, out_channels, 1)
        self.rescale = _rescale(out_channels, factor)

    def forward(self, x: Tensor, cls: Tensor | None = None) -> Tensor:
        """`x` (B, in, h, w), `cls` (B, in) -> (B, out, h*factor, w*factor)."""
        return self.rescale(self.project(self.readout(x, cls)))


class ResidualConvUnit(nn.Module):
    """x + BN(conv3x3(relu(BN(conv3x3(relu(x)))))); without `batch_norm` the convolutions have a bias instead."""

    def __init__(self, channels: int, batch_norm: bool = True):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=not batch_norm)
        self.bn1 = nn.BatchNorm2d(channels) if batch_norm else nn.Identity()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=not batch_norm)
        self.bn2 = nn.BatchNorm2d(channels) if batch_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, h, w) -> (B, C, h, w)."""
        y = self.bn1(self.conv1(F.relu(x)))
        return x + self.bn2(self.conv2(F.relu(y)))


class FusionBlock(nn.Module):
    """out_conv(up(RCU2(x + RCU1(skip)))), up = bilinear with align_corners (DPT section 3.2).

    Args:
        channels: features of all levels.
        skip: False for the coarsest level, which has no RCU1.
        batch_norm: see `ResidualConvUnit`.
    """

    def __init__(self, channels: int, skip: bool = True, batch_norm: bool = True):
        super().__init__()
        self.rcu1 = ResidualConvUnit(channels, batch_norm) if skip else None
        self.rcu2 = ResidualConvUnit(channels, batch_norm)
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, skip: Tensor | None = None, size: tuple[int, int] | None = None) -> Tensor:
        """`x`, `skip` (B, C, h, w) -> (B, C, *size); `size` None means twice the input's."""
        if skip is not None:
            if self.rcu1 is None:
                raise ValueError("this FusionBlock was built with skip=False")
            x = x + self.rcu1(skip)
        x = self.rcu2(x)
        size = size or (2 * x.shape[-2], 2 * x.shape[-1])
        # A 1x1 convolution commutes with interpolation, whose weights sum to one, and before it costs a quarter.
        return F.interpolate(self.out_conv(x), size=size, mode="bilinear", align_corners=True)


class DPTDecoder(nn.Module):
    """Maps from fine to coarse -> one map of `features` channels at twice the finest level's size.

    For a ViT, `factors` says how the equal-sized maps become a pyramid; for a convolutional tower, whose maps are
    a pyramid already, `factors` is None and reassembling is left out. LSeg's ViT-L/16 is
    `DPTDecoder([1024] * 4, channels=(256, 512, 1024, 1024), factors=(4, 2, 1, 0.5), features=256)`.

    Args:
        in_channels: channels of the incoming maps, finest first.
        features: channels of the output and of all fusion blocks.
        channels: channels after reassembling; default: `in_channels`. Unused when `factors` is None.
        factors: change of size for each map, or None.
        readout: `project`, `add`, `ignore`; what happens to the class token. Unused when `factors` is None.
        batch_norm: batch normalisation in the residual units (LSeg: always).

    Attributes:
        out_channels: `features`.

    Raises:
        ValueError: when the lists have different lengths, or `forward` gets another number of maps.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        features: int = 256,
        channels: Sequence[int] | None = None,
        factors: Sequence[float] | None = (4, 2, 1, 0.5),
        readout: str = "project",
        batch_norm: bool = True,
    ):
        super().__init__()
        levels = list(in_channels)
        self.reassemble: nn.ModuleList | None = None
        if factors is not None:
            channels = list(channels or in_channels)
            if not len(levels) == len(factors) == len(channels):
                raise ValueError(
                    f"in_channels ({len(levels)}), channels ({len(channels)}) and factors ({len(factors)}) must be "
                    "equally long: one entry a map"
                )
            self.reassemble = nn.ModuleList(
                Reassemble(i, o, f, readout) for i, o, f in zip(in_channels, channels, factors)
            )
            levels = channels
        self.laterals = nn.ModuleList(nn.Conv2d(c, features, 3, padding=1, bias=False) for c in levels)
        last = len(levels) - 1
        self.fusions = nn.ModuleList(
            FusionBlock(features, skip=i != last, batch_norm=batch_norm) for i in range(last + 1)
        )
        self.out_channels = features

    def forward(self, maps: Sequence[Tensor], cls: Sequence[Tensor] | None = None) -> Tensor:
        """`maps` list of (B, C_i, h_i, w_i), finest first; `cls` list of (B, C_i) -> (B, features, 2*h_0, 2*w_0)."""
        if len(maps) != len(self.laterals):
            raise ValueError(f"the decoder was built for {len(self.laterals)} maps and got {len(maps)}")
        levels = list(maps)
        if self.reassemble is not None:
            tokens: Sequence[Tensor | None] = cls if cls else [None] * len(levels)
            levels = [part(x, c) for part, x, c in zip(self.reassemble, levels, tokens)]
        levels = [conv(x) for conv, x in zip(self.laterals, levels)]
        out = levels[-1]
        for i in range(len(levels) - 1, -1, -1):
            # An odd grid loses a row when it is halved: go to the next level's own size, not blindly to twice this one.
            size = (levels[i - 1].shape[-2], levels[i - 1].shape[-1]) if i else None
            out = self.fusions[i](out, None if i == len(levels) - 1 else levels[i], size)
        return out
