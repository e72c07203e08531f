"""A trained segmenter as a Python object: an image and labels in, a label map out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clipkit.data.formats import supervision
from clipkit.data.label_picture import label_picture
from clipkit.data.picture import Picture
from clipkit.predict.detections import Detections
from clipkit.predict.predictor import ImagePredictor, is_instance_of
from clipkit.predict.regions import find_regions


@dataclass(repr=False)
class Segmentation(Picture):
    """One image's result.

    Attributes:
        labels: (H, W) int64, indices into `names`.
        scores: (H, W) float32, softmax probability of the best label among all labels (where the model takes the best
            of a label's words, of that word among all words); a pixel that a threshold sent to background keeps it.
        names: what the indices mean.
        image: (H, W, 3) uint8, what was segmented; None where it was not kept.
    """

    labels: Tensor
    scores: Tensor
    names: tuple[str, ...]
    image: np.ndarray | None = None

    def plot(self, beside: bool = True) -> Image.Image:
        """The photo beside its regions, with their names written on them; without an image, the regions on white."""
        shape = (*self.labels.shape, 3)
        photo = np.full(shape, 255, np.uint8) if self.image is None else self.image
        beside = beside and self.image is not None
        return Image.fromarray(label_picture(photo, self.labels.numpy(), self.names, beside=beside))

    def masks(self) -> dict[str, Tensor]:
        """Name -> (H, W) bool; only labels that occur."""
        return {name: self.labels == self.names.index(name) for name in self.shares()}

    def regions(self, min_area: float = 0.001, min_score: float = 0.0) -> Detections:
        """The connected regions of all labels as objects, the surest first; `background` and `none of these` are none.

        Args:
            min_area: share of the image below which a region is left out.
            min_score: mean score of its pixels below which a region is left out.
        """
        return find_regions(self.labels, self.scores, self.names, min_area, min_score, self.image)

    def polygons(self) -> dict[str, list[np.ndarray]]:
        """Name -> outlines of its regions and their holes, (k, 2) x y in pixels; only labels that occur; needs the
        extra `formats`."""
        return {name: supervision().mask_to_polygons(mask.numpy()) for name, mask in self.masks().items()}

    def coco(self, image_id: Any) -> list[dict[str, Any]]:
        """The `regions` as COCO results, see `Detections.coco`."""
        return self.regions().coco(image_id)

    def to_supervision(self) -> Any:
        """The `regions` as `supervision.Detections`; needs the extra `formats`."""
        return self.regions().to_supervision()

    def __repr__(self) -> str:
        height, width = self.labels.shape
        found = ", ".join(f"{name} {share:.1f} %" for name, share in self.shares().items())
        return f"Segmentation({width} x {height}: {found})"

    def shares(self) -> dict[str, float]:
        """Name -> share of the image's pixels in percent, largest first; only labels that occur."""
        counts = torch.bincount(self.labels.flatten(), minlength=len(self.names)).tolist()
        order = sorted(range(len(self.names)), key=lambda i: -counts[i])
        return {self.names[i]: 100 * counts[i] / self.labels.numel() for i in order if counts[i]}

    def mean_scores(self) -> dict[str, float]:
        """Name -> mean score of its pixels; only labels that occur, in their own order."""
        ids, size = self.labels.flatten(), len(self.names)
        counts = torch.bincount(ids, minlength=size)
        sums = torch.bincount(ids, self.scores.flatten().double(), minlength=size)
        return {self.names[i]: float(sums[i] / counts[i]) for i in counts.nonzero()[:, 0].tolist()}


class Segmenter(ImagePredictor):
    """`Segmenter.load(work_dir)(image, labels)`, or of a config and a checkpoint.

    >>> segmenter = Segmenter.load("lseg/lseg_tiny_shapes.py", "work_dirs/lseg_tiny_shapes")
    >>> result = segmenter("scene.png", "red star, blue ring, grass")
    >>> result.labels, result.names
    """

    hub_task = "image-segmentation"

    @classmethod
    def handles(cls, model: torch.nn.Module) -> bool:
        """Segmentors of mmseg's kind."""
        return is_instance_of(model, "mmseg.models.segmentors", "BaseSegmentor")

    @torch.no_grad()
    def predict(self, images: Sequence[np.ndarray], names: tuple[str, ...]) -> list[Segmentation]:
        """The label maps of images of equal size, at that size; see `ImagePredictor`."""
        from mmseg.structures import SegDataSample

        height, width = images[0].shape[:2]
        batch: dict[str, list] = {"inputs": [], "data_samples": []}
        for rgb in images:
            bgr = self.resized(np.ascontiguousarray(rgb[..., ::-1]))["img"]
            about = {"ori_shape": (height, width), "img_shape": bgr.shape[:2]}
            batch["inputs"].append(torch.from_numpy(np.ascontiguousarray(bgr.transpose(2, 0, 1))))
            batch["data_samples"].append(SegDataSample(metainfo=about))
        return [self._read(found, names, rgb) for found, rgb in zip(self.model.test_step(batch), images)]

    def _read(self, found: Any, names: tuple[str, ...], rgb: np.ndarray) -> Segmentation:
        index = found.pred_sem_seg.data[0].long()
        if "pred_scores" in found:  # so many labels that no logits were kept
            scores = found.pred_scores.data[0].float()
        else:
            scores = self._probability(found.seg_logits.data.float(), index)
        return Segmentation(index.cpu(), scores.cpu(), names, rgb)

    def _probability(self, logits: Tensor, index: Tensor) -> Tensor:
        """`(K, H, W)` of the label that was chosen, `(H, W)`."""
        if hasattr(self.model, "probability"):
            return self.model.probability(logits)
        if len(logits) == 1:  # mmseg's binary heads: it gives the sigmoid in place of the logits
            return torch.where(index == 1, logits[0], 1 - logits[0])
        return logits.softmax(0).amax(0)
