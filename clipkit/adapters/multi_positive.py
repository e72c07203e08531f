"""Contrastive learning where several items of a batch belong together: soft targets instead of a diagonal."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ._blocks import check_chunk, gathered, sum_over_blocks
from .contrastive import prepare


class MultiPositiveLoss(nn.Module):
    """Contrastive loss with soft targets, both directions,

        L = 1/(2B) sum_i [ KL(q_i || softmax_j(s x_i.y_j)) + KL(q'_i || softmax_j(s y_i.x_j)) ],

    the mean over the batch. With `G_ij = 1` where items i and j belong together,

    - `targets='normalized'`: `q_ij = G_ij / sum_j G_ij`. Where `G` is the identity this is `ContrastiveLoss`. A row
      without positives adds nothing;
    - `targets='softmax'`: `q_i = softmax_j(10 G_ij)`, ActionCLIP (Wang et al. 2021, section 3.2 and its released
      KL loss). It leaves mass on negatives: 1.1 % of a row with one positive among 256.

    Gradients are those of the cross-entropy with the same targets; KL has its minimum at 0.

    Args:
        targets: see above.
        sharpness: the factor 10 of `'softmax'`.
        chunk, gather, normalize: as for `ContrastiveLoss`.

    Raises:
        ValueError: unknown `targets`.

    Examples:
        >>> videos, sentences, actions = torch.randn(6, 16), torch.randn(6, 16), torch.tensor([0, 0, 1, 2, 2, 2])
        >>> MultiPositiveLoss()(videos, sentences, 14.3, actions).shape
        torch.Size([])
    """

    def __init__(
        self,
        targets: str = "normalized",
        sharpness: float = 10.0,
        chunk: int | None = None,
        gather: bool = True,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        if targets not in ("normalized", "softmax"):
            raise ValueError(f"targets is 'normalized' or 'softmax', got {targets!r}")
        self.targets = targets
        self.sharpness = sharpness
        self.chunk = check_chunk(chunk)
        self.gather = gather
        self.normalize = normalize

    def forward(
        self, x: Tensor, y: Tensor, logit_scale: Tensor | float, x_ids: Tensor, y_ids: Tensor | None = None
    ) -> Tensor:
        """The loss, 0-d.

        Args:
            x: `(B, D)`.
            y: `(M, D)`; `M` may differ from `B`.
            logit_scale: the scale, not its logarithm.
            x_ids: `(B,)` integers; `x_i` and `y_j` belong together where `x_ids[i] == y_ids[j]`. Or `(B, M)`
                non-negative weights `G` themselves (one process only).
            y_ids: `(M,)`; `x_ids` where left out.
        """
        with torch.autocast(x.device.type, enabled=False):
            x, y, scale = prepare(x, y, logit_scale, self.normalize)
            if x_ids.ndim == 2:
                return self._with_matrix(x, y, scale, x_ids)
            y_ids = x_ids if y_ids is None else y_ids
            if x_ids.shape != x.shape[:1] or y_ids.shape != y.shape[:1]:
                raise ValueError(
                    f"ids {tuple(x_ids.shape)}, {tuple(y_ids.shape)} do not fit {len(x)} and {len(y)} rows"
                )
            (all_x, all_x_ids), x_weight, _ = gathered(self.gather, x, x_ids)
            (all_y, all_y_ids), y_weight, _ = gathered(self.gather, y, y_ids)
            forward = self._direction(x, x_ids, all_y, all_y_ids, scale)
            backward = self._direction(y, y_ids, all_x, all_x_ids, scale)
            return 0.5 * (x_weight * forward + y_weight * backward)

    def _direction(self, rows: Tensor, ids: Tensor, columns: Tensor, column_ids: Tensor, scale: Tensor) -> Tensor:
        def rows_loss(block: Tensor, block_ids: Tensor) -> Tensor:
            return self._divergence(block_ids[:, None] == column_ids, scale * block @ columns.T)

        return sum_over_blocks(rows_loss, self.chunk, (rows, ids))

    def _with_matrix(self, x: Tensor, y: Tensor, scale: Tensor, positives: Tensor) -> Tensor:
        if positives.shape != (len(x), len(y)):
            raise ValueError(f"weights of shape {tuple(positives.shape)} do not fit {len(x)} x {len(y)} pairs")
        (all_x,), weight, _ = gathered(self.gather, x)
        if len(all_x) != len(x):
            raise ValueError("a weight matrix covers one process only: give x_ids and y_ids, or gather=False")

        def rows_loss(columns: Tensor, block: Tensor, block_positives: Tensor) -> Tensor:
            return self._divergence(block_positives, scale * block @ columns.T)

        forward = sum_over_blocks(lambda b, p: rows_loss(y, b, p), self.chunk, (x, positives))
        backward = sum_over_blocks(lambda b, p: rows_loss(x, b, p), self.chunk, (y, positives.T))
        return 0.5 * (weight * forward + backward / max(len(y), 1))

    def _divergence(self, positives: Tensor, logits: Tensor) -> Tensor:
        """Sum over rows of KL(q || softmax(logits))."""
        weights = positives.to(logits.dtype)
        if self.targets == "softmax":
            q = (self.sharpness * weights).softmax(1)
        else:
            total = weights.sum(1, keepdim=True)
            q = weights / total.where(total > 0, 1.0)
        return (torch.xlogy(q, q) - q * logits.log_softmax(1)).sum()
