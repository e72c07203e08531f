"""Clouds of points as pictures: PointCLIP's depth maps (Zhang et al., CVPR 2022, arXiv:2112.02413), those of its second
version (Zhu et al., ICCV 2023, arXiv:2211.11682), and painted ones, which are ours: a coloured surface on a ground.

Points that are not finite numbers are drawn by none of them, so that clouds of different lengths share a batch when
they are filled up with NaN; a cloud without points is an empty picture. Rows are x where PointCLIP has them so, its
first rotation turns the cloud: y points up in the picture, x to the right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from clipkit.errors import ClipkitError, did_you_mean

Angles = Sequence[tuple[float, float, float]]
_Q = math.pi / 4
_SIDES = [(2 * i * _Q, 0.0, 2 * _Q) for i in range(4)]
_ENDS = [(0.0, -2 * _Q, 2 * _Q), (0.0, 2 * _Q, 2 * _Q)]
_CORNERS = [(x * _Q, y * _Q, 2 * _Q) for x in (5, 7) for y in (-1, 1)]
SIX: Angles = (*_SIDES, *_ENDS)
TEN: Angles = (*_SIDES, *_CORNERS, *_ENDS)
TEN_DIAGONAL: Angles = (*(((2 * i + 1) * _Q, 0.0, 2 * _Q) for i in range(4)), *_SIDES, *_ENDS)
_V2 = {"grid": 112, "depth": 8, "ratio": 0.8, "bias": 0.2, "sigma": 3.0}


def rotations(angles: Angles) -> Tensor:
    """Angles about x, y and z -> `(V, 3, 3)`, for rows of points: `points @ rotations`."""
    x, y, z = torch.tensor(angles).float().unbind(1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    parts = (
        (one, zero, zero, zero, x.cos(), -x.sin(), zero, x.sin(), x.cos()),
        (y.cos(), zero, y.sin(), zero, one, zero, -y.sin(), zero, y.cos()),
        (z.cos(), -z.sin(), zero, z.sin(), z.cos(), zero, zero, zero, one),
    )
    about_x, about_y, about_z = (torch.stack(part, 1).view(-1, 3, 3) for part in parts)
    return (about_x @ about_y @ about_z).transpose(1, 2)


class DepthMaps:
    """PointCLIP's depth maps: a pixel is the harmonic mean of its points' distances, not the nearest one; the ground is
    0, three equal channels. CLIP gets them without its mean and standard deviation (section 3.1 and the released code).

    Args:
        kind: 'zero-shot', six views of 128 pixels, or 'few-shot', ten of 224.
        size: pixels a side of the pictures, resized from these.
    """

    normalised = False

    def __init__(self, kind: str = "zero-shot", size: int = 224) -> None:
        known = {"zero-shot": (SIX, 128, 1.6), "few-shot": (TEN, 224, 1.4)}
        if kind not in known:
            raise ClipkitError(f"DepthMaps: kind={kind!r} is unknown; known: {', '.join(known)}")
        self.angles, self.raster, self.distance = known[kind]
        self.kind, self.size = kind, size

    def __call__(self, points: Tensor) -> Tensor:
        """`(B, N, 3)` -> `(B, V, 3, size, size)`."""
        side = self.raster
        seen = points[:, None] @ rotations(self.angles).to(points)
        x, y, z = seen[..., 0], seen[..., 1], seen[..., 2] + self.distance
        row, column = (((part / z + 1) * side / 2 - 0.5).ceil() for part in (x, y))
        drawn = seen.isfinite().all(-1) & (z > 0)
        for part in (row, column):
            drawn &= (part >= 0) & (part < side)
        place = torch.where(drawn, row * side + column, 0).long().flatten(0, 1)
        weight = torch.where(drawn, 1 / z, 0)
        sums = points.new_zeros(2, len(place), side * side)
        for total, part in zip(sums, (torch.where(drawn, z * weight, 0), weight)):
            total.scatter_add_(1, place, part.flatten(0, 1))
        maps = torch.where(sums[1] > 0, sums[0] / sums[1], 0).view(-1, 1, side, side)
        return _pictures(_resized(maps, self.size), points)


class RealisticMaps:
    """The second version's: points in a grid of 8 x 112 x 112 cells, near ones dark on white, thickened and smoothed;
    ten views, each turned by 20 or 12 degrees more. Without CLIP's mean and standard deviation (section 3.2 and the
    released code).

    Args:
        size: pixels a side.
    """

    normalised = False

    def __init__(self, size: int = 224) -> None:
        self.angles, self.size = TEN_DIAGONAL, size

    def __call__(self, points: Tensor) -> Tensor:
        """`(B, N, 3)` -> `(B, V, 3, size, size)`."""
        side, depth = int(_V2["grid"]), int(_V2["depth"])
        more = rotations([(0.0, math.pi / (9 if i < 8 else 15), 0.0) for i in range(10)])
        seen = points[:, None] @ rotations(self.angles).to(points) @ more.to(points)
        seen = (seen + seen.new_tensor([0.5, 0.5, 1.5])).flatten(0, 1)
        drawn = seen.isfinite().all(-1, keepdim=True)
        low, high = _bounds(seen, drawn)
        span = (high - low).amax(-1, keepdim=True).clamp(min=1e-9)
        seen = torch.where(drawn, (seen - (high + low) / 2) / span * 2.0, 0)
        x, y = (((seen[..., i] * _V2["ratio"] + 1) / 2 * side).ceil().clip(1, side - 2) for i in (0, 1))
        z = ((seen[..., 2] + 1) / 2 + _V2["bias"]) / (1 + _V2["bias"]) * (depth - 2)
        place = (z.ceil() * side * side + x * side + y).long()
        value = torch.where(drawn[..., 0], z.clip(1, depth - 2), 0)
        cells = seen.new_zeros(len(seen), depth * side * side).scatter_reduce(1, place, value, "amax")
        thick = F.max_pool2d(cells.view(-1, depth, side, side), 7, stride=1, padding=2)
        smooth = F.conv2d(thick.flatten(0, 1)[:, None], _gaussian(_V2["sigma"]).to(seen), padding=1)
        maps = smooth.view(-1, depth, *smooth.shape[-2:]).amax(1, keepdim=True)
        most = maps.amax((-2, -1), keepdim=True)
        return _pictures(_resized(1 - torch.where(most > 0, maps / most, 0), self.size), points)


class PaintedViews:
    """What a CLIP of pictures can read: the nearest point of each pixel hides those behind it, points are squares that
    join to a surface, which has one colour, darker where it is farther away, on a ground. Ours.

    Args:
        size: pixels a side.
        views: 'ten' or 'six' of PointCLIP's, 'front' for its first.
        colour, ground: RGB in [0, 1].
        shade: how much darker the farthest points are, 0 to 1.
        dot: side of a point's square, in pictures' sides.
        distance: of the eye from the middle of the cloud, whose radius is 1.
    """

    normalised = True

    def __init__(
        self,
        size: int = 224,
        views: str = "ten",
        colour: Sequence[float] = (0.85, 0.1, 0.1),
        ground: Sequence[float] = (0.72, 0.63, 0.45),
        shade: float = 0.3,
        dot: float = 0.05,
        distance: float = 2.0,
    ) -> None:
        known = {"ten": TEN, "six": SIX, "front": TEN[:1]}
        if views not in known:
            raise ClipkitError(f"PaintedViews: views={views!r} is unknown; known: {', '.join(known)}")
        self.angles, self.views, self.size = known[views], views, size
        self.colour, self.ground, self.shade, self.dot, self.distance = colour, ground, shade, dot, distance

    def __call__(self, points: Tensor) -> Tensor:
        """`(B, N, 3)` -> `(B, V, 3, size, size)`."""
        side = 2 * self.size  # twice as fine, then the mean of four: soft edges, as photos have them
        seen = points[:, None] @ rotations(self.angles).to(points)
        z = seen[..., 2] + self.distance
        row, column = (((seen[..., i] / z + 1) * side / 2).floor() for i in (0, 1))
        drawn = seen.isfinite().all(-1) & (z > 0)
        for part in (row, column):
            drawn &= (part >= 0) & (part < side)
        place = torch.where(drawn, row * side + column, 0).long().flatten(0, 1)
        far = torch.where(drawn, z, torch.inf).flatten(0, 1)
        nearest = points.new_full((len(place), side * side), torch.inf).scatter_reduce(1, place, far, "amin")
        wide = round(self.dot * self.size)
        depth = -nearest.view(-1, 1, side, side)
        for dot, edge in (((1, 2 * wide + 1), (0, wide)), ((2 * wide + 1, 1), (wide, 0))):  # a square is two lines
            depth = F.max_pool2d(depth, dot, stride=1, padding=edge)
        depth = -depth
        dark = 1 - self.shade * ((depth - self.distance + 1) / 2).clamp(0, 1)
        colour, ground = (points.new_tensor(rgb).view(3, 1, 1) for rgb in (self.colour, self.ground))
        fine = torch.where(depth.isfinite(), colour * dark, ground)
        return _pictures(F.avg_pool2d(fine, 2), points)


PROJECTIONS = {"DepthMaps": DepthMaps, "RealisticMaps": RealisticMaps, "PaintedViews": PaintedViews}
Projection = DepthMaps | RealisticMaps | PaintedViews


def build_projection(config: dict[str, Any]) -> Projection:
    """`dict(type="PaintedViews", size=64)` -> the projection.

    Raises:
        ClipkitError: an unknown type or option.
    """
    options = dict(config)
    kind = str(options.pop("type", "PaintedViews"))
    if kind not in PROJECTIONS:
        raise ClipkitError(f'projection: no type "{kind}"; {did_you_mean(kind, PROJECTIONS)}')
    try:
        return PROJECTIONS[kind](**options)
    except TypeError as error:
        raise ClipkitError(f"projection {kind}: {error}") from None


def _bounds(points: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """The corners of each cloud's box, `(B, 1, 3)`; 0 of a cloud without points."""
    if points.shape[1] == 0:
        nothing = points.new_zeros(len(points), 1, 3)
        return nothing, nothing
    low = torch.where(drawn, points, torch.inf).amin(1, keepdim=True)
    high = torch.where(drawn, points, -torch.inf).amax(1, keepdim=True)
    return torch.where(low.isfinite(), low, 0), torch.where(high.isfinite(), high, 0)


def _gaussian(sigma: float) -> Tensor:
    line = torch.exp(-(torch.arange(-1.0, 2.0) ** 2) / (2 * sigma**2))
    return (line[:, None] * line / (line[:, None] * line).sum())[None, None]


def _resized(maps: Tensor, size: int) -> Tensor:
    if maps.shape[-1] == size:
        return maps
    return F.interpolate(maps, (size, size), mode="bilinear", align_corners=True)


def _pictures(flat: Tensor, points: Tensor) -> Tensor:
    return flat.expand(-1, 3, -1, -1).unflatten(0, (len(points), -1))
