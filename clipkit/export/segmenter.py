"""Segments with an exported file: windows, and what becomes of rows' scores, are done here as the model does it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clipkit.export.about import MOST
from clipkit.export.labels import OnnxModel
from clipkit.inference import resample, sliding_window
from clipkit.predict.predictor import ImagePredictor
from clipkit.predict.segmenter import Segmentation

STRIP = 2**24  # numbers: logits of so many pixels and labels are at full size at once


class OnnxSegmenter(ImagePredictor):
    """`open_onnx("model.onnx")[0](image, labels)` -> `Segmentation`, as `clipkit.predict.segmenter.Segmenter` gives it.

    Differences to that one: scales and mirroring of `test_cfg` are not done, and a picture that goes in whole is
    stretched to the size of the graph where it has one.
    """

    model: OnnxModel

    def __init__(self, model: OnnxModel) -> None:
        super().__init__(model)
        self.about = model.about
        check_options(self.about.options)

    @property
    def device(self) -> torch.device:
        """Of what goes in and comes out."""
        return torch.device("cpu")

    @torch.no_grad()
    def predict(self, images: Sequence[np.ndarray], names: tuple[str, ...]) -> list[Segmentation]:
        """The label maps of images of equal size, at that size; see `ImagePredictor`."""
        pictures = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        size, options = (pictures.shape[2], pictures.shape[3]), self.about.options
        smooth = bool((options.get("resize") or {}).get("antialias"))
        pictures = resized(pictures, working_size(size, options.get("resize"), self.about.multiple), smooth)
        windows = options.get("windows")
        logits = sliding_window(self._logits, pictures, **windows) if windows else self._logits(pictures)
        return [Segmentation(*self._decide(one, size), names, rgb) for one, rgb in zip(logits, images)]

    def _logits(self, pictures: Tensor) -> Tensor:
        """`(B, 3, h, w)` uint8 -> `(B, K, h, w)`; the words of a class are joined before or after they are enlarged,
        as in the model."""
        size, multiple = (pictures.shape[2], pictures.shape[3]), self.about.multiple
        if self.about.size is None:
            whole = tuple(max(round(side / multiple), 1) * multiple for side in size)
            pictures = resized(pictures, (whole[0], whole[1]), True)
        scores = self.model.run(pictures=pictures.permute(0, 2, 3, 1).contiguous())[0]
        if self.about.options.get("join") != "words":
            scores = self.model.labels.class_scores(scores, dim=1)
        align = bool(self.about.options.get("align_corners"))
        return F.interpolate(scores, size, mode="bilinear", align_corners=align)

    def _decide(self, logits: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """`(K, h, w)` -> label and probability of each pixel, `(H, W)` both. In strips: a large photo's logits for
        many labels would not fit into memory."""
        rows, columns = (resample(torch.eye(n), m, False) for n, m in zip(logits.shape[1:], size))
        count = max(1, STRIP // (len(logits) * size[1]))
        parts = [self._best(torch.einsum("ih,khw,jw->kij", strip, logits, columns)) for strip in rows.split(count)]
        return torch.cat([label for label, _ in parts]), torch.cat([probability for _, probability in parts])

    def _best(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        labels = self.model.labels
        if self.about.options.get("join") == "words":
            probability, best = labels.class_scores(logits.log_softmax(0), dim=0).exp().max(0)
        else:
            probability, best = logits.softmax(0).max(0)
        threshold = labels.background.threshold
        if threshold is not None:
            best = best.masked_fill(probability < threshold, len(labels))
        return best, probability


def check_options(options: Mapping[str, Any]) -> None:
    """Whether these are options as the export writes them: a file's may be a stranger's.

    Raises:
        ValueError, TypeError, KeyError: they are not.
    """
    windows, rule = options.get("windows") or {}, options.get("resize")
    if windows:
        window, stride = (_sides(windows[key]) for key in ("window", "stride"))
        if set(windows) != {"window", "stride"} or any(step > side for step, side in zip(stride, window)):
            raise ValueError(f"windows {windows}")
    check_resize(rule)


def check_resize(rule: Mapping[str, Any] | None) -> None:
    """As `check_options`, of the option `resize` alone."""
    if rule is not None:
        _sides(rule["short_side"] if "short_side" in rule else rule["scale"])
        if "scale" in rule and not isinstance(rule["keep_ratio"], bool):
            raise ValueError(f"resize {rule}")


def _sides(value: Any) -> tuple[int, ...]:
    """One number of pixels or two, as two."""
    sides = (value, value) if isinstance(value, int) else tuple(value)
    if len(sides) != 2 or not all(type(side) is int and 1 <= side <= MOST for side in sides):
        raise ValueError(f"{value} pixels")
    return sides


def working_size(size: tuple[int, int], rule: dict[str, Any] | None, multiple: int) -> tuple[int, int]:
    """Height and width at which the model saw pictures of `size`: by `scale` (width, height) and `keep_ratio` as mmcv's
    Resize, by `short_side` as `clipkit.predict.dense.DenseSegmenter`, or as they are."""
    if rule is None:
        return size
    if "short_side" in rule:
        short = int(rule["short_side"])
        factor = min(short / min(size), 4 * short / max(size))
        sides = [max(1, round(side * factor / multiple)) * multiple for side in size]
        return sides[0], sides[1]
    scale = [int(side) for side in rule["scale"]]
    if not rule["keep_ratio"]:
        return scale[1], scale[0]
    factor = min(max(scale) / max(size), min(scale) / min(size))
    return max(1, math.floor(size[0] * factor + 0.5)), max(1, math.floor(size[1] * factor + 0.5))


def resized(pictures: Tensor, size: tuple[int, int], antialias: bool) -> Tensor:
    """`(B, 3, h, w)` uint8 at another size, bilinear."""
    if size == tuple(pictures.shape[2:]):
        return pictures
    drawn = F.interpolate(pictures.float(), size, mode="bilinear", align_corners=False, antialias=antialias)
    return drawn.round().clamp(0, 255).byte()
