"""A trained detector as a Python object: an image and labels in, boxes, masks, labels and scores out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from clipkit.predict.detections import Detections, name_all
from clipkit.predict.predictor import ImagePredictor, is_instance_of


class Detector(ImagePredictor):
    """`Detector.load(work_dir)(image, labels)`, or of a config and a checkpoint.

    >>> detector = Detector.load("vild/vild_tiny_shapes.py", "work_dirs/vild_tiny_shapes")
    >>> found = detector("scene.png", "red star, blue ring").above(0.3)
    >>> found.boxes, found.masks, [found.names[i] for i in found.labels]
    """

    hub_task = "object-detection"

    @classmethod
    def handles(cls, model: torch.nn.Module) -> bool:
        """Detectors of mmdet's kind."""
        return is_instance_of(model, "mmdet.models.detectors", "BaseDetector")

    @torch.no_grad()
    def predict(self, images: Sequence[np.ndarray], names: tuple[str, ...]) -> list[Detections]:
        """The objects in images of equal size; see `ImagePredictor`."""
        from mmdet.structures import DetDataSample

        height, width = images[0].shape[:2]
        batch: dict[str, list] = {"inputs": [], "data_samples": []}
        for rgb in images:
            results = self.resized(np.ascontiguousarray(rgb[..., ::-1]))
            bgr = results["img"]
            scale = results.get("scale_factor", (1.0, 1.0))
            about = {"ori_shape": (height, width), "img_shape": bgr.shape[:2], "scale_factor": scale, "img_id": 0}
            batch["inputs"].append(torch.from_numpy(np.ascontiguousarray(bgr.transpose(2, 0, 1))))
            batch["data_samples"].append(DetDataSample(metainfo=about))
        samples = self.model.test_step(batch)
        found = [self._read(sample.pred_instances.cpu(), names, rgb) for sample, rgb in zip(samples, images)]
        asked = getattr(self.model, "sentence", None)
        if asked is None:
            return found
        pieces = tuple((text, owners[0] if owners else None) for text, owners in asked.pieces())
        return [replace(one, sentence=pieces) for one in found]

    @staticmethod
    def _read(found: Any, names: tuple[str, ...], rgb: np.ndarray) -> Detections:
        found = found[found.scores.argsort(descending=True)]
        masks = found.masks.bool() if "masks" in found else None
        names = name_all(names, max(found.labels.tolist(), default=-1) + 1)
        height, width = rgb.shape[:2]
        return Detections(
            found.bboxes.float(), found.scores.float(), found.labels.long(), masks, names, (height, width), rgb
        )
