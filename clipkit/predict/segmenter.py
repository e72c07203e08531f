"""A trained segmenter as a Python object: an image and labels in, a label map out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clipkit.data.label_picture import label_picture
from clipkit.data.picture import Picture
from clipkit.predict.predictor import ImageLike, Predictor, as_rgb, is_instance_of


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

    def plot(self) -> Image.Image:
        """The photo beside its regions, with their names written on them."""
        shape = (*self.labels.shape, 3)
        photo = np.full(shape, 255, np.uint8) if self.image is None else self.image
        return Image.fromarray(label_picture(photo, self.labels.numpy(), self.names, beside=self.image is not None))

    def masks(self) -> dict[str, Tensor]:
        """Name -> (H, W) bool; only labels that occur."""
        return {name: self.labels == self.names.index(name) for name in self.shares()}

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


class Segmenter(Predictor):
    """`Segmenter.load(config, checkpoint)(image, labels)`.

    >>> segmenter = Segmenter.load("lseg/lseg_tiny_shapes.py", "work_dirs/lseg_tiny_shapes")
    >>> result = segmenter("scene.png", "red star, blue ring, grass")
    >>> result.labels, result.names
    """

    @classmethod
    def handles(cls, model: torch.nn.Module) -> bool:
        """Segmentors of mmseg's kind."""
        return is_instance_of(model, "mmseg.models.segmentors", "BaseSegmentor")

    @torch.no_grad()
    def __call__(self, image: ImageLike, labels: Any = None) -> Segmentation:
        """Segments one image at its own size.

        Args:
            image: a path; the bytes of a file; a PIL image; an array, see `array_to_rgb`; a tensor (3, H, W) RGB,
                uint8 or float in [0, 1].
            labels: see `set_labels`.

        Raises:
            ClipkitError, ValueError, FileNotFoundError: the image cannot be used; the line says why.
        """
        names = self.set_labels(labels)
        rgb = as_rgb(image)
        height, width = rgb.shape[:2]
        bgr = self.resized(np.ascontiguousarray(rgb[..., ::-1]))["img"]
        from mmseg.structures import SegDataSample

        sample = SegDataSample(metainfo={"ori_shape": (height, width), "img_shape": bgr.shape[:2]})
        tensor = torch.from_numpy(np.ascontiguousarray(bgr.transpose(2, 0, 1)))
        result = self.model.test_step({"inputs": [tensor], "data_samples": [sample]})[0]
        index = result.pred_sem_seg.data[0].long()
        if "pred_scores" in result:  # so many labels that no logits were kept
            scores = result.pred_scores.data[0].float()
        else:
            scores = self._probability(result.seg_logits.data.float(), index)
        return Segmentation(index.cpu(), scores.cpu(), names, rgb)

    def _probability(self, logits: Tensor, index: Tensor) -> Tensor:
        """`(K, H, W)` of the label that was chosen, `(H, W)`."""
        if hasattr(self.model, "probability"):
            return self.model.probability(logits)
        if len(logits) == 1:  # mmseg's binary heads: it gives the sigmoid in place of the logits
            return torch.where(index == 1, logits[0], 1 - logits[0])
        return logits.softmax(0).amax(0)
