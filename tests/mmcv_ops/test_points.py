"""Points in boxes and voxels, through mmcv's own functions, against loops."""

import math

import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmcv.ops)

pytest.importorskip("mmcv")

from mmcv.ops import Voxelization, points_in_boxes_cpu

from clipkit.mmcv_ops import points as module
from support.mmcv_ops_oracles import wave

POINTS = torch.cat([wave(90, 1, scale=scale, speed=speed) for scale, speed in ((6, 1.7), (6, 2.9), (2, 2.3))], 1)
BOXES = torch.tensor(
    [
        [0.5, -1, -1, 7, 9, 2, 0.3],
        [0, 0, -2, 9, 8, 4, -1.2],
        [1, 1, -1, 12, 3, 2.5, 2.5],
        [40, 40, 0, 1, 1, 1, 0],
        [0, 0, -9, 0, 9, 20, 0],
    ],
    dtype=torch.float64,
)


def lies_in(point, box):
    x, y, z = (p - b for p, b in zip(point, box))
    u, v = x * math.cos(box[6]) + y * math.sin(box[6]), -x * math.sin(box[6]) + y * math.cos(box[6])
    return abs(u) < box[3] / 2 and abs(v) < box[4] / 2 and 0 <= z <= box[5]


def test_points_in_boxes(monkeypatch):
    expected = torch.tensor([[int(lies_in(p, b)) for b in BOXES.tolist()] for p in POINTS.tolist()])
    assert 3 <= expected[:, 0].sum() < 90 and expected[:, 3:].sum() == 0 and (expected.sum(1) > 1).any()
    monkeypatch.setattr(module, "_MOST_PAIRS", 21)  # four points at once
    batch = POINTS.float()[None], BOXES.float()[None]
    found = points_in_boxes_cpu(*batch)
    assert found.dtype == torch.int32 and found[0].tolist() == expected.tolist()
    # mmcv calls these two on a GPU alone.
    every, first = torch.zeros(1, 90, 5, dtype=torch.int), torch.full((1, 90), -1, dtype=torch.int)
    module.points_in_boxes_all_forward(batch[1], batch[0], every)
    module.points_in_boxes_part_forward(batch[1], batch[0], first)
    assert torch.equal(every, found)
    assert first[0].tolist() == [row.index(1) if 1 in row else -1 for row in expected.tolist()]


def test_points_on_the_bottom_and_the_top_lie_in_a_box_those_on_a_side_do_not():
    box = torch.tensor([[[0.0, 0, 0, 2, 2, 2, 0]]])
    points = torch.tensor([[[0.0, 0, 0], [0, 0, 2], [1, 0, 1], [0, -1, 1]]])
    assert points_in_boxes_cpu(points, box)[0, :, 0].tolist() == [1, 1, 0, 0]


def test_no_boxes_and_no_points():
    assert points_in_boxes_cpu(POINTS[None], torch.zeros(1, 0, 7)).shape == (1, 90, 0)
    assert points_in_boxes_cpu(torch.zeros(1, 0, 3), BOXES[None]).shape == (1, 0, 5)
    voxels, coordinates, counts = Voxelization([1, 1, 1], [0, 0, 0, 4, 4, 4], 3)(torch.zeros(0, 4))
    assert len(voxels) == len(coordinates) == len(counts) == 0


RANGE, SIZE = [-4.0, -5, -2, 4, 5, 2], [2.0, 2.5, 1.0]


def in_voxels(points, most_points, most_voxels):
    """Voxel -> its points, in the order in which they come."""
    found = {}
    for point in points.tolist():
        place = tuple(math.floor((point[i] - RANGE[i]) / SIZE[i]) for i in (2, 1, 0))
        if all(0 <= c < n for c, n in zip(place, (4, 4, 4))) and (place in found or len(found) < most_voxels):
            group = found.setdefault(place, [])
            group.extend([point] * (len(group) < most_points))
    return found


@pytest.mark.parametrize("most_points, most_voxels", [(20, 100), (2, 100), (3, 5)])
def test_voxels(most_points, most_voxels):
    points = torch.cat([POINTS, wave(90, 2)], 1).float()
    expected = in_voxels(points, most_points, most_voxels)
    voxels, coordinates, counts = Voxelization(SIZE, RANGE, most_points, most_voxels)(points)
    assert [tuple(place) for place in coordinates.tolist()] == list(expected)
    assert counts.tolist() == [len(group) for group in expected.values()] and max(counts) > 1
    for voxel, group in zip(voxels, expected.values()):
        assert torch.equal(voxel[: len(group)], torch.tensor(group)) and voxel[len(group) :].abs().sum() == 0


def test_the_voxel_of_every_point():
    coordinates = Voxelization(SIZE, RANGE, -1)(POINTS.float())
    for point, place in zip(POINTS.float().tolist(), coordinates.tolist()):
        expected = in_voxels(torch.tensor([point]), 1, 1)
        assert tuple(place) == next(iter(expected), (-1, -1, -1))
    assert 0 < (coordinates[:, 0] < 0).sum() < 90
