"""A layer in which a text's tokens read each other in both directions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TextLayer(nn.Module):
    """BERT's encoder layer (Devlin et al., NAACL 2019): attention and a GELU perceptron, each followed by a norm of the
    sum. Plain matrix products: on a CPU they are faster backwards than torch's fused attention at these lengths.

    Args:
        width: of the tokens.
        heads: must divide it.
        hidden: of the perceptron; default 4 * width.
        dropout: of the attention's weights and of both branches.
        eps: of the norms.

    Raises:
        ValueError: heads that do not divide the width.
    """

    def __init__(self, width: int, heads: int, hidden: int | None = None, dropout: float = 0.1, eps: float = 1e-12):
        super().__init__()
        if width % heads:
            raise ValueError(f"TextLayer: {heads} heads do not divide a width of {width}")
        hidden = 4 * width if hidden is None else hidden
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm_mlp = nn.LayerNorm(width, eps)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, attend: Tensor) -> Tensor:
        """`x` (B, L, W) -> (B, L, W). `attend` (B, L, L) bool, or (B, 1, L) where all rows agree: which tokens a token
        reads; a token that may read none reads nothing of meaning, and its result is for nobody."""
        query, key, value = (self._split(layer(x)) for layer in (self.query, self.key, self.value))
        logits = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        logits = logits.masked_fill(~attend[:, None], torch.finfo(logits.dtype).min)
        read = (self.drop(logits.softmax(-1)) @ value).transpose(1, 2).flatten(2)
        x = self.norm(x + self.drop(self.out(read)))
        return self.norm_mlp(x + self.drop(self.down(F.gelu(self.up(x)))))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
