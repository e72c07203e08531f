"""Region proposals without training: boxes that slide over the picture, ranked by how unlike their surround they are.

For lack of a trained region proposal network only: it finds what stands out from a plain surround. Like the cue of
colour contrast in "What is an object?" (Alexe et al. 2010, section 3), with means and variances in place of histograms,
so that a few table look-ups judge a box.
"""

from __future__ import annotations

import numpy as np

RATIOS = (0.5, 1.0, 2.0)  # height over width
STEP = 2**0.5  # from one size to the next
SMALLEST = 0.1  # of the shorter side
STRIDE = 0.25  # of the box's own sides
RING = 0.5  # the surround is the box enlarged by this, less the box


def sliding_boxes(height: int, width: int) -> np.ndarray:
    """`(M, 4)` float64 x1 y1 x2 y2, inside an image of this size."""
    parts = []
    size, largest = max(SMALLEST * min(height, width), 4.0), max(height, width)
    while size <= largest * STEP:
        for ratio in RATIOS:
            h, w = size * ratio**0.5, size / ratio**0.5
            if h <= height and w <= width:
                ys = np.linspace(0, height - h, int((height - h) / (STRIDE * h)) + 1)
                xs = np.linspace(0, width - w, int((width - w) / (STRIDE * w)) + 1)
                y, x = (axis.ravel() for axis in np.meshgrid(ys, xs, indexing="ij"))
                parts.append(np.stack([x, y, x + w, y + h], 1))
        size *= STEP
    return np.concatenate([*parts, [[0, 0, width, height]]])


def contrast(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """How much a box stands out, in [0, 1): s / (1 + s) of
    s = |mean inside - mean around|^2 / (variance around + 0.02) * sqrt(share of the picture), colours in [0, 1].

    Args:
        image: `(H, W, 3)` uint8.
        boxes: `(M, 4)` inside the image.
    """
    values = image.astype(np.float64) / 255
    # Integral images of the colours and of their squares.
    table = np.zeros((image.shape[0] + 1, image.shape[1] + 1, 6))
    table[1:, 1:] = np.concatenate([values, values**2], 2).cumsum(0).cumsum(1)
    limit = np.array([image.shape[1], image.shape[0]] * 2)
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    outer = boxes + sides * (RING / 2) * np.array([-1, -1, 1, 1])
    inner_sum, inner_area = _sums(table, _whole(boxes, limit))
    outer_sum, outer_area = _sums(table, _whole(outer, limit))
    ring_area = outer_area - inner_area
    inside, around = inner_sum / inner_area, (outer_sum - inner_sum) / np.maximum(ring_area, 1)
    gap = ((inside[:, :3] - around[:, :3]) ** 2).sum(1)
    variance = (around[:, 3:] - around[:, :3] ** 2).clip(0).sum(1)
    score = gap / (variance + 0.02) * np.sqrt(inner_area / (image.shape[0] * image.shape[1]))[:, 0]
    score = np.where(ring_area[:, 0] > 0, score, 0)
    return score / (1 + score)


def propose(image: np.ndarray, most: int, overlap: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """The `most` boxes of highest contrast, of which no two overlap (IoU) by more than `overlap`.

    Args:
        image: `(H, W, 3)` uint8.

    Returns: `(m, 4)` boxes and `(m,)` scores, best first.
    """
    import torch
    from torchvision.ops import nms

    boxes = sliding_boxes(*image.shape[:2])
    scores = contrast(image, boxes)
    best = np.argsort(-scores, kind="stable")[: 20 * most]
    kept = best[nms(torch.from_numpy(boxes[best]), torch.from_numpy(scores[best]), overlap)[:most].numpy()]
    return boxes[kept], scores[kept]


def _whole(boxes: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Whole pixels within the image, at least one."""
    corners = np.clip(np.round(boxes), 0, limit).astype(np.int64)
    low = np.minimum(corners[:, :2], limit[:2] - 1)
    return np.concatenate([low, np.maximum(corners[:, 2:], low + 1)], 1)


def _sums(table: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x1, y1, x2, y2 = corners.T
    area = ((x2 - x1) * (y2 - y1))[:, None].astype(np.float64)
    return table[y2, x2] - table[y1, x2] - table[y2, x1] + table[y1, x1], area
