"""Classification of every pixel among any number of labels, without holding a logit for each label and pixel.

Labels are taken in chunks. The logits of a chunk exist at the network's own resolution; each tile of the result is
interpolated from them, updates what is carried along (the best labels and the sum of exponentials, as in the online
softmax of https://arxiv.org/abs/1805.02867), and is forgotten. Memory: the embeddings, the result, one chunk of small
maps and one tile of large ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clipkit.nn import SpatialRegularisation

from ._placed import Placed, resample, unit_length, unit_matrix

CHUNK_ELEMENTS = 2**25  # of a chunk's small maps: 128 MiB in float32


@dataclass
class Classification:
    """The best labels of every pixel; `k` of them, best first.

    Attributes:
        indices: (..., k, H, W) int64, classes.
        scores: (..., k, H, W), their logits.
        probability: (..., H, W), softmax probability of the best among all classes.
    """

    indices: Tensor
    scores: Tensor
    probability: Tensor

    @property
    def labels(self) -> Tensor:
        """(..., H, W), the best class: the argmax."""
        return self.indices.select(-3, 0)


def classify_stream(
    embedding: Tensor,
    text: Tensor,
    size: tuple[int, int],
    scale: Tensor | float,
    *,
    row_class: Tensor | None = None,
    head: SpatialRegularisation | None = None,
    top_k: int = 1,
    label_chunk: int | None = None,
    tile: int = 64,
    align_corners: bool = False,
) -> Classification:
    """Classifies pixels by scale * cos(embedding, text), through `head`, joined by class, interpolated to `size`.

    Equal to doing so with all labels and pixels at once, up to rounding; memory does not grow with R.

    Args:
        embedding: (B, D, h, w), of any length; computed in float32 unless it is float64.
        text: (R, D), rows of unit length.
        size: (H, W) of the result.
        scale: factor of the cosines.
        row_class: (R,), the class of each row; a class's logit is the maximum over its rows. Default: 0..R-1.
        head: LSeg's block between cosines and interpolation; each row is a label to it. A bottleneck of depth d
            compares all labels d times, which costs d more passes over the small maps.
        top_k: how many classes to return for a pixel, at most those that there are.
        label_chunk: rows at a time, more if one class has more; default: as many as make 128 MiB of small maps.
        tile: side of the square of the result that is interpolated at a time, in pixels.
        align_corners: of the interpolation.

    Returns:
        A `Classification` with leading B.

    Raises:
        ValueError: sizes that do not fit.
    """
    unit = unit_length(embedding)
    sides = zip(embedding.shape[-2:], size)
    rows, columns = (resample(unit_matrix(small, unit), n, align_corners) for small, n in sides)
    options = dict(row_class=row_class, head=head, top_k=top_k, label_chunk=label_chunk, tile=tile)
    done = [
        classify_placed([Placed(one, rows, columns)], text, scale, **options)  # type: ignore[arg-type]
        for one in unit
    ]
    return Classification(
        torch.stack([one.indices for one in done]),
        torch.stack([one.scores for one in done]),
        torch.stack([one.probability for one in done]),
    )


@torch.no_grad()
def classify_placed(
    parts: Sequence[Placed],
    text: Tensor,
    scale: Tensor | float,
    *,
    row_class: Tensor | None = None,
    head: SpatialRegularisation | None = None,
    top_k: int = 1,
    label_chunk: int | None = None,
    tile: int = 64,
) -> Classification:
    """`classify_stream` of one image whose logits are the sum over several embeddings (windows, scales, mirrorings).

    Args:
        parts: unit embeddings (D, h, w) and where their logits go, from `embed_views`.
        text, scale, row_class, head, top_k, label_chunk, tile: see `classify_stream`.

    Returns:
        A `Classification` without a batch dimension.

    Raises:
        ValueError: no parts, or sizes that do not fit.
    """
    if not parts:
        raise ValueError("classify_placed needs at least one part")
    first = parts[0].values
    if row_class is None:
        row_class = torch.arange(len(text), device=first.device)
    if text.shape != (len(row_class), first.shape[0]):
        raise ValueError(f"text {tuple(text.shape)} does not fit {len(row_class)} rows of width {first.shape[0]}")
    text = text.to(first)
    if label_chunk is None:
        label_chunk = CHUNK_ELEMENTS // sum(part.values[0].numel() for part in parts)
    chunks = list(_chunks(row_class.to(first.device), max(label_chunk, 1)))
    tiles = _Tiles(parts, tile)
    found = _Best(min(top_k, sum(len(chunk.classes) for chunk in chunks)), tiles.size, like=first)
    with torch.autocast(first.device.type, enabled=False):
        small = _SmallLogits(parts, text, scale, head, chunks)
        for chunk in chunks:
            maps = [_join(logits, chunk.sizes) for logits in small.of(chunk)]
            for place, logits in tiles.interpolate(maps):
                found.update(place, logits, chunk.classes)
    return found.result()


@dataclass
class _Chunk:
    """Some rows, whole classes at a time: which, the classes' numbers, and how many rows each class has."""

    rows: Tensor
    classes: Tensor
    sizes: list[int]


def _chunks(row_class: Tensor, limit: int) -> Iterator[_Chunk]:
    order = row_class.argsort(stable=True)
    classes, counts = row_class[order].unique_consecutive(return_counts=True)
    begin = first = rows = 0
    sizes = counts.tolist()
    for index, size in enumerate([*sizes, limit + 1]):
        if rows and rows + size > limit:
            yield _Chunk(order[first : first + rows], classes[begin:index], sizes[begin:index])
            begin, first, rows = index, first + rows, 0
        rows += size


def _join(logits: Tensor, sizes: list[int]) -> Tensor:
    """(rows, h, w) -> (classes, h, w), the maximum over each class's rows."""
    if len(sizes) == len(logits):
        return logits
    return torch.stack([rows.amax(0) for rows in logits.split(sizes)])


class _SmallLogits:
    """Logits of a chunk at the network's resolution, one (rows, h, w) a part."""

    def __init__(
        self,
        parts: Sequence[Placed],
        text: Tensor,
        scale: Tensor | float,
        head: SpatialRegularisation | None,
        chunks: Sequence[_Chunk],
    ):
        self.parts, self.text, self.scale, self.head = parts, text, scale, head
        # The maximum over all labels before each application of a bottleneck, (1, h, w) each. The second needs the
        # first, and logits are not kept: so they are computed anew for every application.
        self.tops: list[list[Tensor]] = [[] for _ in parts]
        for level in range(head.depth if head is not None and head.kind == "bottleneck" else 0):
            tops: list[Tensor] = []
            for chunk in chunks:
                new = [logits.amax(0, keepdim=True) for logits in self.of(chunk, level)]
                tops = [torch.maximum(old, top) for old, top in zip(tops, new)] if tops else new
            for known, top in zip(self.tops, tops):
                known.append(top)

    def of(self, chunk: _Chunk, applications: int | None = None) -> Iterator[Tensor]:
        """After so many applications of the head; default: all."""
        for part, tops in zip(self.parts, self.tops):
            d, h, w = part.values.shape
            logits = (self.scale * (self.text[chunk.rows] @ part.values.reshape(d, h * w))).reshape(-1, h, w)
            if self.head is not None:
                depth = self.head.depth
                for i in range(depth if applications is None else applications):
                    top = tops[i][None] if tops else None
                    logits = self.head.apply_once(logits[None], top, last=i == depth - 1)[0]
            yield logits


class _Tiles:
    """Squares of the result, and for each the rows and columns of the parts that it is interpolated from."""

    def __init__(self, parts: Sequence[Placed], side: int):
        self.size = (parts[0].rows.shape[0], parts[0].columns.shape[0])
        starts = [range(0, n, side) for n in self.size]
        self.rows = [[_band(part.rows[y : y + side]) for part in parts] for y in starts[0]]
        self.columns = [[_band(part.columns[x : x + side]) for part in parts] for x in starts[1]]
        self.places = [[slice(start, start + side) for start in side_starts] for side_starts in starts]

    def interpolate(self, maps: Sequence[Tensor]) -> Iterator[tuple[tuple[slice, slice], Tensor]]:
        """Every square with its logits (classes, at most side, at most side)."""
        for y, rows in zip(self.places[0], self.rows):
            for x, columns in zip(self.places[1], self.columns):
                total: Tensor | None = None
                for values, row_band, column_band in zip(maps, rows, columns):
                    if row_band is None or column_band is None:
                        continue
                    cut = values[:, row_band[0], column_band[0]]
                    piece = row_band[1] @ (cut @ column_band[1].T)
                    total = piece if total is None else total.add_(piece)
                assert total is not None
                yield (y, x), total


def _band(matrix: Tensor) -> tuple[slice, Tensor] | None:
    """The columns between the first and the last that are not zero, and the matrix there; None if all are."""
    used = matrix.ne(0).any(0).nonzero()[:, 0].tolist()
    if not used:
        return None
    columns = slice(used[0], used[-1] + 1)
    return columns, matrix[:, columns].contiguous()


class _Best:
    """What is known of each pixel after some chunks: its best k classes, and the sum of exp(logit - best logit)."""

    def __init__(self, k: int, size: tuple[int, int], like: Tensor):
        self.k = k
        self.scores = torch.full((k, *size), -torch.inf, dtype=like.dtype, device=like.device)
        self.indices = torch.zeros((k, *size), dtype=torch.int64, device=like.device)
        self.sum = torch.zeros(size, dtype=like.dtype, device=like.device)

    def update(self, place: tuple[slice, slice], logits: Tensor, classes: Tensor) -> None:
        """`logits` (classes, h, w) of more classes at one place; they are overwritten."""
        scores, indices, total = (
            self.scores[(slice(None), *place)],
            self.indices[(slice(None), *place)],
            self.sum[place],
        )
        new, which = _largest(logits, self.k)
        joined, names = torch.cat([scores, new]), torch.cat([indices, classes[which]])
        best, pick = _largest(joined, self.k)
        total.mul_((scores[0] - best[0]).exp_()).add_(logits.sub_(best[0]).exp_().sum(0))
        scores.copy_(best)
        indices.copy_(names.gather(0, pick))

    def result(self) -> Classification:
        # exp(best - logsumexp) = 1 / sum of exp(logit - best)
        return Classification(self.indices, self.scores, self.sum.reciprocal())


def _largest(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The largest min(k, len(x)) values along the first dimension, largest first, and their places."""
    found = x.max(0, keepdim=True) if k == 1 else x.topk(min(k, len(x)), dim=0)
    return found.values, found.indices
