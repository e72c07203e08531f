"""Detects with an exported file: what words say of boxes becomes scores, and one box an object stays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms

from clipkit.errors import ClipkitError
from clipkit.export.labels import OnnxModel
from clipkit.export.segmenter import check_resize, resized, working_size
from clipkit.predict.detections import Detections
from clipkit.predict.predictor import ImagePredictor
from clipkit.text import match_key

REQUIRED = ("scores", "boxes", "objectness")


class OnnxDetector(ImagePredictor):
    """`open_onnx("model.onnx")[0](image, labels)` -> `Detections`, as `clipkit.predict.detector.Detector` gives it, but
    without masks. Pictures that are larger than the graph's arrays are made smaller."""

    model: OnnxModel

    def __init__(self, model: OnnxModel) -> None:
        super().__init__(model)
        self.about = model.about
        if self.about.size is None:
            raise ValueError("no size")
        self.options = checked_options(self.about.options)
        self.outputs = model.file.outputs
        if missing := [name for name in REQUIRED if name not in self.outputs]:
            raise ValueError(f"no {missing[0]} among the outputs")

    @property
    def device(self) -> torch.device:
        """Of what goes in and comes out."""
        return torch.device("cpu")

    @torch.no_grad()
    def predict(self, images: Sequence[np.ndarray], names: tuple[str, ...]) -> list[Detections]:
        """The objects in images of equal size; see `ImagePredictor`."""
        assert self.about.size is not None
        pictures = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        size = (pictures.shape[2], pictures.shape[3])
        target = fitted(working_size(size, self.options.get("resize"), 1), self.about.size)
        pictures = resized(pictures, target, antialias=False)
        (high, wide), count = self.about.size, len(images)
        padded = F.pad(pictures, (0, wide - target[1], 0, high - target[0])).permute(0, 2, 3, 1).contiguous()
        sides = torch.tensor([target] * count, dtype=torch.float32)
        outputs = dict(zip(self.outputs, self.model.run(pictures=padded, sides=sides)))
        factor = torch.tensor([target[1] / size[1], target[0] / size[0]] * 2)
        try:
            boxes, real = outputs["boxes"] / factor, outputs["objectness"] >= 0
            scores = self._scores(outputs).transpose(1, 2)
            fit = boxes.shape == (count, *scores.shape[1:2], 4) and scores.shape[:2] == real.shape
        except (RuntimeError, IndexError):  # of shapes, where the file is a stranger's
            fit = False
        if not fit:
            raise ClipkitError(f"{self.model.file.path}: its boxes and scores do not fit: export it again")
        found = [self._choose(box[kept], said[kept]) for box, said, kept in zip(boxes, scores, real)]
        return [
            Detections(boxes, scores, labels, None, names, size, rgb)
            for (boxes, scores, labels), rgb in zip(found, images)
        ]

    def _scores(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """`(B, K, P)`: probabilities of the labels among themselves and the background; of an ensemble the geometric
        mean of both heads', each weighted where it was taught (ViLD, eq. 5)."""
        text = self._log_probabilities(outputs, "", self.options["scale"])
        if "image_scores" not in outputs:
            return text.exp()
        image = self._log_probabilities(outputs, "image_", self.options["image_scale"])
        known = {match_key(name) for name in self.options["base"]}
        groups = self.model.labels.info.get("words") or [(name,) for name in self.model.label_names]
        base = torch.tensor([any(match_key(word) in known for word in group) for group in groups])[:, None]
        by_text = torch.where(base, self.options["base_weight"], 1 - self.options["novel_weight"])
        return (by_text * text + (1 - by_text) * image).exp()

    def _log_probabilities(self, outputs: Mapping[str, Tensor], head: str, scale: float) -> Tensor:
        logits = self.model.labels.class_scores(scale * outputs[f"{head}scores"], dim=1)
        if f"{head}background" not in outputs:
            return logits.log_softmax(1)
        return torch.cat([logits, scale * outputs[f"{head}background"][:, None]], 1).log_softmax(1)[:, :-1]

    def _choose(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`(P, 4)` and `(P, K)` -> boxes, scores and labels of the objects, best first; a box may be of several."""
        box, label = (scores > self.options["score"]).nonzero(as_tuple=True)
        boxes, scores = boxes[box], scores[box, label]
        kept = batched_nms(boxes, scores, label, self.options["iou"])[: self.options["most"]]
        return boxes[kept], scores[kept], label[kept]


def fitted(size: tuple[int, int], limit: tuple[int, int]) -> tuple[int, int]:
    """Height and width as they are, or made smaller until they lie in `limit`."""
    factor = min(1.0, limit[0] / size[0], limit[1] / size[1])
    return max(1, math.floor(size[0] * factor)), max(1, math.floor(size[1] * factor))


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """These options, if they are as the export writes them: a file's may be a stranger's.

    Raises:
        ValueError, TypeError, KeyError: they are not.
    """
    check_resize(options.get("resize"))
    shares = [options[key] for key in ("score", "iou", "base_weight", "novel_weight")]
    if not all(isinstance(share, (int, float)) and 0 <= share <= 1 for share in shares):
        raise ValueError(f"shares {shares}")
    scales = [options["scale"], options["image_scale"]]
    if not all(isinstance(scale, (int, float)) and 0 < scale < math.inf for scale in scales):
        raise ValueError(f"scales {scales}")
    if type(options["most"]) is not int or options["most"] < 1:
        raise ValueError(f"{options['most']!r} objects")
    if not all(isinstance(name, str) for name in options["base"]):
        raise ValueError("base names are no strings")
    return dict(options)
