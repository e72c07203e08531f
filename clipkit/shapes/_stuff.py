"""Procedural backgrounds that have names: grass, brick, water, sand, wood, cloud.

Each is drawn once as a periodic tile, larger than a scene; a scene takes a random window of it. Tiles come from a fixed
seed, so the world looks the same on every machine; the variety of a scene is in its window, light and colour cast.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from clipkit.shapes._words import STUFF

TILE = 4
"""A tile's side in scene sides."""


def _noise(cells_y: int, cells_x: int, side: int, generator: torch.Generator) -> Tensor:
    """Periodic value noise (side, side) in [0, 1]: a random lattice, smoothly interpolated."""
    lattice = torch.rand(1, 1, cells_y, cells_x, generator=generator)
    wrapped = F.pad(lattice, (2, 2, 2, 2), mode="circular")
    scale_y, scale_x = side / cells_y, side / cells_x
    smooth = F.interpolate(
        wrapped, (round((cells_y + 4) * scale_y), round((cells_x + 4) * scale_x)), mode="bicubic", align_corners=False
    )
    top, left = round(2 * scale_y), round(2 * scale_x)
    return smooth[0, 0, top : top + side, left : left + side].clamp(0, 1)


def _mix(low: tuple[float, ...], high: tuple[float, ...], amount: Tensor) -> Tensor:
    a, b = torch.tensor(low)[:, None, None], torch.tensor(high)[:, None, None]
    return a + (b - a) * amount[None]


def _tile(name: str, side: int) -> Tensor:
    """One tile, (3, side, side) in [0, 1]. Coordinates `u`, `v` run in scene sides, so patterns keep their size
    relative to the scene at every resolution."""
    generator = torch.Generator().manual_seed(STUFF.index(name) + 1)
    axis = (torch.arange(side) + 0.5) / side * TILE
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    fine = _noise(48 * TILE, 48 * TILE, side, generator)
    coarse = _noise(4 * TILE, 4 * TILE, side, generator)
    if name == "grass":
        blades = _noise(10 * TILE, 40 * TILE, side, generator)
        return _mix((0.10, 0.24, 0.05), (0.42, 0.58, 0.20), 0.6 * blades + 0.2 * fine + 0.2 * coarse)
    if name == "brick":
        row = torch.floor(v * 7)
        along = torch.remainder(u * 3.5 + 0.5 * torch.remainder(row, 2), 1)
        mortar = (torch.remainder(v * 7, 1) < 0.14) | (along < 0.07)
        bricks = _mix((0.40, 0.20, 0.15), (0.58, 0.32, 0.24), 0.7 * coarse + 0.3 * fine)
        return torch.where(mortar[None], torch.tensor([0.66, 0.62, 0.57])[:, None, None], bricks)
    if name == "water":
        waves = 0.5 + 0.5 * torch.sin(2 * math.pi * (6 * v + 0.6 * torch.sin(2 * math.pi * u) + 1.5 * coarse))
        return _mix((0.05, 0.20, 0.38), (0.28, 0.50, 0.66), 0.7 * waves + 0.3 * coarse)
    if name == "sand":
        return _mix((0.60, 0.50, 0.34), (0.85, 0.76, 0.56), 0.7 * fine + 0.3 * coarse)
    if name == "wood":
        grain = _noise(40 * TILE, 2 * TILE, side, generator)
        gap = torch.remainder(v * 4, 1) < 0.06
        planks = _mix((0.34, 0.21, 0.11), (0.60, 0.42, 0.24), 0.8 * grain + 0.2 * coarse)
        return torch.where(gap[None], planks * 0.45, planks)
    puffs = 0.6 * _noise(3 * TILE, 2 * TILE, side, generator) + 0.4 * coarse
    return _mix((0.47, 0.62, 0.80), (0.86, 0.89, 0.93), ((puffs - 0.35) * 2.5).clamp(0, 1))


@lru_cache(maxsize=8)
def tiles(size: int, device: str) -> Tensor:
    """All tiles, (6, TILE · size, TILE · size, 3): channels last, so that a window copies whole pixels."""
    return torch.stack([_tile(name, TILE * size) for name in STUFF]).movedim(1, -1).contiguous().to(device)
