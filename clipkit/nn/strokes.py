"""Bézier strokes as pictures, differentiable in everything: no compiler, no other package."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from clipkit.nn._stroke_pairs import Pairs, centre, cubic, find_pairs, second, tangent

_OPAQUE = 1 - 1e-6  # what lies below an opaque path is still there for its gradient
_VARIANCE = 1 / 12  # of a pixel's box, across an edge of any direction
_LEAST_SIGMA = 0.05  # pixels


def render_strokes(
    points: Tensor,
    segments: Tensor,
    path: Tensor,
    width: Tensor,
    colour: Tensor | None = None,
    opacity: Tensor | None = None,
    *,
    size: tuple[int, int],
    filled: Tensor | None = None,
    drawing: Tensor | None = None,
    drawings: int = 1,
    background: Tensor | float = 1.0,
) -> Tensor:
    """Paints paths of cubic Bézier segments with round ends; a later path covers an earlier one.

    A pixel's coverage is F(w/2 − d) − F(−w/2 − d), with d the distance from its centre to the path and F the share of
    a pixel below a straight edge of the path's direction; of a filled path F(w/2 ± d). F is a box convolved with a
    Gaussian, by erf: two boxes, |cos| and |sin| wide, are what a square pixel is across an edge. All gradients are
    those of the formula, that of the nearest point included. Time and memory go with the pixels that are touched, not
    with strokes × pixels.

    Args:
        points: `(M, 2)` x, y in pixels; the upper left pixel's centre is at (0.5, 0.5).
        segments: `(C, 4)` int64 into `points`: the control points of each segment. Shared ends make joints.
        path: `(C,)` int64: the path that each segment is of, 0 … P − 1.
        width: `(P,)` pixels, not negative.
        colour: `(P, 3)` in [0, 1]; None: black ink, whose order does not matter.
        opacity: `(P,)` in [0, 1]; None: opaque.
        size: height and width of the picture.
        filled: `(P,)` bool: the inside is painted too, the path is closed; default none.
        drawing: `(P,)` int64: which picture of the batch each path is of; default the first.
        drawings: B, how many pictures.
        background: one value, or `(3,)`, `(B, 3)` or `(B, 3, H, W)`.

    Returns:
        `(B, 3, H, W)` in [0, 1].

    Raises:
        ValueError: points that are not finite, or that lie further apart than 65,536 samples reach.
    """
    height, width_px = size
    count = len(width)
    filled = torch.zeros(count, dtype=torch.bool, device=points.device) if filled is None else filled
    drawing = torch.zeros(count, dtype=torch.int64, device=points.device) if drawing is None else drawing
    control = points[segments]
    pairs = find_pairs(control.detach(), path, width.detach(), filled, drawing, size)
    alpha = _coverage(control, width, pairs, size).double()
    if opacity is not None:
        alpha = alpha * opacity[pairs.path]
    log_through = torch.log1p(-alpha * _OPAQUE)
    through = torch.zeros(drawings * height * width_px, dtype=torch.float64, device=points.device)
    through = through.index_add(0, pairs.pixel, log_through).exp().to(points.dtype)
    ground = _ground(background, drawings, points)
    picture = through.view(drawings, 1, height, width_px) * ground
    if colour is None:
        return picture
    # Exclusive sum over what lies in front within the pixel; in float64, for it runs over all pixels.
    before = log_through.cumsum(0) - log_through
    starts = torch.ones_like(pairs.pixel, dtype=torch.bool)
    starts[1:] = pairs.pixel[1:] != pairs.pixel[:-1]
    before = before - before[starts][starts.cumsum(0) - 1]
    ink = (alpha * _OPAQUE * before.exp()).to(points.dtype)[:, None] * colour[pairs.path]
    painted = torch.zeros(len(through), 3, dtype=points.dtype, device=points.device).index_add(0, pairs.pixel, ink)
    return picture + painted.view(drawings, height, width_px, 3).permute(0, 3, 1, 2)


def _ground(background: Tensor | float, drawings: int, like: Tensor) -> Tensor:
    """`(B or 1, 3, H or 1, W or 1)`."""
    ground = torch.as_tensor(background).to(like)
    if ground.ndim == 4:
        return ground
    return ground.expand(3)[None, :, None, None] if ground.ndim < 2 else ground.view(drawings, 3, 1, 1)


def _coverage(control: Tensor, width: Tensor, pairs: Pairs, size: tuple[int, int]) -> Tensor:
    """`(M,)` share of each pixel that its path covers."""
    own = control.index_select(0, pairs.segment)
    target = centre(pairs.pixel, size, control)
    clamped = (pairs.t == 0) | (pairs.t == 1)
    with torch.no_grad():
        bend = second(own, pairs.t)
        offset, slope = cubic(own, pairs.t) - target, tangent(own, pairs.t)
        curve = (slope.square() + offset * bend).sum(-1)
        per_curve = torch.where(clamped | (curve <= 0), 0.0, 1 / curve.clamp(min=1e-12))
    # One more Newton step, from where it already is: its value is 0, its gradient that of the nearest point.
    t = pairs.t - ((cubic(own, pairs.t) - target) * tangent(own, pairs.t)).sum(-1) * per_curve
    distance = (cubic(own, pairs.t) - target).norm(dim=-1)
    along = tangent(own, t)
    side = (along.abs() / along.norm(dim=-1, keepdim=True).clamp(min=1e-9)).amax(1).clamp(min=math.sqrt(0.5))
    half = (width / 2).index_select(0, pairs.path)
    # A round end of radius r is blunter than an edge: to first order the pixel loses variance / 2r.
    round_end = half - torch.where(clamped, _VARIANCE / 2 / half.clamp(min=0.3), 0.0)
    band = _below(round_end - distance, side) - _below(-round_end - distance, side)
    if pairs.filled.any():
        solid = _below(half + torch.where(pairs.inside, distance, -distance), side)
        band = torch.where(pairs.filled, torch.where(pairs.deep, 1.0, solid), band)
    return band.clamp(0, 1)


def _below(x: Tensor, side: Tensor) -> Tensor:
    """Share of a pixel on one side of a straight edge, `x` pixels from its centre: the distribution function of a box
    of width `side` and a Gaussian that together have a pixel's variance."""
    sigma = (_VARIANCE - side * side / 12).clamp(min=_LEAST_SIGMA**2).sqrt()
    upper, lower = ((x + sign * side / 2) / sigma for sign in (1, -1))
    return (_integral(upper) - _integral(lower)) * sigma / side


def _integral(x: Tensor) -> Tensor:
    """Of the normal distribution function."""
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2))) + torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)


class Strokes(nn.Module):
    """Drawings of cubic Bézier paths whose points, widths, colours and opacities are parameters.

    Args:
        points, segments, path, width, colour, opacity, size, filled, drawing, drawings, background: as
            `render_strokes`; `colour` and `opacity` may be None: opaque black ink.

    >>> strokes = Strokes.of(torch.rand(16, 4, 2) * 224, size=(224, 224))
    >>> strokes().shape
    torch.Size([1, 3, 224, 224])
    """

    segments: Tensor
    path: Tensor
    filled: Tensor
    drawing: Tensor
    background: Tensor

    def __init__(
        self,
        points: Tensor,
        segments: Tensor,
        path: Tensor,
        width: Tensor,
        colour: Tensor | None = None,
        opacity: Tensor | None = None,
        *,
        size: tuple[int, int],
        filled: Tensor | None = None,
        drawing: Tensor | None = None,
        drawings: int = 1,
        background: Tensor | float = 1.0,
    ) -> None:
        super().__init__()
        count = len(width)
        self.points, self.width = nn.Parameter(points.clone()), nn.Parameter(width.clone())
        self.colour = None if colour is None else nn.Parameter(colour.clone())
        self.opacity = None if opacity is None else nn.Parameter(opacity.clone())
        self.size, self.drawings = size, drawings
        self.register_buffer("segments", segments)
        self.register_buffer("path", path)
        self.register_buffer("filled", torch.zeros(count, dtype=torch.bool) if filled is None else filled)
        self.register_buffer("drawing", torch.zeros(count, dtype=torch.int64) if drawing is None else drawing)
        self.register_buffer("background", torch.as_tensor(background).to(points))

    @classmethod
    def of(cls, points: Tensor, width: float | Tensor = 1.5, closed: bool = False, **options: Any) -> Strokes:
        """Paths that all have the same number of segments.

        Args:
            points: `(P, 3S + 1, 2)` pixels, S segments a path that share their ends; `(P, 3S, 2)` if `closed`.
            width: pixels, one for all or `(P,)`.
            closed: the last segment ends where the first begins.
            options: `colour`, `opacity`, `size`, `filled`, `drawing`, `drawings`, `background`, as `render_strokes`.

        Raises:
            ValueError: a number of points that makes no cubics.
        """
        paths, own = points.shape[:2]
        if own % 3 != (0 if closed else 1) or own < 3:
            raise ValueError(f"{own} points a path make no cubics: 3S + 1 of them do, 3S if closed")
        count = own // 3
        index = (3 * torch.arange(count)[:, None] + torch.arange(4)) % (own if closed else own + 1)
        segments = index + own * torch.arange(paths)[:, None, None]
        path = torch.arange(paths).repeat_interleave(count)
        each = torch.as_tensor(width).to(points).expand(paths)
        return cls(points.reshape(-1, 2), segments.view(-1, 4), path, each, **options)

    def forward(self) -> Tensor:
        """`(B, 3, H, W)`, see `render_strokes`."""
        return render_strokes(
            self.points, self.segments, self.path, self.width, self.colour, self.opacity, size=self.size,
            filled=self.filled, drawing=self.drawing, drawings=self.drawings, background=self.background,
        )  # fmt: skip
