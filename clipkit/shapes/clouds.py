"""The twelve shapes in three dimensions, as clouds of points on their surfaces.

Circle, triangle, hourglass and dome are turned about their upright axis (a sphere, a cone, …); the others have their
outline as front and back, the square as deep as it is wide. x points right, y up, and who looks at them from the front
looks along z.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from clipkit.shapes._sdf import shape_sdf
from clipkit.shapes._words import SHAPES

TURNED = ("circle", "triangle", "hourglass", "dome")
_HALF_DEPTH = {"square": 0.82}
_FLAT = 0.3  # half the depth of the others
_BOX, _BAND, _POOL = 1.25, 0.03, 60_000


class Clouds(NamedTuple):
    """`points` `(B, N, 3)` float32 and `shape` `(B,)` int64, indices into SHAPES."""

    points: Tensor
    shape: Tensor


def render_clouds(
    count: int,
    *,
    points: int = 1024,
    seed: int = 0,
    yaw: float = 0.6,
    pitch: float = 0.25,
    stretch: float = 0.2,
    jitter: float = 0.01,
    one_sided: bool = False,
    clutter: float = 0.0,
) -> Clouds:
    """`count` clouds, the shapes in turn; equal arguments give equal clouds, and more of them the same first ones.

    Args:
        points: of each cloud.
        yaw, pitch: largest turn about the upright and the level axis, radians.
        stretch: largest share by which each axis is longer or shorter.
        jitter: standard deviation of each coordinate; the shapes fill about [-1, 1].
        one_sided: only what faces a scanner in front, as scans of rooms have it.
        clutter: share of the points that lie on a wall behind.

    Raises:
        ValueError: no cloud, no point, or a share that is none.
    """
    if count < 1 or points < 1:
        raise ValueError(f"count is {count} and points {points}: there must be at least one of each")
    if not 0 <= clutter < 1:
        raise ValueError(f"clutter is {clutter}, it must be a share in [0, 1)")
    made = []
    for number in range(count):
        g = torch.Generator().manual_seed(seed * 1_000_003 + number)
        place, normal = _surface(SHAPES[number % len(SHAPES)], 4 * points if one_sided else points, g)
        scale = 1 + stretch * _uniform(g, 3)
        about = _uniform(g, 2).tolist()
        turned = _rotation(yaw * about[0], pitch * about[1])
        place, normal = (place * scale) @ turned.T, (normal / scale) @ turned.T
        if one_sided:
            faces = (normal[:, 2] < 0).double() + 1e-9
            place = place[torch.multinomial(faces, points, replacement=True, generator=g)]
        behind = round(clutter * points)
        wall = torch.cat([1.2 * _uniform(g, behind, 2), torch.full((behind, 1), 0.9)], 1)
        place = torch.cat([place[: points - behind], wall])
        made.append(place + jitter * torch.randn(points, 3, generator=g))
    return Clouds(torch.stack(made).float(), torch.arange(count) % len(SHAPES))


def _uniform(g: torch.Generator, *shape: int) -> Tensor:
    return 2 * torch.rand(*shape, generator=g) - 1


def _rotation(yaw: float, pitch: float) -> Tensor:
    a, b, c, d = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    return torch.tensor([[1.0, 0, 0], [0, c, -d], [0, d, c]]) @ torch.tensor([[a, 0, b], [0, 1.0, 0], [-b, 0, a]])


def _surface(name: str, count: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """`count` points, even in area, and their normals, `(count, 3)` each."""
    outline, normals, inside, area, length = _outline(name)
    if name in TURNED:
        chosen = torch.multinomial(outline[:, 0].clamp(min=0), count, replacement=True, generator=g)
        angle = math.pi * _uniform(g, count)
        ring = torch.stack([angle.cos(), torch.ones(count), angle.sin()], 1)
        return outline[chosen][:, [0, 1, 0]] * ring, normals[chosen][:, [0, 1, 0]] * ring
    half = _HALF_DEPTH.get(name, _FLAT)
    on_side = torch.rand(count, generator=g) < length * 2 * half / (length * 2 * half + 2 * area)
    side = torch.randint(len(outline), (count,), generator=g)
    cap = torch.randint(len(inside), (count,), generator=g)
    depth = half * _uniform(g, count)
    flat = torch.where(on_side[:, None], outline[side], inside[cap])
    across = torch.where(on_side[:, None], normals[side], torch.zeros(2))
    z = torch.where(on_side, depth, half * depth.sign())
    return torch.cat([flat, z[:, None]], 1), torch.cat([across, torch.where(on_side, 0, z.sign())[:, None]], 1)


@lru_cache(maxsize=len(SHAPES))
def _outline(name: str) -> tuple[Tensor, Tensor, Tensor, float, float]:
    """Points on the outline, their outward normals, points inside, area and length of the outline; y points up."""
    g = torch.Generator().manual_seed(SHAPES.index(name))
    x, y = (_BOX * _uniform(g, _POOL, 2)).double().unbind(1)
    distance, step = shape_sdf(name, x, y), 1e-4
    slope = [shape_sdf(name, x + dx, y + dy) - shape_sdf(name, x - dx, y - dy) for dx, dy in ((step, 0), (0, step))]
    normal = F.normalize(torch.stack(slope, 1), dim=1)
    near = distance.abs() < _BAND
    on = (torch.stack([x, y], 1) - distance[:, None] * normal)[near]
    up = torch.tensor([1.0, -1.0])
    cell = (2 * _BOX) ** 2 / _POOL
    inside = torch.stack([x, y], 1)[distance < 0]
    length = float(near.sum()) * cell / (2 * _BAND)
    return (on * up).float(), (normal[near] * up).float(), (inside * up).float(), len(inside) * cell, length
