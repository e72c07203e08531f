"""Windows, scales, mirroring and resizing of logits as one linear map, so that a part of the result can be computed
without the rest. Bilinear interpolation acts on rows and columns separately: it is A L B^T with matrices A and B. The
placing of windows, the mean where they overlap, and mirroring are of the same kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor

from ._multi_scale import default_stride, scaled_images
from ._sliding import Size, _pair, window_starts


@dataclass
class Placed:
    """A map, and the share of the result that comes from it: `rows @ values[c] @ columns.T`, for each channel c.

    Attributes:
        values: (C, h, w): a picture that the network is to see, or the embedding of one.
        rows: (H, h), for a result of H rows.
        columns: (W, w).
    """

    values: Tensor
    rows: Tensor
    columns: Tensor


def resample(matrix: Tensor, size: int, align_corners: bool) -> Tensor:
    """(n, m) -> (size, m), by linear interpolation between the rows.

    torch itself interpolates, so that the weights are those of a full interpolation.
    """
    if len(matrix) == size:
        return matrix
    return F.interpolate(matrix.T[None], size=size, mode="linear", align_corners=align_corners)[0].T


def unit_matrix(length: int, like: Tensor) -> Tensor:
    """(length, length), in the dtype of `like`, at least float32."""
    dtype = like.dtype if like.dtype == torch.float64 else torch.float32
    return torch.eye(length, dtype=dtype, device=like.device)


def window_views(image: Tensor, window: Size, stride: Size) -> list[Placed]:
    """What `sliding_window` shows the network of one image (C, H, W), and where each prediction goes."""
    sizes = zip(image.shape[-2:], _pair(window, "window"), _pair(stride, "stride"))
    sides = [_windows(length, win, step, image) for length, win, step in sizes]
    return [
        Placed(image[:, y : y + rows.shape[1], x : x + columns.shape[1]], rows, columns)
        for y, rows in sides[0]
        for x, columns in sides[1]
    ]


def _windows(length: int, window: int, stride: int, like: Tensor) -> list[tuple[int, Tensor]]:
    """Along one side: first pixel of each window and its matrix (length, window), divided by the windows a pixel has.
    The number of windows over a pixel is the product of those along its sides."""
    starts = window_starts(length, window, stride)
    unit = unit_matrix(length, like)
    pieces = [unit[:, start : start + min(window, length)] for start in starts]
    count = torch.stack([piece.sum(1) for piece in pieces]).sum(0)
    return [(start, piece / count[:, None]) for start, piece in zip(starts, pieces)]


def multi_scale_views(
    image: Tensor,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    base_size: int | None = None,
    window: Size | None = None,
    stride: Size | None = None,
    pad_value: float | Sequence[float] = 0.0,
    align_corners: bool = True,
) -> list[Placed]:
    """What `multi_scale` shows the network of one image (C, H, W), and where each prediction goes. The defaults are the
    image as it is."""
    height, width = image.shape[-2:]
    out = []
    for scaled, padded in scaled_images(image[None], scales, base_size, window, stride, pad_value, align_corners):
        whole = (padded.shape[-2], padded.shape[-1])
        for view in window_views(padded[0], window or whole, default_stride(window, stride) if window else whole):
            rows = resample(view.rows[: scaled[0]], height, align_corners)
            columns = resample(view.columns[: scaled[1]], width, align_corners)
            out.append(Placed(view.values, rows, columns))
            if flip:
                out.append(Placed(view.values.flip(-1), rows, columns.flip(1)))
    return out


@torch.no_grad()
def embed_views(
    extract: Callable[[Tensor], Tensor], views: Sequence[Placed], align_corners: bool = False, batch_size: int = 8
) -> Iterator[Placed]:
    """The views' embeddings, of unit length, at the size that the network gives; logits will be interpolated.

    Args:
        extract: (N, C, h, w) -> (N, D, h', w').
        views: pictures of one image.
        align_corners: of the interpolation of logits from h' to h.
        batch_size: pictures in one call of `extract`.
    """
    for _, group in groupby(views, key=lambda view: view.values.shape):
        same = list(group)
        for start in range(0, len(same), batch_size):
            batch = same[start : start + batch_size]
            embeddings = unit_length(extract(torch.stack([view.values for view in batch])))
            sizes = zip(embeddings.shape[-2:], batch[0].values.shape[-2:])
            rows, columns = (resample(unit_matrix(small, embeddings), n, align_corners) for small, n in sizes)
            for view, embedding in zip(batch, embeddings):
                yield Placed(embedding, view.rows.to(rows) @ rows, view.columns.to(columns) @ columns)


def unit_length(embedding: Tensor) -> Tensor:
    """(B, D, h, w) normalised along D, in float32, or in float64 if it is that."""
    return F.normalize(embedding if embedding.dtype == torch.float64 else embedding.float(), dim=1)
