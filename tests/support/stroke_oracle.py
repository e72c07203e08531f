"""Strokes painted the slow way: 8 × 8 points a pixel, each inside or outside of each path."""

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from clipkit.nn import Strokes

EACH = 8


def supersampled(strokes: Strokes) -> Tensor:
    """`(1, 3, H, W)` float64: paths of one segment, not filled."""
    height, width = strokes.size
    picture = np.ones((height * EACH, width * EACH, 3))
    t = torch.linspace(0, 1, 1000, dtype=torch.float64)[:, None]
    for number, segment in enumerate(strokes.segments):
        p0, p1, p2, p3 = strokes.points.detach()[segment].double()
        line = ((1 - t) ** 3 * p0 + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t**2 * p2 + t**3 * p3).numpy()
        radius = strokes.width[number].item() / 2
        low = np.maximum(0, np.floor((line.min(0) - radius) * EACH)).astype(int)
        high = np.minimum((width * EACH, height * EACH), np.ceil((line.max(0) + radius) * EACH)).astype(int)
        y, x = np.mgrid[low[1] : high[1], low[0] : high[0]]
        where = (np.stack([x, y], -1) + 0.5) / EACH
        distance, _ = cKDTree(line).query(where, distance_upper_bound=radius + 1e-9)
        opacity = 1.0 if strokes.opacity is None else strokes.opacity[number].item()
        colour = np.zeros(3) if strokes.colour is None else strokes.colour.detach()[number].numpy()
        part = picture[low[1] : high[1], low[0] : high[0]]
        part += opacity * (distance <= radius)[..., None] * (colour - part)
    cells = torch.from_numpy(picture).view(height, EACH, width, EACH, 3)
    return cells.mean((1, 3)).permute(2, 0, 1)[None]


def bent(paths: int, size: int, seed: int, length: float = 42.0) -> Tensor:
    """`(P, 4, 2)` control points of gently bent strokes, about `length` pixels long."""
    g = torch.Generator().manual_seed(seed)
    start = size * (0.1 + 0.8 * torch.rand(paths, 1, 2, generator=g))
    angle = 6.28 * torch.rand(paths, 1, generator=g) + (1.2 * torch.rand(paths, 3, generator=g) - 0.6).cumsum(1)
    legs = torch.stack([angle.cos(), angle.sin()], -1) * length / 3
    return torch.cat([start, start + legs.cumsum(1)], 1)
