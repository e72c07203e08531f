"""Non-maximum suppression: `nms` by torchvision; `softnms` and `nms_match`, which mmcv runs on the CPU alone, here, and
`nms_rotated`, whose few comparisons at a time suit a CPU better too."""

import numpy as np
import torch
import torchvision
from torch import Tensor

from clipkit.mmcv_ops._precision import wide
from clipkit.mmcv_ops.boxes import rotated_overlaps

__all__ = ["nms", "nms_match", "nms_rotated", "softnms"]

NAIVE, LINEAR, GAUSSIAN = range(3)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices (int64, by falling score) of the boxes that no better box overlaps by more than `iou_threshold`.

    Args:
        boxes: (N, 4), x1, y1, x2, y2.
        scores: (N,).
        offset: added to every width and height; 1 where x2 and y2 name the last pixel inside.
    """
    boxes, scores = wide(boxes, scores)
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    # The compiled operator compares in float32: a box pair exactly at the threshold stays a pair.
    return torchvision.ops.nms(boxes, scores.to(boxes), float(np.float32(iou_threshold)))


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (Bodla et al., ICCV 2017): overlapped boxes lose score instead of being removed.

    Fills the first K rows of `dets` (N, 5) with boxes and new scores and returns their K indices, in the order in
    which they were taken. Boxes that fall below `min_score` are dropped.

    Args:
        method: 0 removes what overlaps by `iou_threshold` or more, 1 multiplies by 1 - IoU there (linear), 2
            multiplies every score by exp(-IoU^2 / sigma) (gaussian).
    """
    corners, points = (t.cpu().numpy().copy() for t in wide(boxes, scores))
    order = np.arange(len(corners))
    threshold, width, floor = np.float32(iou_threshold), np.float32(sigma), np.float32(min_score)
    taken, end = 0, len(corners)
    while taken < end:
        best = taken + int(points[taken:end].argmax())
        for column in (corners, points, order):
            column[[taken, best]] = column[[best, taken]]
        rest = slice(taken + 1, end)
        iou = _iou(corners[taken], corners[rest], offset)
        if method == GAUSSIAN:
            points[rest] *= np.exp(-(iou * iou) / width)
        else:
            points[rest] *= np.where(iou >= threshold, 1 - iou if method == LINEAR else np.float32(0), np.float32(1))
        # The compiled operator puts the last box into the place of a dropped one: equal scores come out in that order.
        keep = ~(points[rest] < floor)
        kept = int(keep.sum())
        holes, fillers = np.flatnonzero(~keep[:kept]), kept + np.flatnonzero(keep[kept:])[::-1]
        for column in (corners, points, order):
            column[rest][holes] = column[rest][fillers]
        taken, end = taken + 1, taken + 1 + kept
    dets[:end, :4] = boxes.new_tensor(corners[:end])
    dets[:end, 4] = boxes.new_tensor(points[:end])
    return dets.new_tensor(order[:end]).long()


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Groups of boxes: each one that NMS keeps, followed by those that it suppresses, by falling score.

    Args:
        dets: (N, 5), x1, y1, x2, y2, score.
        iou_threshold: suppressed are boxes that overlap by this much or more.
    """
    (dets,) = wide(dets)
    corners = dets[:, :4].cpu().numpy()
    order = dets[:, 4].sort(descending=True).indices.cpu().numpy()
    groups = []
    while len(order):
        best, rest = order[0], order[1:]
        near = _iou(corners[best], corners[rest], 0) >= np.float32(iou_threshold)
        groups.append([int(best), *rest[near].tolist()])
        order = rest[~near]
    return groups


def nms_rotated(
    dets: Tensor,
    scores: Tensor,
    order: Tensor,
    dets_sorted: Tensor,
    labels: Tensor,
    iou_threshold: float,
    multi_label: int,
) -> Tensor:
    """Indices (int64, by falling score) of the rotated boxes that no better box overlaps by `iou_threshold` or more.

    Args:
        dets: (N, 5), centre x and y, width, height, clockwise angle in radians; a sixth column is not read.
        order: (N,), indices by falling score.
        dets_sorted: `dets` in that order; not used here.
        labels: (N,), with `multi_label`: boxes of different labels leave each other alone, as on a GPU. mmcv's operator
            for the CPU does not look at them.
    """
    (boxes,) = wide(dets[:, :5])
    boxes, left, device = boxes.cpu(), order.cpu(), order.device
    groups = labels.cpu() if multi_label else torch.zeros(len(boxes))
    # As the compiled operator, in the precision of the boxes: a pair exactly at the threshold is one.
    threshold = float(np.float32(iou_threshold))
    kept = []
    while len(left):
        best, rest = left[0], left[1:]
        kept.append(best)
        overlaps = rotated_overlaps(boxes[best][None], boxes[rest])[0].to(boxes)
        left = rest[(overlaps < threshold) | (groups[rest] != groups[best])]
    return torch.stack(kept).to(device) if kept else order.new_zeros(0)


def _iou(box: np.ndarray, others: np.ndarray, offset: int) -> np.ndarray:
    """Overlap of one box (4,) with others (N, 4): (N,). Two boxes without any area do not overlap."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]) + offset
    shared = np.maximum(sides, 0).prod(1)
    union = (box[2:] - box[:2] + offset).prod() + (others[:, 2:] - others[:, :2] + offset).prod(1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union != 0)
