"""Overlaps of boxes, upright and rotated, through mmcv's own functions, against float64 loops."""

import math

import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmcv.ops)

pytest.importorskip("mmcv")

from mmcv.ops import batched_nms, bbox_overlaps, box_iou_rotated, nms_rotated

from clipkit.mmcv_ops import boxes as module
from support import mmcv_ops_oracles as oracle

BOXES = oracle.some_boxes(30)[0]
BOXES[:, 2:] = BOXES[:, :2] + 0.4 * (BOXES[:, 2:] - BOXES[:, :2])  # some do not overlap


def rotated(count):
    """(count, 5) boxes of many sizes, shapes and angles, most of them overlapping."""
    upright, scores = oracle.some_boxes(count)
    sizes = upright[:, 2:] - upright[:, :2]
    sizes = sizes * (0.6 + 0.4 * oracle.wave(count, 2, speed=2.9))
    return torch.cat([upright[:, :2] + sizes / 2, sizes, 3 * oracle.wave(count, 1, speed=1.1)], 1), scores


def near(a, b, tolerance=1e-5):
    torch.testing.assert_close(torch.as_tensor(a).double(), torch.as_tensor(b).double(), rtol=tolerance, atol=tolerance)


def table(a, b, overlap):
    return torch.tensor([[overlap(one, other) for other in b.tolist()] for one in a.tolist()], dtype=torch.float64)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("mode", ["iou", "iof"])
def test_bbox_overlaps(mode, offset, monkeypatch):
    def overlap(a, b):
        iou = oracle.iou(a, b, offset)
        areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
        return iou if mode == "iou" else iou * sum(areas) / (1 + iou) / areas[0]

    expected = table(BOXES[:20], BOXES[20:], overlap)
    assert 0 < (expected > 0).sum() < expected.numel()
    near(bbox_overlaps(BOXES[:20].float(), BOXES[20:].float(), mode, offset=offset), expected)
    aligned = bbox_overlaps(BOXES[:10].float(), BOXES[20:].float(), mode, aligned=True, offset=offset)
    near(aligned, expected[:10].diagonal())
    monkeypatch.setattr(module, "_MOST_PAIRS", 7)
    near(bbox_overlaps(BOXES[:20].float(), BOXES[20:].float(), mode, offset=offset), expected)


def test_bbox_overlaps_of_nothing_and_in_half_precision():
    none = torch.zeros(0, 4)
    assert bbox_overlaps(none, BOXES).shape == (0, 30) and bbox_overlaps(BOXES, none).shape == (30, 0)
    point = torch.tensor([[3.0, 3, 3, 3]])
    assert bbox_overlaps(point, point).isnan().all()  # as mmcv's CPU operator: 0 / 0
    half = BOXES.half()
    result = bbox_overlaps(half, half)
    assert result.dtype == torch.float16
    near(result, table(half.double(), half.double(), oracle.iou), 1e-3)


@pytest.mark.parametrize("clockwise", [True, False])
@pytest.mark.parametrize("mode", ["iou", "iof"])
def test_box_iou_rotated(mode, clockwise, monkeypatch):
    boxes, _ = rotated(40)
    expected = table(boxes[:25], boxes[25:], lambda a, b: oracle.rotated_overlap(a, b, mode))
    assert 0 < (expected > 0).sum() < expected.numel()
    given = (boxes * boxes.new_tensor([1, 1, 1, 1, 1 if clockwise else -1])).float()
    near(box_iou_rotated(given[:25], given[25:], mode, clockwise=clockwise), expected)
    aligned = box_iou_rotated(given[:15], given[25:], mode, aligned=True, clockwise=clockwise)
    near(aligned, expected[:15].diagonal())
    monkeypatch.setattr(module, "_MOST_PAIRS", 40)
    monkeypatch.setattr(module, "_MOST_POLYGONS", 3)
    near(box_iou_rotated(given[:25], given[25:], mode, clockwise=clockwise), expected)


SQUARE = [5.0, 5, 4, 4, 0.3]


@pytest.mark.parametrize(
    "other, shared",
    [
        (SQUARE, 16.0),
        ([5.0, 5, 4, 4, 0.3 + math.pi / 2], 16.0),
        ([5.0, 5, 4, 4, 0.3 + math.pi / 4], 16 * 2 * (math.sqrt(2) - 1)),  # the regular octagon
        ([5.0, 5, 2, 1, 1.0], 2.0),  # inside
        ([5 + 4 * math.cos(0.3), 5 + 4 * math.sin(0.3), 4, 4, 0.3], 0.0),  # side by side
        ([5 + 2 * math.cos(0.3), 5 + 2 * math.sin(0.3), 4, 4, 0.3], 8.0),  # shifted along a side
        ([5.0, 5, 20, 1, 0.3], 4.0),  # a bar across
        ([5.0, 5, 4, 4, 0.3 + 1e-9], 16.0),  # all edges nearly parallel
        ([50.0, 5, 4, 4, 0.3], 0.0),
        ([5.0, 5, 0, 4, 0.3], 0.0),  # no area
    ],
)
@pytest.mark.parametrize("far", [0.0, 4096.0])
def test_box_iou_rotated_of_boxes_that_touch_or_share_edges(other, shared, far):
    move = torch.tensor([far, far, 0, 0, 0], dtype=torch.float64)
    one, two = (torch.tensor([box], dtype=torch.float64) + move for box in (SQUARE, other))
    near(box_iou_rotated(one, two, "iof")[0, 0], shared / 16, 1e-6)
    near(box_iou_rotated(two, one, "iou")[0, 0], shared / (16 + two[0, 2] * two[0, 3] - shared), 1e-6)


def test_box_iou_rotated_of_nothing():
    boxes, _ = rotated(3)
    assert box_iou_rotated(boxes[:0], boxes).shape == (0, 3) and box_iou_rotated(boxes, boxes[:0]).shape == (3, 0)


@pytest.mark.parametrize("clockwise", [True, False])
@pytest.mark.parametrize("threshold", [0.1, 0.4])
def test_nms_rotated(threshold, clockwise):
    boxes, scores = rotated(40)
    expected = oracle.nms_rotated(boxes.tolist(), scores.tolist(), threshold)
    assert 1 < len(expected) < 40
    given = (boxes * boxes.new_tensor([1, 1, 1, 1, 1 if clockwise else -1])).float()
    dets, kept = nms_rotated(given, scores.float(), threshold, clockwise=clockwise)
    assert kept.dtype == torch.int64 and kept.tolist() == expected
    near(dets, torch.cat([given[kept].double(), scores[kept][:, None]], 1))


def test_nms_rotated_keeps_labels_apart():
    boxes, scores = rotated(40)
    labels = torch.arange(40) % 3
    expected = oracle.nms_rotated(boxes.tolist(), scores.tolist(), 0.2, labels.tolist())
    assert len(expected) > len(oracle.nms_rotated(boxes.tolist(), scores.tolist(), 0.2))
    assert nms_rotated(boxes.float(), scores.float(), 0.2, labels.float())[1].tolist() == expected
    dets, kept = batched_nms(boxes.float(), scores.float(), labels, dict(type="nms_rotated", iou_threshold=0.2))
    assert kept.tolist() == expected and dets.shape == (len(expected), 6)
    near(dets[:, :5], boxes[kept])


def test_nms_rotated_suppresses_exactly_at_the_threshold():
    boxes = torch.tensor([[0.0, 0, 4, 4, 0], [2, 0, 4, 4, 0]])  # 8 of 24
    assert nms_rotated(boxes, torch.tensor([0.9, 0.8]), 1 / 3)[1].tolist() == [0]
    assert nms_rotated(boxes, torch.tensor([0.9, 0.8]), 0.34)[1].tolist() == [0, 1]
    assert nms_rotated(boxes.half(), torch.tensor([0.8, 0.9]).half(), 0.3)[1].tolist() == [1]
