"""Where the image tokens come from: the paper's patches, a convolutional stem, or a frozen CLIP."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clipkit.backbone import FrozenCLIP
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError


class Positions(nn.Module):
    """A learned table of a grid, resized (bicubic, as the original does) where another grid comes."""

    def __init__(self, dim: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.table = nn.Parameter(torch.zeros(1, grid * grid, dim))
        nn.init.trunc_normal_(self.table, std=0.02)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """`x` (B, h·w, d) of the grid (h, w), plus the positions."""
        if grid == (self.grid, self.grid):
            return x + self.table
        table = self.table.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        table = F.interpolate(table, size=grid, mode="bicubic", align_corners=False)
        return x + table.flatten(2).transpose(1, 2)


@MODELS.register_module()
class PatchTokens(nn.Module):
    """A convolution of `patch` pixels and stride, LayerNorm, positions: the paper's.

    Args:
        dim: width of the tokens.
        patch: pixels a side; size: of the images that the positions are learned on.
    """

    needs_clip = False

    def __init__(self, dim: int = 384, patch: int = 16, size: int = 224) -> None:
        super().__init__()
        self.stride = patch
        self.proj = nn.Conv2d(3, dim, patch, patch)
        self.norm = nn.LayerNorm(dim)
        self.positions = Positions(dim, size // patch)

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """`images` (B, 3, H, W), normalised -> tokens (B, h·w, d) and (h, w)."""
        x = self.proj(images)
        grid = (x.shape[2], x.shape[3])
        return self.positions(self.norm(x.flatten(2).transpose(1, 2)), grid), grid


@MODELS.register_module()
class StemTokens(nn.Module):
    """3×3 convolutions with batch norm and GELU, LayerNorm, positions: for small images, which patches would cut up.

    Args:
        channels: of each convolution, the last one the width of the tokens.
        strides: of each convolution.
        size: of the images that the positions are learned on.
    """

    needs_clip = False

    def __init__(
        self, channels: Sequence[int] = (24, 48, 64, 96), strides: Sequence[int] = (2, 1, 2, 1), size: int = 64
    ) -> None:
        super().__init__()
        if len(channels) != len(strides):
            raise ClipkitError(f"channels has {len(channels)} convolutions and strides {len(strides)}")
        layers: list[nn.Module] = []
        self.stride, before = 1, 3
        for width, stride in zip(channels, strides):
            layers += [nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.GELU()]
            self.stride, before = self.stride * stride, width
        self.stem = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(before)
        self.positions = Positions(before, size // self.stride)

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """As `PatchTokens`."""
        x = self.stem(images)
        grid = (x.shape[2], x.shape[3])
        return self.positions(self.norm(x.flatten(2).transpose(1, 2)), grid), grid


@MODELS.register_module()
class FrozenTokens(nn.Module):
    """Ours: patch tokens of the text's own frozen CLIP, through LayerNorm, Linear, LayerNorm, with positions.

    It holds no reference to the CLIP, it is called with it.

    Args:
        dim: width of the tokens.
        width: of the CLIP's.
        size: of the images that the positions are learned on.
        layer: block whose output is taken.
        stride: pixels per token, see `FrozenCLIP.features`.
        cache: keep the CLIP's tokens of training images, in bfloat16, from the first time that they are seen: for
            pipelines that show an image the same way each time.
    """

    needs_clip = True

    def __init__(
        self, dim: int, width: int, size: int = 64, layer: int = -1, stride: int | None = None, cache: bool = False
    ) -> None:
        super().__init__()
        self.layer, self.stride, self.cache = layer, stride or 8, cache
        self.clip_stride = stride
        self.norm_in, self.proj, self.norm = nn.LayerNorm(width), nn.Linear(width, dim), nn.LayerNorm(dim)
        self.positions = Positions(dim, size // self.stride)
        self._kept: dict[str, Tensor] = {}

    def forward(self, maps: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """`maps` (B, C, h, w), as `of` gives them -> tokens (B, h·w, d) and (h, w)."""
        grid = (maps.shape[2], maps.shape[3])
        x = self.norm(self.proj(self.norm_in(maps.flatten(2).transpose(1, 2))))
        return self.positions(x, grid), grid

    @torch.no_grad()
    def of(self, images: Tensor, clip: FrozenCLIP, names: Sequence[str] | None = None) -> Tensor:
        """The CLIP's tokens (B, C, h, w) of `images` (B, 3, H, W) RGB in [0, 1]; `names` say which images they are, so
        that what is kept is found."""
        if names is None or not self.cache:
            return clip.features(images, (self.layer,), dense=False, stride=self.clip_stride).maps[0]
        missing = [i for i, name in enumerate(names) if name not in self._kept]
        if missing:
            maps = clip.features(images[missing], (self.layer,), dense=False, stride=self.clip_stride).maps[0]
            for i, one in zip(missing, maps.to(torch.bfloat16)):
                self._kept[names[i]] = one.clone()  # a view would keep the whole batch
        return torch.stack([self._kept[name] for name in names]).float()
