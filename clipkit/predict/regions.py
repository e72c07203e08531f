"""The connected regions of a label map as objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from clipkit.data.palette import NOTHING
from clipkit.predict.detections import Detections


def find_regions(
    labels: Tensor,
    scores: Tensor,
    names: Sequence[str],
    min_area: float = 0.001,
    min_score: float = 0.0,
    image: np.ndarray | None = None,
) -> Detections:
    """`Segmentation.regions`: ids and scores (H, W) -> objects with boxes and masks. Pixels that touch at an edge are
    connected; a region's score is the mean over its pixels."""
    from scipy import ndimage

    ids, sure = labels.numpy(), scores.numpy()
    least = min_area * ids.size
    found: list[tuple[float, int, tuple[int, int, int, int], np.ndarray]] = []
    for i, name in enumerate(names):
        if name in NOTHING:
            continue
        parts, count = ndimage.label(ids == i)
        areas = np.bincount(parts.ravel(), minlength=count + 1)
        for number, place in enumerate(ndimage.find_objects(parts), 1):
            if areas[number] < least:
                continue
            mask = parts[place] == number
            score = float(sure[place][mask].mean())
            if score >= min_score:
                rows, columns = place
                box = (columns.start, rows.start, columns.stop, rows.stop)
                found.append((score, i, box, mask))
    found.sort(key=lambda one: -one[0])
    masks = np.zeros((len(found), *ids.shape), dtype=bool)
    for whole, (_, _, (x1, y1, x2, y2), mask) in zip(masks, found):
        whole[y1:y2, x1:x2] = mask
    return Detections(
        torch.tensor([box for _, _, box, _ in found], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([score for score, _, _, _ in found], dtype=torch.float32),
        torch.tensor([label for _, label, _, _ in found], dtype=torch.int64),
        torch.from_numpy(masks),
        tuple(names),
        (ids.shape[0], ids.shape[1]),
        image,
    )
