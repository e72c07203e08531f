"""SigLIP's pairwise sigmoid objective."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._blocks import check_chunk, gathered, sum_over_blocks
from .contrastive import prepare


class SigmoidLoss(nn.Module):
    """Every pair is a binary decision of its own,

        L = -1/B sum_ij log sigmoid(z_ij (s x_i.y_j + b)),   z_ij = 1 for positives, -1 otherwise,

    summed over columns, mean over rows (Zhai et al. 2023, section 3.1 and algorithm 1). The paper starts at `s = 10`
    (`LogitScale(init=10)`) and `b = -10`, so that the many negatives do not swamp the first steps.

    Args:
        chunk, gather, normalize: as for `ContrastiveLoss`.

    Examples:
        >>> SigmoidLoss()(torch.randn(8, 16), torch.randn(8, 16), logit_scale=10.0, logit_bias=-10.0).shape
        torch.Size([])
    """

    def __init__(self, chunk: int | None = None, gather: bool = True, normalize: bool = True) -> None:
        super().__init__()
        self.chunk = check_chunk(chunk)
        self.gather = gather
        self.normalize = normalize

    def forward(
        self,
        x: Tensor,
        y: Tensor,
        logit_scale: Tensor | float,
        logit_bias: Tensor | float,
        ids: Tensor | None = None,
    ) -> Tensor:
        """The loss, 0-d.

        Args:
            x, y: `(B, D)`; row i of one is paired with row i of the other.
            logit_scale: the scale, not its logarithm.
            logit_bias: 0-d.
            ids: `(B,)` integers; rows with equal ids are positives too. Left out, only the pairs are.
        """
        if x.ndim != 2 or x.shape != y.shape:
            raise ValueError(f"pairs need two (B, D) tensors of one shape, got {tuple(x.shape)} and {tuple(y.shape)}")
        with torch.autocast(x.device.type, enabled=False):
            x, y, scale = prepare(x, y, logit_scale, self.normalize)
            (all_y,), weight, offset = gathered(self.gather, y)
            if ids is None:
                column_ids = torch.arange(len(all_y), device=x.device)
                ids = column_ids[offset : offset + len(x)]
            else:
                (column_ids,), _, _ = gathered(self.gather, ids)

            def rows_loss(rows: Tensor, row_ids: Tensor) -> Tensor:
                logits = scale * rows @ all_y.T + logit_bias
                # -log sigmoid(t) = softplus(-t); for a positive t = logit, for a negative t = -logit.
                return F.softplus(torch.where(row_ids[:, None] == column_ids, -logits, logits)).sum()

            return weight * sum_over_blocks(rows_loss, self.chunk, (x, ids))
