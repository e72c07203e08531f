"""Which pixels a path touches, and the nearest point of its centre line to each: the part without gradients."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

REACH = 1.0
"""Beyond this distance of an edge, in pixels, nothing is seen of it (less than 1e-3 of full coverage is cut)."""
MAX_SAMPLES = 1 << 16
_DISTANCE_BITS = 24
_NEWTON_STEPS = 3


class Pairs(NamedTuple):
    """`M` pairs of a path and a pixel, by pixel, and in a pixel the path in front first.

    Attributes:
        pixel: `(M,)` int64, `(drawing · H + row) · W + column`.
        path: `(M,)` int64.
        segment: `(M,)` int64: the one that the nearest point lies on.
        t: `(M,)` its parameter, in [0, 1].
        filled: `(M,)` bool: the path is.
        inside: `(M,)` bool: filled, and holds the pixel's centre.
        deep: `(M,)` bool: inside, and out of reach of the edge; `segment` and `t` mean nothing.
    """

    pixel: Tensor
    path: Tensor
    segment: Tensor
    t: Tensor
    filled: Tensor
    inside: Tensor
    deep: Tensor


def cubic(control: Tensor, t: Tensor) -> Tensor:
    """`(M, 2)` points of cubics `(M, 4, 2)` at `t (M,)`."""
    s = 1 - t
    weights = torch.stack((s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t), -1)
    return (weights[..., None] * control).sum(1)


def tangent(control: Tensor, t: Tensor) -> Tensor:
    """`(M, 2)` their first derivatives."""
    s = 1 - t
    weights = torch.stack((s * s, 2 * s * t, t * t), -1)
    return 3 * (weights[..., None] * (control[:, 1:] - control[:, :-1])).sum(1)


def second(control: Tensor, t: Tensor) -> Tensor:
    """`(M, 2)` their second derivatives."""
    legs = control[:, 1:] - control[:, :-1]
    bends = legs[:, 1:] - legs[:, :-1]
    return 6 * ((1 - t)[:, None] * bends[:, 0] + t[:, None] * bends[:, 1])


def centre(pixel: Tensor, size: tuple[int, int], like: Tensor) -> Tensor:
    """`(M, 2)` x, y of the pixels' centres."""
    height, width = size
    return torch.stack((pixel % width, pixel // width % height), -1).to(like) + 0.5


@torch.no_grad()
def find_pairs(
    control: Tensor, path: Tensor, width: Tensor, filled: Tensor, drawing: Tensor, size: tuple[int, int]
) -> Pairs:
    """All pairs of a path and a pixel that it covers at all.

    Args:
        control: `(C, 4, 2)` cubics in pixels; path: `(C,)`, width, filled, drawing: `(P,)`; see `render_strokes`.

    Raises:
        ValueError: a control point is not finite, or a segment is longer than 65,536 samples reach.
    """
    if not torch.isfinite(control).all():
        raise ValueError("strokes need finite points: the optimiser's step may be too large")
    half = width / 2
    spacing = (0.375 * width).clamp(min=1.5)
    count = max(1, len(width))
    key, segment, t = _nearest_samples(control, path, half, spacing, drawing, size)
    own, target = control[segment], centre(key // count, size, control)
    t = _newton(own, t, target, 1 / _samples(control, path, spacing)[segment])
    offset = cubic(own, t) - target
    near = offset.square().sum(-1) < (half[path[segment]] + REACH).square()
    key, segment, t = key[near], segment[near], t[near]
    inside = torch.zeros_like(key, dtype=torch.bool)
    deep = inside
    if filled.any():
        within = _inside(control, path, filled, drawing, size)  # keys, sorted
        inside = torch.isin(key, within)
        more = within[~torch.isin(within, key)]
        key = torch.cat((key, more))
        segment, t = (torch.cat((part, part.new_zeros(len(more)))) for part in (segment, t))
        inside, deep = (torch.cat((part, part.new_ones(len(more)))) for part in (inside, deep))
        order = key.argsort()
        key, segment, t, inside, deep = (part[order] for part in (key, segment, t, inside, deep))
    owner = count - 1 - key % count
    return Pairs(key // count, owner, segment, t, filled[owner], inside, deep)


def _samples(control: Tensor, path: Tensor, spacing: Tensor) -> Tensor:
    """`(C,)` how many steps of `t` keep samples closer than the path's spacing: no cubic is faster than three times
    its longest leg."""
    legs = (control[:, 1:] - control[:, :-1]).norm(dim=-1)
    return (3 * legs.amax(1) / spacing[path]).ceil().clamp(min=4)


def _nearest_samples(
    control: Tensor, path: Tensor, half: Tensor, spacing: Tensor, drawing: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Stamps a disc at samples of every cubic and keeps, by one sort, the nearest sample of each (path, pixel):
    key `pixel · P + (P − 1 − path)`, segment, t."""
    height, width = size
    count = len(half)
    steps = _samples(control, path, spacing)
    if len(steps) and steps.max() > MAX_SAMPLES:
        raise ValueError(f"a segment is over {MAX_SAMPLES} pixels long: the optimiser's step may be too large")
    number = steps.long() + 1
    segment = torch.arange(len(path), device=path.device).repeat_interleave(number)
    first = (number.cumsum(0) - number)[segment]
    t = (torch.arange(len(segment), device=path.device) - first).to(control) / steps[segment]
    place = cubic(control[segment], t)
    within = (half + REACH + spacing / 2)[path]
    radius = (within + math.sqrt(0.5)).ceil()  # the stamp's middle is a pixel's centre
    keys, from_sample = [], []
    for r in radius.unique().tolist():
        axis = torch.arange(-r, r + 1, device=path.device)
        dy, dx = (part.flatten() for part in torch.meshgrid(axis, axis, indexing="ij"))
        dx, dy = (part[dx * dx + dy * dy <= r * r] for part in (dx, dy))
        chosen = (radius[segment] == r).nonzero()[:, 0]
        x, y = place[chosen].unbind(-1)
        chosen = chosen[(x > -r) & (x < width + r) & (y > -r) & (y < height + r)]
        x, y = place[chosen, :, None].unbind(1)
        column, row = x.floor() + dx, y.floor() + dy
        distance = (column + 0.5 - x).square() + (row + 0.5 - y).square()
        furthest = within[segment[chosen], None].square()
        good = (distance < furthest) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        owner = path[segment[chosen], None]
        pixel = (drawing[owner] * height + row.long()) * width + column.long()
        near = (distance / furthest * (1 << _DISTANCE_BITS)).long().clamp(max=(1 << _DISTANCE_BITS) - 1)
        key = ((pixel * count + count - 1 - owner) << _DISTANCE_BITS) + near
        keys.append(key[good])
        from_sample.append(chosen[:, None].expand_as(key)[good])
    if not keys:
        return path.new_empty(0), path.new_empty(0), control.new_empty(0)
    key, order = torch.cat(keys).sort()
    key = key >> _DISTANCE_BITS
    nearest = torch.ones_like(key, dtype=torch.bool)
    nearest[1:] = key[1:] != key[:-1]
    sample = torch.cat(from_sample)[order[nearest]]
    return key[nearest], segment[sample], t[sample]


def _newton(control: Tensor, t: Tensor, target: Tensor, most: Tensor) -> Tensor:
    """Moves `t` to where the cubic is nearest to `target`, at most by `most` (the samples' spacing) a step."""
    for _ in range(_NEWTON_STEPS):
        offset, slope = cubic(control, t) - target, tangent(control, t)
        speed = slope.square().sum(-1)
        curve = speed + (offset * second(control, t)).sum(-1)
        curve = torch.where(curve > 0, curve, speed).clamp(min=1e-12)  # of a maximum: go downhill
        t = (t - ((offset * slope).sum(-1) / curve).clamp(-most, most)).clamp(0, 1)
    return t


def _inside(control: Tensor, path: Tensor, filled: Tensor, drawing: Tensor, size: tuple[int, int]) -> Tensor:
    """Keys of the pixels whose centres a filled path winds around (SVG's rule `nonzero`), in order.

    Each path is a polygon of chords of at most half a pixel's height; where a chord crosses a row's centre line, all
    pixels to its right turn once."""
    height, width = size
    count = len(filled)
    number = _samples(control, path, torch.full((count,), 0.5).to(control)).long() * filled[path]
    segment = torch.arange(len(path), device=path.device).repeat_interleave(number)
    k = torch.arange(len(segment), device=path.device) - (number.cumsum(0) - number)[segment]
    steps = number[segment].to(control)
    ends = [cubic(control[segment], at.to(control) / steps) for at in (k, k + 1)]
    (x0, y0), (x1, y1) = (end.unbind(-1) for end in ends)
    # A chord of at most half a pixel crosses at most one centre line.
    row = (torch.minimum(y0, y1) - 0.5).ceil()
    crosses = (row < torch.maximum(y0, y1) - 0.5) & (row >= 0) & (row < height)
    x = x0 + (row + 0.5 - y0) / torch.where(y1 == y0, 1, y1 - y0) * (x1 - x0)
    column = (x - 0.5).ceil().clamp(0, width).long()
    sign = torch.where(y1 > y0, 1, -1)
    place = filled.cumsum(0)[path[segment]] - 1  # among the filled paths
    turns = torch.zeros(int(filled.sum()) * height * (width + 1), dtype=torch.int64, device=path.device)
    cell = (place * height + row.clamp(0, height - 1).long()) * (width + 1) + column
    turns.index_add_(0, cell[crosses], sign[crosses])
    wound = turns.view(-1, height, width + 1).cumsum(-1)[..., :-1] != 0
    which, row, column = wound.nonzero().unbind(1)
    owner = filled.nonzero()[:, 0][which]
    pixel = (drawing[owner] * height + row) * width + column
    return (pixel * count + count - 1 - owner).sort().values
