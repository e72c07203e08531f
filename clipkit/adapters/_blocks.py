"""Sums of a per-row loss over blocks of rows, each recomputed in the backward pass: memory O(chunk * columns)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ._gather import batch_sizes, gather_rows, is_distributed, layout


def sum_over_blocks(rows_loss: Callable[..., Tensor], chunk: int | None, rows: tuple[Tensor, ...]) -> Tensor:
    """`rows_loss(*rows)` where it is a sum over rows; `chunk` None computes all rows at once."""
    count = len(rows[0])
    if chunk is None or chunk >= count:
        return rows_loss(*rows)
    parts = [
        checkpoint(rows_loss, *[r[start : start + chunk] for r in rows], use_reentrant=False, preserve_rng_state=False)
        for start in range(0, count, chunk)
    ]
    return torch.stack(parts).sum()


def gathered(gather: bool, *tensors: Tensor) -> tuple[list[Tensor], float, int]:
    """All ranks' rows of each tensor, the weight of a sum over this rank's rows (see `_gather.Layout`), and the
    position of this rank's first row."""
    if not is_distributed(gather):
        where = layout(len(tensors[0]), None)
        return list(tensors), where.loss_weight, 0
    sizes = batch_sizes(tensors[0])
    where = layout(len(tensors[0]), sizes)
    return [gather_rows(tensor, sizes) for tensor in tensors], where.loss_weight, where.offset


def check_chunk(chunk: int | None) -> int | None:
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be a positive number of rows or None, got {chunk}")
    return chunk
