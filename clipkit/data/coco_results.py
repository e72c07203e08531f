"""What a model found, in the words of COCO's results."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def as_coco_results(found: Any) -> list[dict[str, Any]]:
    """mmdet's `pred_instances` (an InstanceData or a dict) -> COCO results: `label`, `score`, `bbox` (x, y, w, h) in
    pixels of the original image and, where there are masks, `segmentation` (RLE with text counts)."""
    boxes, scores, labels = (_numpy(found[key]) for key in ("bboxes", "scores", "labels"))
    corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).astype(float)
    out = [
        {"label": int(label), "score": float(score), "bbox": box}
        for box, score, label in zip(corners.tolist(), scores.tolist(), labels.tolist())
    ]
    if "masks" in found:
        for item, mask in zip(out, _numpy(found["masks"])):
            item["segmentation"] = to_rle(mask)
    return out


def to_rle(mask: np.ndarray) -> dict[str, Any]:
    """(H, W) bool -> COCO's RLE with text counts, as JSON needs it."""
    from pycocotools import mask as coder

    rle = coder.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(map(int, rle["size"])), "counts": rle["counts"].decode()}


def from_coco_mask(mask: Any, height: int, width: int) -> np.ndarray:
    """COCO's polygons, RLE or RLE with text counts -> (H, W) bool."""
    from pycocotools import mask as coder

    if isinstance(mask, list):
        outlines = [polygon for polygon in mask if len(polygon) > 4]  # pycocotools takes four numbers for a box
        rle = coder.merge(coder.frPyObjects(outlines, height, width))
    else:
        rle = coder.frPyObjects(mask, height, width) if isinstance(mask["counts"], list) else mask
    return coder.decode(rle).astype(bool)


def _numpy(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
