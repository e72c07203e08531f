"""From a host's preprocessed batch back to the pictures that CLIP wants: RGB in [0, 1], without padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class HostImages(nn.Module):
    """Undoes a host's preprocessing.

    Args:
        data_preprocessor: the host's own config (its `mean`, `std`, `bgr_to_rgb` or `to_rgb`, `pad_val` or
            `pad_value` are read). What is also given below wins.
        mean, std: per channel in the host's channel order and in units of pixels 0-255; None: the host is not
            normalised.
        channel_order: 'rgb' or 'bgr', what the host's network sees. By default 'rgb' where the preprocessor
            converts to it, otherwise 'bgr', for mmcv reads BGR.
        pad_value: what the host pads with at the right and the bottom, after normalising. Rows and columns there
            that hold nothing else are padding. A normalised 8-bit picture holds no exact 0 unless a mean is a whole
            number; without normalisation a black border of the picture itself counts as padding. None: there is
            no padding.

    Raises:
        ValueError: unknown channel order, or only one of mean and std.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        data_preprocessor: Mapping[str, Any] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        channel_order: str | None = None,
        pad_value: float | str | None = "auto",
    ) -> None:
        super().__init__()
        given = dict(data_preprocessor or {})
        mean = given.get("mean") if mean is None else mean
        std = given.get("std") if std is None else std
        if (mean is None) != (std is None):
            raise ValueError("the host's mean and std belong together: give both or neither")
        if channel_order is None:
            channel_order = "rgb" if given.get("bgr_to_rgb") or given.get("to_rgb") else "bgr"
        if channel_order not in ("rgb", "bgr"):
            raise ValueError(f"channel_order is 'rgb' or 'bgr', got {channel_order!r}")
        self.channel_order = channel_order
        if pad_value == "auto":
            pad_value = given.get("pad_val", given.get("pad_value", 0.0))
        self.pad_value = None if pad_value is None else float(pad_value)
        as_column = torch.tensor([0.0] if mean is None else list(mean)).reshape(-1, 1, 1)
        self.register_buffer("mean", as_column, persistent=False)
        as_column = torch.tensor([1.0] if std is None else list(std)).reshape(-1, 1, 1)
        self.register_buffer("std", as_column, persistent=False)

    @torch.no_grad()
    def forward(self, inputs: Tensor) -> Tensor:
        """`(B, 3, H, W)` preprocessed to RGB in [0, 1]; padding is still there."""
        images = (inputs.float() * self.std + self.mean) / 255.0
        if self.channel_order == "bgr":
            images = images.flip(1)
        return images.clamp(0, 1)

    @torch.no_grad()
    def valid_sizes(self, inputs: Tensor) -> list[tuple[int, int]]:
        """(height, width) of each picture within the padded batch `(B, 3, H, W)`. A batch item without content counts
        as a whole picture."""
        height, width = inputs.shape[-2:]
        if self.pad_value is None:
            return [(height, width)] * len(inputs)
        content = (inputs != self.pad_value).any(1)
        rows = torch.arange(1, height + 1, device=inputs.device) * content.any(2)
        columns = torch.arange(1, width + 1, device=inputs.device) * content.any(1)
        sizes = torch.stack([rows.amax(1), columns.amax(1)], 1).tolist()
        return [(int(h) or height, int(w) or width) for h, w in sizes]

    def groups(self, inputs: Tensor) -> list[tuple[list[int], Tensor, tuple[int, int]]]:
        """Batch items of one size together: (indices, pictures `(n, 3, h, w)` RGB without padding, (h, w))."""
        images = self(inputs)
        by_size: dict[tuple[int, int], list[int]] = {}
        for index, size in enumerate(self.valid_sizes(inputs)):
            by_size.setdefault(size, []).append(index)
        if len(by_size) == 1:
            (size,) = by_size
            return [(list(range(len(images))), images[..., : size[0], : size[1]], size)]
        return [(items, images[items][..., : size[0], : size[1]], size) for size, items in by_size.items()]


def valid_part(size: tuple[int, int], inputs: Tensor, grid: Tensor) -> tuple[int, int]:
    """(rows, columns) of a feature map `grid` that a picture of `size` within the padded `inputs` covers, rounded up
    as a strided convolution rounds."""
    rows = -(-size[0] * grid.shape[-2] // inputs.shape[-2])
    columns = -(-size[1] * grid.shape[-1] // inputs.shape[-1])
    return rows, columns
