"""Where a drawing's strokes shall begin: where CLIP looks and the picture has edges (Vinker et al., 2022, 3.3)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from clipkit.backbone import FrozenCLIP
from clipkit.errors import ClipkitError

_SIGMA, _RATIO, _GAMMA, _SHARP, _EPSILON = 0.8, 10.0, 0.98, 200.0, -0.1  # of the release's XDoG
_TEMPERATURE = 0.3


def where_clip_looks(clip: FrozenCLIP, pictures: Tensor) -> Tensor:
    """`(B, H, W)` in [0, 1]: the class token's attention, a mean over heads and blocks; of a convolutional tower how
    much each place's embedding is like the whole picture's, a class activation map without a class.

    Args:
        pictures: `(B, 3, H, W)` in [0, 1].
    """
    with torch.no_grad():
        if clip.patch_size is not None:
            coarse = clip.attention(pictures.to(clip.device)).mean(1)
        else:
            seen = clip.features(pictures.to(clip.device))
            whole = F.normalize(seen.embedding, dim=-1)[..., None, None]
            coarse = (F.normalize(seen.dense, dim=1) * whole).sum(1)
    fine = F.interpolate(coarse[:, None].to(pictures), pictures.shape[-2:], mode="bicubic")[:, 0]
    return _unit(fine)


def edges(pictures: Tensor) -> Tensor:
    """`(B, H, W)` bool: XDoG (Winnemöller et al., 2012) of the grey picture in [0, 1], split by Otsu's threshold. The
    release runs it on pixels that are normalised for CLIP, for which its constants are not meant."""
    grey = pictures.mean(1)
    difference = _blurred(grey, _SIGMA) - _GAMMA * _blurred(grey, _SIGMA * _RATIO)
    light = torch.where(difference < _EPSILON, 1.0, 1 + torch.tanh(_SHARP * difference))
    return torch.stack([one < _otsu(one) for one in _unit(light)])


def start_points(
    clip: FrozenCLIP, pictures: Tensor, count: int, generator: torch.Generator, masks: Tensor | None = None
) -> Tensor:
    """`(B, count, 2)` x, y in pixels: drawn without replacement by softmax(saliency / 0.3) among the edges.

    Args:
        masks: `(B, H, W)`, 0 where nothing shall be drawn.
    """
    width = pictures.shape[-1]
    looks = where_clip_looks(clip, pictures)
    found = edges(pictures) if masks is None else edges(pictures) & (masks > 0.5)
    points = []
    for saliency, edge in zip(looks, found):
        if edge.sum() < count:  # a picture without edges
            edge = torch.ones_like(edge)
        if edge.numel() < count:
            raise ClipkitError(
                f"{count} strokes are more than a picture of {edge.numel()} pixels has room for: give fewer"
            )
        chance = torch.softmax((saliency * edge)[edge] / _TEMPERATURE, 0)
        cell = edge.flatten().nonzero()[:, 0][torch.multinomial(chance, count, generator=generator)]
        points.append(torch.stack([cell % width, cell // width], -1) + 0.5)
    return torch.stack(points)


def random_points(batch: int, count: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """`(B, count, 2)` anywhere: what the start by saliency is compared with."""
    return torch.rand(batch, count, 2, generator=generator) * torch.tensor([size[1], size[0]])


def _blurred(grey: Tensor, sigma: float) -> Tensor:
    reach = min(math.ceil(3 * sigma), min(grey.shape[-2:]) - 1)
    axis = torch.arange(-reach, reach + 1).to(grey)
    kernel = torch.exp(-(axis**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(grey[:, None], (reach, reach, reach, reach), mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[:, 0]


def _unit(maps: Tensor) -> Tensor:
    low, high = maps.flatten(1).aminmax(dim=1)
    return (maps - low[:, None, None]) / (high - low).clamp(min=1e-12)[:, None, None]


def _otsu(values: Tensor) -> Tensor:
    """The threshold that parts values in [0, 1] into two classes of greatest variance between them (256 bins)."""
    counts = torch.histc(values, 256, 0, 1)
    middle = (torch.arange(256).to(values) + 0.5) / 256
    below, mass = counts.cumsum(0), (counts * middle).cumsum(0)
    above = below[-1] - below
    between = below * above * (mass / below.clamp(min=1) - (mass[-1] - mass) / above.clamp(min=1)).square()
    return middle[between.argmax()] + 0.5 / 256
