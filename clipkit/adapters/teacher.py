"""CLIP as a teacher: target embeddings of whole images, of every place in them, and of boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clipkit.backbone.pictures import Picture, Pictures, as_batch, as_picture

from ._crops import INTERPOLATIONS, RESIZE_MODES, crop_groups, scale_boxes
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
        resize_mode: how a crop becomes CLIP's square, see `crop_boxes`: 'squash' shows all of the region, 'shortest' is
            CLIP's own preprocessing, which cuts long ones.

    Examples:
        >>> from clipkit import FrozenCLIP
        >>> teacher = CLIPTeacher(FrozenCLIP.from_pretrained("tiny_clip"), crop_scales=(1.0, 1.5))
        >>> boxes = [torch.tensor([[4.0, 4.0, 40.0, 40.0]]), torch.empty(0, 4)]
        >>> teacher.regions(torch.rand(2, 3, 64, 64), boxes).shape
        torch.Size([1, 128])
    """

    def __init__(
        self,
        clip: Any,
        crop_scales: Sequence[float] = (1.0, 1.5),
        order: str = "sum-normalize",
        crop_batch: int = 64,
        resize_mode: str = "squash",
    ) -> None:
        if order not in ORDERS:
            raise ValueError(f"order is one of {ORDERS}, got {order!r}")
        if not crop_scales or min(crop_scales) <= 0:
            raise ValueError(f"crop_scales needs at least one positive number, got {tuple(crop_scales)}")
        if resize_mode not in RESIZE_MODES:
            raise ValueError(f"resize_mode is one of {', '.join(RESIZE_MODES)}, got {resize_mode!r}")
        self.clip = clip
        self.resize_mode = resize_mode
        # The filter that the model's own preprocessing resizes with; 'random' and others are of training alone.
        own = getattr(clip, "preprocess_cfg", {}).get("interpolation", "bicubic")
        self.interpolation = own if own in INTERPOLATIONS else "bicubic"
        self.crop_scales = tuple(crop_scales)
        self.order = order
        self.crop_batch = crop_batch

    @torch.no_grad()
    def image(self, images: Pictures) -> Tensor:
        """`(B, D)` of `images`, given as to `FrozenCLIP.encode_image`."""
        images = self._batch(images)
        return self.clip.encode_image(images, normalize=True)

    @torch.no_grad()
    def dense(self, images: Pictures, size: tuple[int, int] | None = None) -> Tensor:
        """`(B, D, h, w)`, unit length at each place; interpolated to `size` before that where given."""
        dense = self._dense(self._batch(images))
        if size is not None and tuple(dense.shape[-2:]) != tuple(size):
            dense = F.interpolate(dense, size=size, mode="bilinear", align_corners=False)
        return F.normalize(dense, dim=1)

    @torch.no_grad()
    def regions(self, images: Tensor | Sequence[Picture], boxes: Sequence[Tensor], source: str = "crops") -> Tensor:
        """One embedding a box, `(sum n_b, D)` in the order of the images, never less precise than float32.

        Args:
            images: `(B, 3, H, W)` RGB, float in [0, 1] or uint8; for crops also B pictures of any sizes: tensors
                `(3, H, W)`, paths, PIL pictures or arrays `(H, W, 3)` uint8, none of which is resized.
            boxes: B tensors `(n_b, 4)`, x1 y1 x2 y2 in pixels.
            source: `'crops'` encodes each crop as an image (ViLD); `'dense'` pools the dense map of the whole image:
                one pass an image however many boxes, less exact.

        Raises:
            ValueError: another number of box tensors than of images, or an unknown source.
        """
        if len(boxes) != len(images):
            raise ValueError(f"{len(images)} images need as many box tensors, got {len(boxes)}")
        if source not in ("crops", "dense"):
            raise ValueError(f"source is 'crops' or 'dense', got {source!r}")
        if source == "dense":
            batch = as_picture(images) if isinstance(images, Tensor) else torch.stack([as_picture(i) for i in images])
            self._follow(batch)
            height, width = batch.shape[-2:]
            return F.normalize(pool_boxes(self._dense(batch), boxes, (height, width)), dim=-1)
        like = images[0] if len(images) else None
        if isinstance(like, Tensor):
            self._follow(like)
        else:  # files and the like go to where the CLIP is
            like = torch.zeros(0, device=getattr(self.clip, "device", None))
        total, shape = sum(map(len, boxes)), (len(self.crop_scales), -1, self.clip.embed_dim)
        embedded = like.new_zeros(shape[0] * total, shape[2], dtype=torch.promote_types(like.dtype, torch.float32))
        for rows, crops in _rebatched(self._crops(images, boxes, total, like.device), self.crop_batch):
            embedded[rows] = self.clip.encode_image(crops, normalize=self.order == "normalize-sum").to(embedded)
        return F.normalize(embedded.view(shape).sum(0), dim=-1)

    def _crops(
        self, images: Tensor | Sequence[Picture], boxes: Sequence[Tensor], total: int, device: torch.device
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """(rows, crops `(n, 3, h, w)`) of all boxes: row `s * total + b` is box b at scale s. The crops come in CLIP's
        own precision: half of it rounds no more than the 8 bits of a picture file do."""
        start = 0
        for image, own in zip(images, boxes):
            pixels = as_picture(image)
            picture = pixels.to(device, getattr(self.clip, "dtype", pixels.dtype))
            scaled = torch.cat([scale_boxes(own, scale) for scale in self.crop_scales])
            mode = (self.clip.image_size, self.resize_mode, self.interpolation)
            for index, crops in crop_groups(picture, scaled, *mode, most=self.crop_batch):
                yield index // len(own) * total + start + index % len(own), crops
            start += len(own)

    def _dense(self, images: Tensor) -> Tensor:
        return self.clip.features(to_whole_patches(images, self.clip.patch_size)).dense

    def _batch(self, images: Pictures) -> Tensor:
        batch = as_batch(images, self.clip)
        self._follow(batch)
        return batch

    def _follow(self, images: Tensor) -> None:
        parameter = next(iter(self.clip.parameters()), None)
        if parameter is not None and parameter.device != images.device:
            self.clip.to(images.device)


def _rebatched(parts: Iterator[tuple[Tensor, Tensor]], size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The same rows in batches of `size`, the last one shorter: an encoder wants them full."""
    held: list[tuple[Tensor, Tensor]] = []
    for part in parts:
        held.append(part)
        while sum(len(rows) for rows, _ in held) >= size:
            rows, crops = (torch.cat(column) for column in zip(*held))
            yield rows[:size], crops[:size]
            held = [(rows[size:], crops[size:])]
    if sum(len(rows) for rows, _ in held):
        rows, crops = (torch.cat(column) for column in zip(*held))
        yield rows, crops
