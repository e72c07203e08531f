"""Convolutional towers, and those that clipkit can only encode with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.convnext import ConvNeXt
from torch import Tensor

from clipkit.backbone._attention import merge_heads, split_heads
from clipkit.backbone._features import Features
from clipkit.backbone._tower import ImageTower
from clipkit.backbone._vit import resized_positions


class ResNetTower(ImageTower):
    """open_clip's `ModifiedResNet`. Dense map: the attention pool's value path, `c_proj(v_proj(f))` at every position,
    without its positions (MaskCLIP, section 3.2)."""

    depth = 4

    def __init__(self, visual: Any) -> None:
        super().__init__(visual)
        if getattr(visual, "attnpool", None) is None:
            self.no_dense = "it has no attention pool"

    def __call__(
        self, images: Tensor, layers: Sequence[int] = (), dense: str | None = None, stride: int | None = None
    ) -> Features:
        self.only_native(stride)
        visual = self.visual
        _check_size(images, 31)  # the stem's first convolution rounds up, all that follow round down
        x = visual.stem(images)
        stages = []
        for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            x = stage(x)
            stages.append(x)
        pool = visual.attnpool
        penultimate = self._pool(x)
        pixels = x.flatten(2).transpose(1, 2)
        return Features(
            embedding=pool.c_proj(penultimate),
            penultimate=penultimate,
            maps=[stages[layer] for layer in layers],
            cls=[stages[layer].mean((2, 3)) for layer in layers],
            strides=[4 << layer for layer in layers],
            dense_map=pool.c_proj(pool.v_proj(pixels)).transpose(1, 2).unflatten(2, x.shape[2:]) if dense else None,
        )

    def _pool(self, x: Tensor) -> Tensor:
        """Attention pooling up to, not including, the last projection. Only the mean token's query is needed."""
        pool, grid = self.visual.attnpool, (x.shape[2], x.shape[3])
        table = pool.positional_embedding
        side = math.isqrt(table.shape[0] - 1)
        old = (side, side)
        if side * side != table.shape[0] - 1:
            old = (self.image_size[0] // 32, self.image_size[1] // 32)
        if grid != old:
            table = resized_positions(table[None], old, grid, 1)[0]
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat((x.mean(dim=1, keepdim=True), x), dim=1) + table.to(x.dtype)
        query, key, value = (
            split_heads(layer(t), pool.num_heads)
            for layer, t in ((pool.q_proj, x[:, :1]), (pool.k_proj, x), (pool.v_proj, x))
        )
        return merge_heads(F.scaled_dot_product_attention(query, key, value))[:, 0]


class TimmConvTower(ImageTower):
    """timm's ConvNeXt and FastViT (MobileCLIP). Dense map: pooling left out, the head applied to every pixel."""

    def __init__(self, visual: Any) -> None:
        super().__init__(visual)
        self.trunk = visual.trunk
        self.depth = len(self.trunk.stages)
        self.strides = [int(info["reduction"]) for info in self.trunk.feature_info]

    def __call__(
        self, images: Tensor, layers: Sequence[int] = (), dense: str | None = None, stride: int | None = None
    ) -> Features:
        self.only_native(stride)
        trunk = self.trunk
        if isinstance(trunk, ConvNeXt):  # FastViT pads
            _check_size(images, self.strides[-1])
        x = trunk.stem(images)
        stages = []
        for stage in trunk.stages:
            x = stage(x)
            stages.append(x)
        x = trunk.final_conv(x) if hasattr(trunk, "final_conv") else trunk.norm_pre(x)
        penultimate, embedding = self._head(x)
        return Features(
            embedding=embedding,
            penultimate=penultimate,
            maps=[stages[layer] for layer in layers],
            cls=[stages[layer].mean((2, 3)) for layer in layers],
            strides=[self.strides[layer] for layer in layers],
            dense_map=self._per_pixel(x) if dense else None,
        )

    def _head(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.trunk.forward_head(x, pre_logits=True)
        return pooled, self.visual.head(self.trunk.get_classifier()(pooled))

    def _per_pixel(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(-1, channels, 1, 1)  # pooling one pixel leaves it as it is
        return self._head(pixels)[1].reshape(batch, height, width, -1).permute(0, 3, 1, 2)


def _check_size(images: Tensor, least: int) -> None:
    height, width = images.shape[-2:]
    if min(height, width) < least:
        raise ValueError(f"images are {height}x{width} pixels; this tower needs {least} or more a side")


class OtherTower(ImageTower):
    """Any other network: encodes at its native size; no maps, no dense map."""

    no_dense = "clipkit knows no per-position path through this kind of network"

    def __init__(self, visual: Any) -> None:
        super().__init__(visual)
        self.kind = type(getattr(visual, "trunk", visual)).__name__
        self.no_dense = f"clipkit knows no per-position path to the text space through a {self.kind}"

    def resolve(self, layers: Sequence[int]) -> list[int]:
        if layers:
            raise ValueError(f"layers={tuple(layers)}: clipkit reads no intermediate maps of a {self.kind}")
        return []

    def __call__(
        self, images: Tensor, layers: Sequence[int] = (), dense: str | None = None, stride: int | None = None
    ) -> Features:
        self.only_native(stride)
        if tuple(images.shape[-2:]) != self.image_size:
            height, width = self.image_size
            raise ValueError(
                f"images are {images.shape[-2]}x{images.shape[-1]} pixels; a {self.kind} tower takes only its native "
                f"{height}x{width}: resize them"
            )
        out = self.visual(images)
        embedding = out[0] if isinstance(out, tuple) else out
        return Features(embedding=embedding, penultimate=embedding)
