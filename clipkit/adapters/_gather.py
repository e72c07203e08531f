"""All-gather along dimension 0 with gradients, for batches of any size on each rank."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor


class Layout(NamedTuple):
    """Where this rank's rows lie in the gathered batch.

    `loss_weight` times a *sum* over this rank's rows is a per-rank loss whose mean over ranks is the mean over the
    global batch; so the gradients that DistributedDataParallel averages are those of one process with all rows.
    """

    offset: int
    total: int
    loss_weight: float


def is_distributed(gather: bool) -> bool:
    """True where gathering is asked for and a process group of more than one rank exists."""
    return gather and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def batch_sizes(tensor: Tensor) -> list[int]:
    """Rows held by each rank. A mismatch would otherwise hang or scramble the collective."""
    mine = torch.tensor([tensor.shape[0]], device=tensor.device)
    sizes = [torch.zeros_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, mine)
    return [int(size) for size in sizes]


def layout(batch: int, sizes: list[int] | None) -> Layout:
    """`sizes` None means a single process."""
    if sizes is None:
        return Layout(0, batch, 1.0 / max(batch, 1))
    total = sum(sizes)
    return Layout(sum(sizes[: dist.get_rank()]), total, len(sizes) / max(total, 1))


def gather_rows(tensor: Tensor, sizes: list[int]) -> Tensor:
    """Rows of every rank in rank order. The gradient of a rank's rows is the *sum* over ranks of their gradients."""
    return _GatherRows.apply(tensor, sizes)


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        padded = tensor.new_zeros(max(sizes), *tensor.shape[1:])
        padded[: tensor.shape[0]] = tensor
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes)])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        # all_reduce and not reduce_scatter: every backend has it, and ragged batches need no padding.
        grad = grad.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(grad)
        rank = dist.get_rank()
        return grad.narrow(0, sum(ctx.sizes[:rank]), ctx.sizes[rank]), None
