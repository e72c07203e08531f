"""A frozen CLIP's dense map, classified by words: nothing is trained, and no package of OpenMMLab is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clipkit.backbone import ClipModel, FrozenCLIP
from clipkit.device import own_device, usable_device
from clipkit.inference import Placed, classify_placed, embed_views, resample, window_views
from clipkit.predict.predictor import ImageLike, as_rgb
from clipkit.predict.segmenter import Segmentation
from clipkit.text import Background, TextBank, TextEmbeddings, Vocabulary

CLIP, TAG = "ViT-B-16-quickgelu", "openai"
NONE = "none of these"
NEUTRAL = ("background",)
"""What stands for `NONE` among the prompts: it takes fewer of the asked pixels than an empty prompt does."""


class DenseSegmenter:
    """`DenseSegmenter.load()("photo.jpg", ["cat", "bench"])` -> `Segmentation`.

    p[c] = max over the words r of c of softmax_r(s · cos(patch, r)), over windows of the photo (SCLIP's pipeline, Wang
    et al., arXiv:2312.01597, section 4); `none of these` is always among the answers.

    Args:
        clip: with a dense map; its `dense_variant` is the method.
        short_side: what the photo's shorter side is brought to, in pixels; the longer is at most four times that.
        window, stride: of the windows that the tower sees, in pixels.
        scale: s.
        templates: prompts of a word.
        batch_size: windows in one forward.
    """

    def __init__(
        self,
        clip: ClipModel,
        *,
        short_side: int = 448,
        window: int = 224,
        stride: int = 112,
        scale: float = 40.0,
        templates: str | Sequence[str] = "simple",
        batch_size: int = 8,
    ) -> None:
        self.clip, self.bank = clip, TextBank(clip)
        self.short_side, self.window, self.stride = short_side, window, stride
        self.scale, self.templates, self.batch_size = scale, templates, batch_size

    @classmethod
    def load(
        cls,
        clip: str = CLIP,
        pretrained: str | None = TAG,
        *,
        dense: str = "sclip",
        device: str | torch.device | None = None,
        precision: str | None = None,
        **options: Any,
    ) -> DenseSegmenter:
        """Builds the CLIP and puts it on `device` (default: a GPU if there is one), there in half precision.

        Raises:
            ValueError, FileNotFoundError, ClipkitError: no such model, weights or device; the line says what to do.
        """
        place = usable_device(device or own_device())
        precision = precision or ("fp16" if place.type == "cuda" else "fp32")
        model = FrozenCLIP.from_pretrained(clip, pretrained, dense=dense, precision=precision, device=place)
        if model.image_size[0] < 128:  # a tower for small pictures, as the tiny CLIP is: its windows are its own size
            side = model.image_size[0]
            options = {"short_side": side, "window": side, "stride": side // 2, **options}
        return cls(model, **options)

    def vocabulary(self, labels: Vocabulary | Sequence[str] | str) -> Vocabulary:
        """The labels, and words for what none of them fits."""
        asked = Vocabulary.parse(labels) if isinstance(labels, str) else labels
        if not isinstance(asked, Vocabulary):
            asked = Vocabulary(asked)
        synonyms = [group[1:] for group in asked.words]
        return Vocabulary(asked.names, synonyms, self.templates, "max", Background("words", NEUTRAL))

    def encode(self, labels: Vocabulary | Sequence[str] | str) -> TextEmbeddings:
        """Rows of the labels' words and of `none of these`. Only what is asked for is encoded."""
        return self.bank.encode(self.vocabulary(labels))

    @torch.no_grad()
    def __call__(self, image: ImageLike, labels: Vocabulary | Sequence[str] | str | TextEmbeddings) -> Segmentation:
        """Segments one photo at its own size; `labels` as for `encode`, or what that gave.

        Raises:
            ClipkitError, ValueError, FileNotFoundError: the photo cannot be used; the line says why.
        """
        text = labels if isinstance(labels, TextEmbeddings) else self.encode(labels)
        rgb = as_rgb(image)
        parts = self.embed(rgb)
        device = parts[0].values.device
        found = classify_placed(parts, text.matrix.to(device), self.scale, tile=256)
        ids = text.row_class.to(device)[found.labels]
        return Segmentation(ids.cpu(), found.probability.float().cpu(), (*text.names, NONE), rgb)

    @torch.no_grad()
    def embed(self, rgb: np.ndarray) -> list[Placed]:
        """(H, W, 3) uint8 -> the windows' patch embeddings, and where in (H, W) their scores go."""
        height, width = rgb.shape[:2]
        pixels = torch.from_numpy(np.array(rgb)).to(self.clip.device).permute(2, 0, 1)[None].float() / 255
        size = self._working_size(height, width)
        pixels = F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)[0]
        views = window_views(pixels, self.window, self.stride)
        return [
            Placed(part.values, resample(part.rows, height, False), resample(part.columns, width, False))
            for part in embed_views(self._features, views, batch_size=self.batch_size)
        ]

    def _features(self, windows: Tensor) -> Tensor:
        return self.clip.features(windows.to(self.clip.dtype)).dense.float()

    def _working_size(self, height: int, width: int) -> tuple[int, int]:
        """Sides that are whole patches; a very flat picture is not enlarged beyond four windows' length."""
        patch = self.clip.patch_size or 1
        factor = min(self.short_side / min(height, width), 4 * self.short_side / max(height, width))
        rows, columns = (max(1, round(side * factor / patch)) * patch for side in (height, width))
        return rows, columns
