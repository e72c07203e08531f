"""Symmetric InfoNCE without the (B, B) matrix: memory O(B * chunk), equal to the plain form in value and gradients.

Let `S = s x y^T`. The forward pass walks over blocks of rows; a row's log-sum-exp is complete within its block, the
columns' are carried along as (maximum, sum of exponentials), which is the online softmax of
https://arxiv.org/abs/1805.02867. The backward pass recomputes each block once and uses it for both directions,

    dL/dS_ij = w (exp(S_ij - row_i) + exp(S_ij - col_j) - 2 [i = j]),

so a step costs four products of B*B*D (one forward, three backward); two separate cross-entropies cost six.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


def chunked_infonce(
    x: Tensor, y: Tensor, scale: Tensor, chunk: int, offset: int = 0, weight: float = 1.0, combine: bool = False
) -> Tensor:
    """`weight / 2 * sum_i (logsumexp_j S_ij + logsumexp_j S_ji - 2 S_ii)`.

    Args:
        x: `(b, D)`, the rows of this rank.
        y: `(N, D)`, all columns; row `i` of `x` belongs to column `offset + i`.
        scale: 0-d, multiplies the dot products.
        chunk: rows a block.
        combine: sum the columns' exponentials over the ranks of the default process group. Every rank must then
            scale its loss by the same factor before `backward`, as a weighted sum of losses does.
    """
    return _ChunkedInfoNCE.apply(x, y, scale, chunk, offset, weight, combine)


class _ChunkedInfoNCE(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, scale: Tensor, chunk: int, offset: int, weight: float, combine: bool
    ) -> Tensor:
        b, n = x.shape[0], y.shape[0]
        row_lse = x.new_empty(b)
        col_max = x.new_full((n,), -torch.inf)
        col_sum = x.new_zeros(n)
        # Two buffers serve all blocks: fresh ones would be page-faulted in anew for each.
        block, work = x.new_empty(min(chunk, b), n), x.new_empty(min(chunk, b), n)
        scaled = x * scale
        for start in range(0, b, chunk):
            rows = scaled[start : start + chunk]
            s, e = block[: len(rows)], work[: len(rows)]
            torch.mm(rows, y.T, out=s)
            row_max = s.amax(1, keepdim=True)
            torch.sub(s, row_max, out=e).exp_()
            row_lse[start : start + chunk] = e.sum(1).log_().add_(row_max[:, 0])
            new_max = torch.maximum(col_max, s.amax(0))
            col_sum.mul_((col_max - new_max).exp_()).add_(s.sub_(new_max).exp_().sum(0))
            col_max = new_max
        col_lse = col_max + col_sum.log_()
        if combine:
            parts = [torch.empty_like(col_lse) for _ in range(dist.get_world_size())]
            dist.all_gather(parts, col_lse)
            col_lse = torch.logsumexp(torch.stack(parts), 0)
        ctx.save_for_backward(x, y, scale, row_lse, col_lse)
        ctx.chunk, ctx.offset, ctx.weight = chunk, offset, weight
        diagonal = (scaled * y[offset : offset + b]).sum(1)
        return 0.5 * weight * (row_lse + col_lse[offset : offset + b] - 2 * diagonal).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y, scale, row_lse, col_lse = ctx.saved_tensors
        chunk, offset, b, n = ctx.chunk, ctx.offset, x.shape[0], y.shape[0]
        grad_x, grad_y = torch.empty_like(x), torch.zeros_like(y)
        block, work = x.new_empty(min(chunk, b), n), x.new_empty(min(chunk, b), n)
        for start in range(0, b, chunk):
            rows = x[start : start + chunk]
            s, g = block[: len(rows)], work[: len(rows)]
            torch.mm(rows * scale, y.T, out=s)
            torch.sub(s, row_lse[start : start + chunk, None], out=g).exp_()
            g.add_(s.sub_(col_lse).exp_())
            g.diagonal(offset + start).sub_(2.0)
            torch.mm(g, y, out=grad_x[start : start + chunk])
            grad_y.addmm_(g.T, rows)
        factor = 0.5 * ctx.weight * grad
        # sum_ij G_ij S_ij / s = sum_i x_i . (G y)_i: the scale's gradient comes free.
        grad_scale = factor * (x * grad_x).sum()
        return grad_x.mul_(factor * scale), grad_y.mul_(factor * scale), grad_scale, None, None, None, None
