"""A trained detector as a Python object: an image and labels in, boxes, masks, labels and scores out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clipkit.predict.predictor import ImageLike, Predictor, as_rgb, is_instance_of


@dataclass
class Detections:
    """One image's objects, best score first.

    Attributes:
        boxes: (n, 4) float32, x1 y1 x2 y2 in pixels of the image.
        scores: (n,) float32.
        labels: (n,) int64, indices into `names`.
        masks: (n, H, W) bool, or None where the model has no mask head.
        names: what the indices mean.
        size: (height, width) of the image.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor | None
    names: tuple[str, ...]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.boxes)

    def above(self, score: float) -> Detections:
        """Those with at least this score."""
        kept = self.scores >= score
        masks = None if self.masks is None else self.masks[kept]
        return replace(self, boxes=self.boxes[kept], scores=self.scores[kept], labels=self.labels[kept], masks=masks)

    def counts(self) -> dict[str, int]:
        """Name -> number of objects, largest first; only labels that occur."""
        found = torch.bincount(self.labels, minlength=len(self.names)).tolist()
        order = sorted(range(len(self.names)), key=lambda i: -found[i])
        return {self.names[i]: found[i] for i in order if found[i]}

    def coco(self, image_id: Any) -> list[dict[str, Any]]:
        """COCO results: `image_id`, `category_id` (the label's place in `names`, from 1), `score`, `bbox` (x, y, w, h)
        and, where there are masks, `segmentation` (RLE)."""
        from clipkit.detection.metrics import as_coco_results

        found: dict[str, Any] = {"bboxes": self.boxes, "scores": self.scores, "labels": self.labels}
        if self.masks is not None:
            found["masks"] = self.masks
        rows = as_coco_results(found)
        return [{"image_id": image_id, "category_id": row.pop("label") + 1, **row} for row in rows]


def name_all(names: Sequence[str], count: int) -> tuple[str, ...]:
    """At least `count` names: `class 3` for a label without one, as all are where the checkpoint of a closed-set
    detector does not say its classes."""
    return (*names, *(f"class {i}" for i in range(len(names), count)))


class Detector(Predictor):
    """`Detector.load(config, checkpoint)(image, labels)`.

    >>> detector = Detector.load("vild/vild_tiny_shapes.py", "work_dirs/vild_tiny_shapes")
    >>> found = detector("scene.png", "red star, blue ring").above(0.3)
    >>> found.boxes, found.masks, [found.names[i] for i in found.labels]
    """

    @classmethod
    def handles(cls, model: torch.nn.Module) -> bool:
        """Detectors of mmdet's kind."""
        return is_instance_of(model, "mmdet.models.detectors", "BaseDetector")

    @torch.no_grad()
    def __call__(self, image: ImageLike, labels: Any = None) -> Detections:
        """Finds objects in one image.

        Args:
            image, labels: see `Segmenter`.

        Raises:
            ClipkitError, ValueError, FileNotFoundError: the image cannot be used; the line says why.
        """
        from mmdet.structures import DetDataSample

        names = self.set_labels(labels)
        rgb = as_rgb(image)
        height, width = rgb.shape[:2]
        results = self.resized(np.ascontiguousarray(rgb[..., ::-1]))
        bgr = results["img"]
        scale = results.get("scale_factor", (1.0, 1.0))
        sample = DetDataSample(
            metainfo={"ori_shape": (height, width), "img_shape": bgr.shape[:2], "scale_factor": scale, "img_id": 0}
        )
        tensor = torch.from_numpy(np.ascontiguousarray(bgr.transpose(2, 0, 1)))
        found = self.model.test_step({"inputs": [tensor], "data_samples": [sample]})[0].pred_instances.cpu()
        found = found[found.scores.argsort(descending=True)]
        masks = found.masks.bool() if "masks" in found else None
        names = name_all(names, max(found.labels.tolist(), default=-1) + 1)
        boxes, scores = found.bboxes.float(), found.scores.float()
        return Detections(boxes, scores, found.labels.long(), masks, names, (height, width))
