"""How much boxes overlap: upright ones, and rotated ones by the polygon that they share."""

from collections.abc import Iterator

import torch
from torch import Tensor

from clipkit.mmcv_ops._precision import wide

__all__ = ["bbox_overlaps", "box_iou_rotated"]

UNION = 0  # what an overlap is a share of; 1 is the first box
_MOST_PAIRS = 2**20  # whose boxes are compared at once: 4 MB for each float32 of a pair
_MOST_POLYGONS = 2**14  # built at once: 24 corners each
_NO_AREA = 1e-14


def bbox_overlaps(bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode: int, aligned: bool, offset: int) -> None:
    """Fills `ious`, (N, M) of every pair or, `aligned`, (N,) of box i with box i.

    Args:
        bboxes1, bboxes2: (N, 4) and (M, 4), x1, y1, x2, y2.
        mode: 0, the shared area by that of the union; 1, by that of the first box. 0 / 0 is NaN.
        offset: added to every width and height; 1 where x2 and y2 name the last pixel inside.
    """
    for rows in _rows(bboxes1, bboxes2, aligned):
        a, b = wide(bboxes1[rows], bboxes2[rows] if aligned else bboxes2)
        a = a if aligned else a[:, None]
        low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:4], b[..., 2:4])
        shared = (high - low + offset).clamp(min=0).prod(-1)
        areas = [(box[..., 2:4] - box[..., :2] + offset).prod(-1) for box in (a, b)]
        ious[rows] = (shared / (areas[0] + areas[1] - shared if mode == UNION else areas[0])).to(ious)


def box_iou_rotated(boxes1: Tensor, boxes2: Tensor, ious: Tensor, mode_flag: int, aligned: bool) -> None:
    """Fills `ious`, (N * M,) of every pair or, `aligned`, (N,) of box i with box i.

    Args:
        boxes1, boxes2: (N, 5) and (M, 5), centre x and y, width, height, clockwise angle in radians.
        mode_flag: 0, the shared area by that of the union; 1, by that of the first box.
    """
    table = ious if aligned else ious.view(len(boxes1), len(boxes2))
    for rows in _rows(boxes1, boxes2, aligned):
        table[rows] = rotated_overlaps(boxes1[rows], boxes2[rows] if aligned else boxes2, mode_flag, aligned).to(table)


def rotated_overlaps(a: Tensor, b: Tensor, mode: int = UNION, aligned: bool = False) -> Tensor:
    """Overlaps of rotated boxes a (N, 5) with b (M, 5): (N, M), or (N,) of box i with box i; float64. 0 where one of
    the two has no area."""
    a, b = a.double(), b.double()
    reach = [box[:, 2:4].norm(dim=1) / 2 for box in (a, b)]
    areas = [box[:, 2] * box[:, 3] for box in (a, b)]
    if not aligned:
        a, reach[0], areas[0] = a[:, None], reach[0][:, None], areas[0][:, None]
    distance = (a[..., :2] - b[..., :2]).norm(dim=-1)
    near = (distance < reach[0] + reach[1]) & (areas[0] >= _NO_AREA) & (areas[1] >= _NO_AREA)
    overlaps = torch.zeros_like(distance)
    for pairs in near.nonzero().split(_MOST_POLYGONS):
        first, second = pairs[:, 0], pairs[:, -1]
        shared = _shared_area(a.reshape(-1, 5)[first], b[second])
        one, other = areas[0].flatten()[first], areas[1][second]
        overlaps[tuple(pairs.T)] = shared / (one + other - shared if mode == UNION else one)
    return overlaps


def _rows(a: Tensor, b: Tensor, aligned: bool) -> Iterator[slice]:
    step = max(1, _MOST_PAIRS if aligned else _MOST_PAIRS // max(1, len(b)))
    for start in range(0, len(a), step):
        yield slice(start, start + step)


def _shared_area(a: Tensor, b: Tensor) -> Tensor:
    """(K,): area of the polygon that box i of a (K, 5) shares with box i of b. Its corners are those of each box inside
    the other and the places where edges cross; in the order of their angles around their mean they enclose it."""
    # Around the first box's centre coordinates are small, and their differences exact where images are large.
    b = torch.cat([b[:, :2] - a[:, :2], b[:, 2:]], 1)
    a = torch.cat([torch.zeros_like(a[:, :2]), a[:, 2:]], 1)
    corners = _corners(a), _corners(b)
    edges = [box.roll(-1, 1) - box for box in corners]
    gap = corners[1][:, None] - corners[0][:, :, None]  # (K, 4, 4, 2), from corner i of a to corner j of b
    one, other = edges[0][:, :, None], edges[1][:, None]
    turn = _cross(one, other)
    parallel = turn == 0
    turn = turn.masked_fill(parallel, 1)
    along, across = _cross(gap, other) / turn, _cross(gap, one) / turn
    crosses = ~parallel & (along >= 0) & (along <= 1) & (across >= 0) & (across <= 1)
    crossings = corners[0][:, :, None] + along[..., None] * one
    counts = torch.cat([crosses.flatten(1), _inside(corners[0], b), _inside(corners[1], a)], 1)
    points = torch.cat([crossings.flatten(1, 2), *corners], 1).masked_fill(~counts[..., None], 0)  # (K, 24, 2)
    number = counts.sum(1, keepdim=True)
    middle = points.sum(1, keepdim=True) / number.clamp(min=1)[..., None]
    # What is no corner moves to the mean: it encloses nothing there, wherever the order puts it.
    spokes = (points - middle).masked_fill(~counts[..., None], 0)
    angles = torch.atan2(spokes[..., 1], spokes[..., 0]).masked_fill(~counts, torch.inf)
    order = angles.argsort(1)
    spokes = spokes.gather(1, order[..., None].expand_as(spokes))
    closing = torch.arange(24, device=a.device) == number - 1
    following = torch.where(closing[..., None], spokes[:, :1], spokes.roll(-1, 1))
    return _cross(spokes, following).sum(1).abs() / 2


def _corners(boxes: Tensor) -> Tensor:
    """(K, 4, 2), in turn around each box (K, 5)."""
    signs = boxes.new_tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    return boxes[:, None, :2] + _turned(signs * boxes[:, None, 2:4], boxes[:, 4])


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """(K, 4): which points (K, 4, 2) lie in their box (K, 5), or on its border but for rounding."""
    sides = boxes[:, None, 2:4].abs()
    local = _turned(points - boxes[:, None, :2], -boxes[:, 4])
    return (local.abs() <= sides / 2 + 1e-12 * (sides.amax(2, keepdim=True) + 1)).all(2)


def _turned(points: Tensor, angles: Tensor) -> Tensor:
    """Points (K, 4, 2) turned clockwise, as an image shows it, around 0 by angles (K,)."""
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    x, y = points.unbind(2)
    return torch.stack([x * cos - y * sin, x * sin + y * cos], 2)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
