"""Points in space: which boxes they lie in, and which voxels (Zhou and Tuzel, "VoxelNet", CVPR 2018, section 2.1.1)."""

from collections.abc import Iterator

import torch
from torch import Tensor

from clipkit.mmcv_ops._precision import wide

__all__ = [
    "dynamic_voxelize_forward",
    "hard_voxelize_forward",
    "points_in_boxes_all_forward",
    "points_in_boxes_cpu_forward",
    "points_in_boxes_part_forward",
]

_MOST_PAIRS = 2**20  # of a point and a box at once


def points_in_boxes_cpu_forward(boxes_tensor: Tensor, pts_tensor: Tensor, pts_indices_tensor: Tensor) -> None:
    """Fills `pts_indices_tensor` (T, M), int32: 1 where a point lies in a box, 0 elsewhere.

    Args:
        boxes_tensor: (T, 7), x, y, z of the middle of the bottom, sizes along x, y, z, angle around z in radians.
        pts_tensor: (M, 3).
    """
    for rows, inside in _inside(pts_tensor, boxes_tensor):
        pts_indices_tensor[:, rows] = inside.T.to(pts_indices_tensor)


def points_in_boxes_all_forward(boxes_tensor: Tensor, pts_tensor: Tensor, box_idx_of_points_tensor: Tensor) -> None:
    """Fills `box_idx_of_points_tensor` (B, M, T) for boxes (B, T, 7) and points (B, M, 3), as above."""
    for boxes, points, found in zip(boxes_tensor, pts_tensor, box_idx_of_points_tensor):
        for rows, inside in _inside(points, boxes):
            found[rows] = inside.to(found)


def points_in_boxes_part_forward(boxes_tensor: Tensor, pts_tensor: Tensor, box_idx_of_points_tensor: Tensor) -> None:
    """Fills `box_idx_of_points_tensor` (B, M) with the index of the first box that a point lies in; where there is none
    it stays as it is, -1."""
    for boxes, points, found in zip(boxes_tensor, pts_tensor, box_idx_of_points_tensor):
        for rows, inside in _inside(points, boxes):
            if len(boxes):
                found[rows] = torch.where(inside.any(1), inside.int().argmax(1).to(found), found[rows])


def dynamic_voxelize_forward(
    points: Tensor, voxel_size: Tensor, coors_range: Tensor, coors: Tensor, NDim: int = 3
) -> None:
    """Fills `coors` (M, 3), int32, with each point's voxel, z before y before x; -1 outside the range.

    Args:
        points: (M, 3 or more), x, y, z first.
        voxel_size: (3,).
        coors_range: (6,), the least x, y, z and the ends.
    """
    coors.copy_(_voxels(points, voxel_size, coors_range, NDim)[0])


def hard_voxelize_forward(
    points: Tensor,
    voxel_size: Tensor,
    coors_range: Tensor,
    voxels: Tensor,
    coors: Tensor,
    num_points_per_voxel: Tensor,
    voxel_num: Tensor,
    max_points: int,
    max_voxels: int,
    NDim: int = 3,
    deterministic: bool = True,
) -> None:
    """Fills `voxels` (max_voxels, max_points, C) with the first points of each voxel, voxels in the order in which the
    points come to them, `coors` (max_voxels, 3) and `num_points_per_voxel` (max_voxels,), and sets `voxel_num` ().

    Args:
        points, voxel_size, coors_range: as for `dynamic_voxelize_forward`.
        deterministic: always so here.
    """
    places, grid = _voxels(points, voxel_size, coors_range, NDim)
    known = (places[:, 0] >= 0).nonzero()[:, 0]
    places = places[known]
    key = (places[:, 0] * grid[1] + places[:, 1]) * grid[0] + places[:, 2]
    _, voxel, counts = key.unique(return_inverse=True, return_counts=True)
    order = voxel.argsort(stable=True)  # points voxel by voxel, each in its order
    starts = counts.cumsum(0) - counts
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device) - starts.repeat_interleave(counts)
    firsts = order[starts]  # of each voxel, the first point
    taken = firsts.argsort()  # voxels by their first point
    number = torch.empty_like(taken)
    number[taken] = torch.arange(len(taken), device=taken.device)
    kept = (rank < max_points) & (number[voxel] < max_voxels)
    voxels[number[voxel][kept], rank[kept]] = points[known][kept]
    taken = taken[:max_voxels]
    coors[: len(taken)] = places[firsts[taken]].to(coors)
    num_points_per_voxel[: len(taken)] = counts[taken].clamp(max=max_points).to(num_points_per_voxel)
    voxel_num.fill_(len(taken))


def _voxels(points: Tensor, size: Tensor, limits: Tensor, axes: int) -> tuple[Tensor, list[int]]:
    """Each point's voxel, z before y before x, -1 outside, int64 (M, 3); and how many there are along x, y, z."""
    (places,) = wide(points[:, :axes])
    size, limits = size.to(places), limits.to(places)
    grid = ((limits[axes:] - limits[:axes]) / size).round()
    cells = ((places - limits[:axes]) / size).floor()
    inside = ((cells >= 0) & (cells < grid)).all(1, keepdim=True)  # False for NaN too
    return torch.where(inside, cells, -1).long().flip(1), [int(count) for count in grid.tolist()]


def _inside(points: Tensor, boxes: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows of the points (M, 3) and whether each lies in each of the boxes (T, 7): (rows, T). A point on a side is
    outside, one on the bottom or the top inside, as in mmcv's kernels."""
    points, boxes = wide(points, boxes)
    middle = boxes[:, :3] + boxes.new_tensor([0, 0, 0.5]) * boxes[:, 3:6]
    cos, sin = boxes[:, 6].cos(), boxes[:, 6].sin()
    step = max(1, _MOST_PAIRS // max(1, len(boxes)))
    for start in range(0, len(points), step):
        rows = slice(start, start + step)
        x, y, z = (points[rows, None] - middle).unbind(2)
        along, across = (x * cos + y * sin).abs(), (y * cos - x * sin).abs()
        yield rows, (along < boxes[:, 3] / 2) & (across < boxes[:, 4] / 2) & (z.abs() <= boxes[:, 5] / 2)
