"""Signed distances of the twelve shapes, tabulated once: sampling a table costs the same for a star as for a circle.

Formulae for polygons and arcs are the well-known ones (Quilez, "2D distance functions"), restated for torch. Distances
are in units of the object's radius: negative inside, the shape fills about [-1, 1]².
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from clipkit.shapes._words import SHAPES, TEXTURES

EXTENT = 1.35
"""The tables cover [-EXTENT, EXTENT]² of an object's own coordinates; outside lies nothing."""
RESOLUTION = 192


def _polygon(x: Tensor, y: Tensor, corners: list[tuple[float, float]]) -> Tensor:
    """Exact distance to a closed polygon; the sign flips at each edge that a ray to the right crosses."""
    distance = torch.full_like(x, torch.inf)
    sign = torch.ones_like(x)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1]):
        ex, ey = bx - ax, by - ay
        t = (((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey)).clamp(0, 1)
        distance = torch.minimum(distance, torch.hypot(x - ax - t * ex, y - ay - t * ey))
        if ey != 0:
            crosses = ((ay > y) != (by > y)) & (x < ax + (y - ay) * ex / ey)
            sign = torch.where(crosses, -sign, sign)
    return sign * distance


def _regular(points: int, inner: float = 0.0, phase: float = -math.pi / 2) -> list[tuple[float, float]]:
    """Corners of a regular polygon, or of a star where `inner` gives the radius of the concave corners."""
    corners = []
    for i in range(points):
        angle = phase + 2 * math.pi * i / points
        corners.append((math.cos(angle), math.sin(angle)))
        if inner:
            angle += math.pi / points
            corners.append((inner * math.cos(angle), inner * math.sin(angle)))
    return corners


def _heart(x: Tensor, y: Tensor) -> Tensor:
    """Two discs and a wedge below them; the image's y axis points down."""
    lobes = torch.minimum(torch.hypot(x - 0.45, y + 0.3), torch.hypot(x + 0.45, y + 0.3)) - 0.5
    wedge = _polygon(x, y, [(-0.87, -0.03), (0.0, 1.0), (0.87, -0.03), (0.0, -0.35)])
    return torch.minimum(lobes, wedge)


def shape_sdf(name: str, x: Tensor, y: Tensor) -> Tensor:
    """Signed distance of a shape at object coordinates `x`, `y` (any shape), y pointing down.

    Raises:
        ValueError: for a name outside SHAPES.
    """
    r = torch.hypot(x, y)
    if name == "circle":
        return r - 0.95
    if name == "square":
        return _polygon(x, y, [(-0.82, -0.82), (0.82, -0.82), (0.82, 0.82), (-0.82, 0.82)])
    if name == "triangle":
        return _polygon(x, y + 0.15, _regular(3))
    if name == "star":
        return _polygon(x, y, _regular(5, inner=0.42))
    if name == "cross":
        a, b = 0.3, 0.95
        corner = [
            (-a, -b),
            (a, -b),
            (a, -a),
            (b, -a),
            (b, a),
            (a, a),
            (a, b),
            (-a, b),
            (-a, a),
            (-b, a),
            (-b, -a),
            (-a, -a),
        ]
        return _polygon(x, y, corner)
    if name == "ring":
        return (r - 0.72).abs() - 0.24
    if name == "heart":
        return _heart(x, y)
    if name == "crescent":
        return torch.maximum(r - 0.95, 0.8 - torch.hypot(x - 0.5, y))
    if name == "arrow":
        head, a = 0.1, 0.26
        return _polygon(x, y, [(-1, -a), (head, -a), (head, -0.8), (1, 0), (head, 0.8), (head, a), (-1, a)])
    if name == "bar":
        return _polygon(x, y, [(-1.15, -0.3), (1.15, -0.3), (1.15, 0.3), (-1.15, 0.3)])
    if name == "hourglass":
        upper = _polygon(x, y, [(-0.8, -0.95), (0.8, -0.95), (0.12, 0.05), (-0.12, 0.05)])
        return torch.minimum(upper, _polygon(x, -y, [(-0.8, -0.95), (0.8, -0.95), (0.12, 0.05), (-0.12, 0.05)]))
    if name == "dome":
        return torch.maximum(torch.hypot(x, y - 0.45) - 1.0, y - 0.45)
    raise ValueError(f"shape {name!r} is not one of {', '.join(SHAPES)}")


def _texture(name: str, x: Tensor, y: Tensor) -> Tensor:
    """1 where the object shows its colour, 0 where it shows the dark half of its texture."""
    if name == "striped":
        return (torch.sin(2 * math.pi * 1.5 * (x + 0.15)) > 0).float()
    if name == "dotted":
        u, v = torch.remainder(x * 1.6 + 0.5, 1) - 0.5, torch.remainder(y * 1.6 + 0.5, 1) - 0.5
        return (torch.hypot(u, v) > 0.27).float()
    if name == "checked":
        return (torch.sin(2 * math.pi * 1.1 * x) * torch.sin(2 * math.pi * 1.1 * y) > 0).float()
    return torch.ones_like(x)


@lru_cache(maxsize=4)
def tables(device: str) -> tuple[Tensor, Tensor]:
    """Distances (12 · R · R,) and texture values (4 · R · R,), flat, row-major in (index, y, x)."""
    axis = (torch.arange(RESOLUTION, dtype=torch.float64) + 0.5) / RESOLUTION * 2 * EXTENT - EXTENT
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    distances = torch.stack([shape_sdf(name, x, y) for name in SHAPES])
    textures = torch.stack([_texture(name, x, y) for name in TEXTURES])
    return distances.float().flatten().to(device), textures.float().flatten().to(device)
