"""CLIP as a teacher: target embeddings of whole images, of every place in them, and of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ._grid import to_whole_patches
from .pooling import pool_boxes

ORDERS = ("sum-normalize", "normalize-sum")


class CLIPTeacher:
    """Targets from a frozen CLIP, without gradients, unit length.

    Not an `nn.Module`: held by a student it enters neither its state dict nor its parameters nor its train mode.

    Args:
        clip: a `FrozenCLIP`, or anything with its `encode_image`, `features` and `image_size`. It is moved to the
            device of the images on first use.
        crop_scales: each region is read once per scale, the box enlarged about its centre. ViLD reads 1 and 1.5.
        order: `'sum-normalize'` adds the raw embeddings of the crops and normalises the sum (both public PyTorch
            versions of ViLD); `'normalize-sum'` normalises each crop first.
        crop_batch: crops per pass.
    """

    def __init__(
        self,
        clip: Any,
        crop_scales: Sequence[float] = (1.0, 1.5),
        order: str = "sum-normalize",
        crop_batch: int = 64,
    ) -> None:
        if order not in ORDERS:
            raise ValueError(f"order is one of {ORDERS}, got {order!r}")
        if not crop_scales or min(crop_scales) <= 0:
            raise ValueError(f"crop_scales needs at least one positive number, got {tuple(crop_scales)}")
        self.clip = clip
        self.crop_scales = tuple(crop_scales)
        self.order = order
        self.crop_batch = crop_batch

    @torch.no_grad()
    def image(self, images: Tensor) -> Tensor:
        """`(B, D)` of `images` `(B, 3, H, W)`, RGB in [0, 1]."""
        self._follow(images)
        return self.clip.encode_image(images, normalize=True)

    @torch.no_grad()
    def dense(self, images: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """`(B, D, h, w)`, unit length at each place; interpolated to `size` before that where given."""
        self._follow(images)
        dense = self._dense(images)
        if size is not None and tuple(dense.shape[-2:]) != tuple(size):
            dense = F.interpolate(dense, size=size, mode="bilinear", align_corners=False)
        return F.normalize(dense, dim=1)

    @torch.no_grad()
    def regions(self, images: Tensor, boxes: Sequence[Tensor], source: str = "crops") -> Tensor:
        """One embedding a box, `(sum n_b, D)` in the order of the images.

        Args:
            images: `(B, 3, H, W)`, RGB in [0, 1].
            boxes: B tensors `(n_b, 4)`, x1 y1 x2 y2 in pixels.
            source: `'crops'` encodes each crop as an image (ViLD); `'dense'` pools the dense map of the whole image:
                one pass an image however many boxes, less exact.
        """
        if len(boxes) != len(images):
            raise ValueError(f"{len(images)} images need as many box tensors, got {len(boxes)}")
        if source not in ("crops", "dense"):
            raise ValueError(f"source is 'crops' or 'dense', got {source!r}")
        self._follow(images)
        if source == "dense":
            height, width = images.shape[-2:]
            return F.normalize(pool_boxes(self._dense(images), boxes, (height, width)), dim=-1)
        pooled: Tensor | None = None
        for scale in self.crop_scales:
            crops = [crop_boxes(image, scale_boxes(b, scale), self.clip.image_size) for image, b in zip(images, boxes)]
            embedded = self._encode(torch.cat(crops))
            pooled = embedded if pooled is None else pooled + embedded
        assert pooled is not None
        return F.normalize(pooled, dim=-1)

    def _dense(self, images: Tensor) -> Tensor:
        return self.clip.features(to_whole_patches(images, self.clip.patch_size)).dense

    def _encode(self, crops: Tensor) -> Tensor:
        normalize = self.order == "normalize-sum"
        if len(crops) == 0:
            return crops.new_zeros(0, self.clip.embed_dim)
        return torch.cat([self.clip.encode_image(part, normalize=normalize) for part in crops.split(self.crop_batch)])

    def _follow(self, images: Tensor) -> None:
        parameter = next(iter(self.clip.parameters()), None)
        if parameter is not None and parameter.device != images.device:
            self.clip.to(images.device)


def scale_boxes(boxes: Tensor, scale: float) -> Tensor:
    """`(n, 4)` boxes enlarged by `scale` about their centres, not clamped."""
    boxes = boxes.reshape(-1, 4)
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    return torch.cat([centre - scale * half, centre + scale * half], 1)


def crop_boxes(image: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Crops of one image, clamped to it, whole pixels (the outer ones), stretched to `size`.

    Args:
        image: `(3, H, W)` in [0, 1].
        boxes: `(n, 4)`, x1 y1 x2 y2 in pixels. A box of no area or outside becomes the nearest pixel.
        size: (height, width) of the result.

    Returns: `(n, 3, height, width)`, bicubic with antialiasing, clamped to [0, 1].
    """
    height, width = image.shape[-2:]
    crops = []
    for x1, y1, x2, y2 in boxes.tolist():
        left, top = min(max(int(x1 // 1), 0), width - 1), min(max(int(y1 // 1), 0), height - 1)
        right, bottom = max(min(int(-(-x2 // 1)), width), left + 1), max(min(int(-(-y2 // 1)), height), top + 1)
        crop = image[None, :, top:bottom, left:right]
        crops.append(F.interpolate(crop, size=size, mode="bicubic", align_corners=False, antialias=True))
    return torch.cat(crops).clamp_(0, 1) if crops else image.new_zeros(0, image.shape[0], *size)
