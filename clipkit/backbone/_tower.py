"""What every image tower offers, whatever network is inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from clipkit.backbone._features import Features
from clipkit.backbone._video import TemporalConv


class ImageTower:
    """A view of `model.visual`: it holds no weights of its own, so that copies, devices and DDP see one module.

    Attributes:
        patch_size: pixels per token, None for towers without patches.
        image_size: native `(h, w)`.
        depth: number of blocks or stages that `layers` can name.
        no_dense: why this tower cannot give a dense map, or ''.
        variants: the dense variants it can give.
        adapters: modules that run after block i, under the key `visual_i`.
        frames: how many images in a row are one video, in the pass that runs.
    """

    frames = 1

    patch_size: int | None = None
    depth = 0
    no_dense = ""
    variants: Sequence[str] = ("maskclip",)

    def __init__(self, visual: Any) -> None:
        self.visual = visual
        self.adapters: Mapping[str, nn.Module] = {}
        size = getattr(visual, "image_size", 224)
        self.image_size: tuple[int, int] = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))

    def __call__(
        self, images: Tensor, layers: Sequence[int] = (), dense: str | None = None, stride: int | None = None
    ) -> Features:
        """One pass over normalised images `(B, 3, H, W)`; `layers` are resolved, non-negative indices; `stride` is
        `ClipModel.features`'."""
        raise NotImplementedError

    def attention(self, images: Tensor) -> Tensor:
        """`ClipModel.attention` of normalised images."""
        kind = type(getattr(self.visual, "trunk", self.visual)).__name__
        raise ValueError(f"attention: only vision transformers of plain blocks have some to show, this is a {kind}")

    def only_native(self, stride: int | None) -> None:
        """Refuses a stride, in a tower that has its own only."""
        if stride is not None:
            kind = type(getattr(self.visual, "trunk", self.visual)).__name__
            raise ValueError(f"stride={stride}: only vision transformers take another stride, this tower is a {kind}")

    @contextmanager
    def of_videos(self, frames: int) -> Iterator[None]:
        """Passes inside see each `frames` images in a row as one video."""
        parts: list[Any] = [self, *(part for part in self.visual.modules() if isinstance(part, TemporalConv))]
        for part in parts:
            part.frames = frames
        try:
            yield
        finally:
            for part in parts:
                part.frames = 1

    def resolve(self, layers: Sequence[int]) -> list[int]:
        """Negative indices counted from the end.

        Raises:
            ValueError: an index names no layer.
        """
        for layer in layers:
            if not -self.depth <= layer < self.depth:
                raise ValueError(f"layers={tuple(layers)}: this tower has layers 0 to {self.depth - 1}, not {layer}")
        return [layer % self.depth for layer in layers]

    def after(self, layer: int, x: Tensor) -> Tensor:
        """`x` through the adapter that sits after this block, if there is one."""
        key = f"visual_{layer}"
        return self.adapters[key](x) if key in self.adapters else x
