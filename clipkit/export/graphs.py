"""What is exported: a module with plain tensors in and out, pixels and rows of words in, scores out."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clipkit.backbone import ClipModel
from clipkit.engine.traps import normalises

BATCH = 2  # of the examples: a size of 1 would be taken for fixed


class Graph(nn.Module):
    """Base of all.

    Attributes:
        inputs, outputs: their names, in order. Where `text` is an input it is the last one: rows of length 1 `(K, D)`.
        dim: D.
        classes: the dimension of the first output over which labels compete.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    classes = 1
    dim: int

    def example(self, seed: int) -> tuple[Tensor, ...]:
        """Inputs that differ with the seed in their values, and in their sizes where those are free."""
        raise NotImplementedError

    def axes(self) -> tuple[dict[int, Any], ...]:
        """Of each input which dimensions are free, as `torch.export` takes them."""
        raise NotImplementedError

    def align(self, wanted: list[Tensor], found: list[Tensor]) -> tuple[list[Tensor], list[Tensor], int]:
        """Outputs of two runs, place for place, and how many places have no partner: where the order is open."""
        return wanted, found, 0

    def rows(self, seed: int) -> Tensor:
        """`(K, D)` of length 1, another K for another seed."""
        drawn = torch.randn(3 + seed % 4, self.dim, generator=torch.Generator().manual_seed(seed))
        return F.normalize(drawn, dim=-1)


class PictureGraph(Graph):
    """Pictures and rows in.

    Args:
        dim: of the rows.
        size: height and width to which pictures are resized in the graph (bilinear, with antialias); None: they come
            with sides that are multiples of `multiple`.
    """

    inputs: tuple[str, ...] = ("pictures", "text")

    def __init__(self, dim: int, size: tuple[int, int] | None, multiple: int) -> None:
        super().__init__()
        self.dim, self.size, self.multiple = dim, size, multiple

    def read(self, pictures: Tensor) -> Tensor:
        """`(B, H, W, 3)` uint8 -> `(B, 3, h, w)` float in [0, 1]."""
        unit = pictures.permute(0, 3, 1, 2).float() / 255
        if self.size is None:
            return unit
        return F.interpolate(unit, self.size, mode="bilinear", align_corners=False, antialias=True)

    def example(self, seed: int) -> tuple[Tensor, ...]:
        # Of seed 0, which is traced, not square: there a tower would leave its table of positions as it is.
        least = -(-64 // self.multiple)
        high, wide = ((least + step * (seed + 1) % 3) * self.multiple for step in (1, 2))
        if self.size is not None:
            high, wide = (side + 7 * (seed % 5 + 1) for side in self.size)
        return coloured(BATCH, high, wide, seed), self.rows(seed)

    def axes(self) -> tuple[dict[int, Any], ...]:
        free = torch.export.Dim.DYNAMIC
        if self.size is not None:
            return {0: free, 1: free, 2: free}, {0: free}
        sides = (torch.export.Dim(name, min=2, max=4096 // self.multiple) for name in ("rows", "columns"))
        high, wide = (self.multiple * side if self.multiple > 1 else side for side in sides)
        return {0: free, 1: high, 2: wide}, {0: free}


def coloured(count: int, high: int, wide: int, seed: int) -> Tensor:
    """`(count, high, wide, 3)` uint8: patches of colour with noise."""
    generator = torch.Generator().manual_seed(seed)
    pixels = F.interpolate(torch.rand(count, 3, 4, 5, generator=generator), (high, wide), mode="nearest")
    pixels = (pixels + 0.1 * torch.randn(pixels.shape, generator=generator)).clamp(0, 1)
    return (255 * pixels).round().byte().permute(0, 2, 3, 1).contiguous()


class ClassifyGraph(PictureGraph):
    """s · cos(picture, row) `(B, K)` of a CLIP, and the pictures' embeddings `(B, D)`, of length 1."""

    outputs = ("scores", "embedding")

    def __init__(self, clip: ClipModel, size: tuple[int, int] | None) -> None:
        super().__init__(clip.embed_dim, size, clip.patch_size or 32)
        self.clip, self.scale = clip, clip.logit_scale

    def forward(self, pictures: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        embedding = F.normalize(self.clip.encode_image(self.read(pictures), normalize=False).float(), dim=-1)
        return self.scale * embedding @ text.T, embedding


class HeadGraph(PictureGraph):
    """Scores `(B, K)` of a few-shot head, which holds its own classes, and the pictures' embeddings, of length 1.

    Args:
        head: embeddings `(B, D)`, not normalised -> `(B, K)`, such as a fitted `TipAdapter` or `ClipAdapter`.
    """

    inputs = ("pictures",)
    outputs = ("scores", "embedding")

    def __init__(self, clip: ClipModel, head: nn.Module, size: tuple[int, int] | None) -> None:
        super().__init__(clip.embed_dim, size, clip.patch_size or 32)
        self.clip, self.head = clip, head

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.clip.encode_image(self.read(pictures), normalize=False).float()
        return self.head(embedding), F.normalize(embedding, dim=-1)

    def example(self, seed: int) -> tuple[Tensor, ...]:
        return super().example(seed)[:1]

    def axes(self) -> tuple[dict[int, Any], ...]:
        return super().axes()[:1]


class DenseGraph(PictureGraph):
    """s · cos(patch, row) `(B, K, h, w)` of a CLIP's dense map."""

    outputs = ("scores",)

    def __init__(self, clip: ClipModel, size: tuple[int, int] | None, scale: float = 40.0) -> None:
        super().__init__(clip.embed_dim, size, clip.patch_size or 32)
        self.clip, self.scale = clip, scale

    def forward(self, pictures: Tensor, text: Tensor) -> Tensor:
        patches = F.normalize(self.clip.features(self.read(pictures)).dense.float(), dim=1)
        return self.scale * torch.einsum("bdhw,kd->bkhw", patches, text)


class SegmentorGraph(PictureGraph):
    """Logits `(B, K, h, w)` of a text segmentor (LSeg, dense CLIP) at its decoder's size, a map a row."""

    outputs = ("scores",)

    def __init__(self, model: Any, size: tuple[int, int] | None, multiple: int) -> None:
        super().__init__(model.text.embed_dim, size, multiple)
        self.model = model

    def forward(self, pictures: Tensor, text: Tensor) -> Tensor:
        return self.model.label_logits(self.model.extract_feat(self.normalised(pictures)), text)

    def normalised(self, pictures: Tensor) -> Tensor:
        """As the model's preprocessor would give them: RGB."""
        images, prep = 255 * self.read(pictures), self.model.data_preprocessor
        return (images - prep.mean) / prep.std if normalises(prep) else images


class Frozen(Graph):
    """Another graph whose rows are fixed: without the input `text`."""

    def __init__(self, graph: Graph, rows: Tensor) -> None:
        super().__init__()
        self.inner, self.inputs, self.outputs = graph, graph.inputs[:-1], graph.outputs
        self.dim, self.classes = graph.dim, graph.classes
        self.register_buffer("text", rows.float().clone(), persistent=False)

    def forward(self, *inputs: Tensor) -> Any:
        return self.inner(*inputs, self.text)

    def example(self, seed: int) -> tuple[Tensor, ...]:
        return self.inner.example(seed)[:-1]

    def align(self, wanted: list[Tensor], found: list[Tensor]) -> tuple[list[Tensor], list[Tensor], int]:
        return self.inner.align(wanted, found)

    def axes(self) -> tuple[dict[int, Any], ...]:
        # One dict for `*inputs`, which torch.export takes for a single argument.
        return (self.inner.axes()[:-1],)  # type: ignore[return-value]
