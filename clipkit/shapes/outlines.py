"""The twelve shapes as drawings: filled or as outlines, by a steady or an unsteady hand."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from clipkit.shapes._sdf import EXTENT, RESOLUTION, tables
from clipkit.shapes._words import SHAPES


def render_outlines(
    batch: int,
    *,
    size: int = 64,
    seed: int = 0,
    shapes: Tensor | None = None,
    width: tuple[float, float] = (1.0, 4.0),
    filled: float = 0.0,
    coloured: float = 0.0,
    unsteady: float = 0.0,
    gaps: float = 0.0,
    still: bool = False,
    hatched: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Draws one shape a picture, black on white.

    Args:
        batch, size, seed: how many, their side in pixels, of which random numbers.
        shapes: `(batch,)` int64 indices into SHAPES; default random ones.
        width: least and greatest width of the line in pixels at 64 × 64; it grows with the size.
        filled: share of pictures whose shape is filled.
        coloured: share of pictures with random ink on random paper, far enough from each other to be seen.
        unsteady: how far lines go astray, as a share of the radius.
        gaps: greatest share of an outline that is missing.
        still: all in the middle, upright, of one size.
        hatched: share of pictures whose shape is shaded by lines, in one direction or two, half of them outlined too.

    Returns:
        pictures `(batch, 3, size, size)` in [0, 1], shapes `(batch,)` int64.
    """
    g = torch.Generator().manual_seed(seed)

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(batch, *shape, generator=g)

    chosen = torch.randint(len(SHAPES), (batch,), generator=g) if shapes is None else shapes
    radius = size * (torch.full((batch, 1, 1), 0.36) if still else uniform(1, 1, low=0.2, high=0.4))
    angle = 0.0 * uniform(1, 1) if still else uniform(1, 1, low=-0.35, high=0.35)
    centre = size / 2 + (0.0 if still else 1.0) * (size / 2 - radius[:, :, 0]) * uniform(2, low=-0.8, high=0.8)
    axis = torch.arange(size) + 0.5
    dx = (axis - centre[:, :1])[:, None] / radius
    dy = (axis - centre[:, 1:])[..., None] / radius
    waves = F.interpolate(uniform(3, 6, 6, low=-1, high=1), (size, size), mode="bicubic", align_corners=True)
    x = angle.cos() * dx + angle.sin() * dy + unsteady * waves[:, 0]
    y = -angle.sin() * dx + angle.cos() * dy + unsteady * waves[:, 1]
    table = tables("cpu")[0].view(len(SHAPES), 1, RESOLUTION, RESOLUTION)[chosen]
    grid = torch.stack([x, y], -1) / EXTENT
    distance = F.grid_sample(table, grid, padding_mode="border", align_corners=False)[:, 0] * radius
    half = uniform(1, 1, low=width[0], high=width[1]) * size / 128
    line = (half + 0.5 - distance.abs()).clamp(0, 1)
    missing = torch.sin(
        torch.atan2(dy, dx) * torch.randint(1, 5, (batch, 1, 1), generator=g) + 2 * math.pi * uniform(1, 1)
    )
    line = line * (missing > -torch.cos(math.pi * gaps * uniform(1, 1)))
    ink = torch.where(uniform(1, 1) < filled, (0.5 - distance).clamp(0, 1), line)[:, None]
    is_coloured = uniform(1, 1, 1) < coloured
    paper, pen = uniform(3, 1, 1), uniform(3, 1, 1)
    if hatched:
        inside = (0.5 + 2 * waves[:, 2] - distance).clamp(0, 1)  # lines end before the edge, or after it
        shade = torch.zeros_like(distance)
        for layer in range(2):
            turn, apart = uniform(1, 1, high=math.pi), uniform(1, 1, low=0.04, high=0.16) * size
            bent = torch.roll(waves, layer + 1, 1)[:, 0] * uniform(1, 1) * apart
            across = (turn.cos() * dx + turn.sin() * dy) * radius + bent
            beside = (across / apart - (across / apart).round()).abs() * apart
            drawn = uniform(1, 1) < 0.5 if layer else torch.ones(batch, 1, 1, dtype=torch.bool)
            shade = torch.where(drawn, shade.maximum((half + 0.5 - beside).clamp(0, 1)), shade)
        shade = (shade * inside).maximum(torch.where(uniform(1, 1) < 0.5, line, 0.0))
        ink = torch.where((uniform(1, 1) < hatched)[:, None], shade[:, None], ink)
    pen = torch.where((pen - paper).abs().amax(1, keepdim=True) < 0.35, (paper + 0.5) % 1, pen)
    paper, pen = torch.where(is_coloured, paper, 1.0), torch.where(is_coloured, pen, 0.0)
    return paper + ink * (pen - paper), chosen
