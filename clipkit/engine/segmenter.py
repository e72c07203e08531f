"""A trained segmenter as a Python object: an image and labels in, a label map out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clipkit.data import read_image
from clipkit.errors import ClipkitError

ImageLike = str | Path | Image.Image | np.ndarray | Tensor


@dataclass
class Segmentation:
    """One image's result.

    Attributes:
        labels: (H, W) int64, indices into `names`.
        scores: (H, W) float32, softmax probability of the chosen label among all labels.
        names: what the indices mean.
    """

    labels: Tensor
    scores: Tensor
    names: tuple[str, ...]

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


class Segmenter:
    """`Segmenter.load(config, checkpoint)(image, labels)`.

    >>> segmenter = Segmenter.load("lseg/lseg_tiny_shapes.py", "work_dirs/lseg_tiny_shapes")
    >>> result = segmenter("scene.png", "red star, blue ring, grass")
    >>> result.labels, result.names
    """

    def __init__(self, model: torch.nn.Module, resize: Any = None):
        self.model: Any = model.eval()
        self.resize = resize
        self._current: Any = None

    @classmethod
    def load(
        cls,
        config: Any,
        checkpoint: str | Path | None,
        device: str | torch.device | None = None,
        cfg_options: dict | None = None,
    ) -> Segmenter:
        """Builds the config's model and loads its weights.

        Args:
            config: path, name of an installed config, or a mmengine `Config`.
            checkpoint: what training wrote; a work folder stands for its newest checkpoint; None for a model that
                trains nothing.
            device: default: a GPU if there is one.
            cfg_options: dotted key -> value.

        Raises:
            ClipkitError: what is wrong with config or checkpoint, in one line.
        """
        from mmengine.registry import DefaultScope

        from .build import prepare_config
        from .checkpoint import load_checkpoint, require_nothing_to_train, resolve_checkpoint
        from .friendly import friendly_build
        from .frozen import check_frozen
        from .registry import MODELS, TRANSFORMS
        from .runner import load_weights

        state: dict = {"state_dict": {}}
        if checkpoint is not None:  # before the model is built: a wrong path should not cost half a minute
            checkpoint = resolve_checkpoint(checkpoint)
            state = load_checkpoint(checkpoint)
        cfg = prepare_config(config, cfg_options=cfg_options, for_training=False)
        if cfg.get("model") is None:
            raise ClipkitError(f"{cfg.filename} has no `model`")
        with friendly_build(), DefaultScope.overwrite_default_scope(cfg.default_scope):
            model = MODELS.build(cfg.model)
            if checkpoint is None:
                require_nothing_to_train(model)
            else:
                check_frozen(model, state.get("meta", {}).get("frozen", []), str(checkpoint))
                weights = {key.removeprefix("module."): value for key, value in state["state_dict"].items()}
                load_weights(model, weights, str(checkpoint), strict=True)
            resize = _find_resize(cfg)
            resize = TRANSFORMS.build(resize) if resize else None
        if not hasattr(model, "label_names"):  # a closed-set model says its classes in the checkpoint
            model.label_names = tuple((state.get("meta", {}).get("dataset_meta") or {}).get("classes") or ())
        return cls(model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")), resize)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def set_labels(self, labels: Any = None) -> tuple[str, ...]:
        """Labels for the next calls: a `Vocabulary`, a list of names or 'a, b; synonym'; None: the config's own."""
        key = (
            labels
            if isinstance(labels, (str, type(None)))
            else (tuple(labels) if isinstance(labels, (list, tuple)) else labels)
        )
        if key != self._current:
            if not hasattr(self.model, "set_labels"):
                raise ClipkitError(f"{type(self.model).__name__} has fixed classes: leave the labels out")
            self.model.set_labels(labels)
            self._current = key
        return tuple(self.model.label_names)

    @torch.no_grad()
    def __call__(self, image: ImageLike, labels: Any = None) -> Segmentation:
        """Segments one image at its own size.

        Args:
            image: a path; a PIL image; an array (H, W, 3) uint8 RGB, or (H, W) grey; a tensor (3, H, W) RGB, uint8 or
                float in [0, 1].
            labels: see `set_labels`.

        Raises:
            ClipkitError, ValueError, FileNotFoundError: the image cannot be used; the line says why.
        """
        names = self.set_labels(labels)
        rgb = as_rgb(image)
        height, width = rgb.shape[:2]
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        if self.resize is not None:
            bgr = self.resize({"img": bgr, "img_shape": (height, width)})["img"]
        from mmseg.structures import SegDataSample

        sample = SegDataSample(metainfo={"ori_shape": (height, width), "img_shape": bgr.shape[:2]})
        tensor = torch.from_numpy(np.ascontiguousarray(bgr.transpose(2, 0, 1)))
        result = self.model.test_step({"inputs": [tensor], "data_samples": [sample]})[0]
        index = result.pred_sem_seg.data[0].long()
        if "pred_scores" in result:  # so many labels that no logits were kept
            scores = result.pred_scores.data[0].float()
        else:
            scores = result.seg_logits.data.float().softmax(0).amax(0)
        return Segmentation(index.cpu(), scores.cpu(), names)


def as_rgb(image: ImageLike) -> np.ndarray:
    """Whatever `Segmenter` takes as (H, W, 3) uint8 RGB."""
    if isinstance(image, (str, Path)):
        return read_image(image)
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("RGB"))
    if isinstance(image, Tensor):
        if image.ndim != 3 or image.shape[0] not in (1, 3):
            raise ValueError(f"an image tensor must be (3, H, W) RGB, got {tuple(image.shape)}")
        if image.is_floating_point():
            low, high = float(image.min()), float(image.max())
            if low < -1e-3 or high > 1 + 1e-3:
                raise ValueError(f"a float image must lie in [0, 1], got {low:.3g}..{high:.3g}: do not normalise it")
            image = (image.clamp(0, 1) * 255).round().to(torch.uint8)
        return image.expand(3, -1, -1).permute(1, 2, 0).cpu().numpy()
    array = np.asarray(image)
    if array.ndim == 2:
        array = np.stack([array] * 3, axis=-1)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise ValueError(f"an image array must be (H, W, 3) uint8 RGB, got {array.shape} {array.dtype}")
    return array


def _find_resize(cfg: Any) -> dict | None:
    """The `Resize` of the config's test pipeline, so that a picture meets the network at the size it was tested at."""
    pipeline = (cfg.get("test_dataloader") or {}).get("dataset", {}).get("pipeline") or []
    return next((dict(step) for step in pipeline if str(step.get("type", "")).endswith("Resize")), None)
