"""Bidirectional cross-attention between an image's places and a text's tokens (GLIP, Li et al., CVPR 2022,
arXiv:2112.03857, section 3.2, eq. 4-6)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGEST = 50_000.0  # logits are clamped to this, so that half precision never overflows


class BiFuse(nn.Module):
    """Image and text read each other once: with v0 = LN(v), l0 = LN(l) and one affinity a for both directions,

    `v = v0 + g_v * O_v softmax_l(a) V_l l0` and `l = l0 + g_l * O_l softmax_v(a^T) V_v v0`,
    `a = (Q v0)(K l0)^T / sqrt(head width)`. The residual starts from the **normed** input, as in the authors' release.

    Args:
        vision_dim, text_dim: widths of the two.
        dim: width of the attention, over all heads.
        heads: must divide `dim`.
        scale_init: of the layer scales `g_v`, `g_l`; the release has 1 / number of blocks.
        dropout: of the attention's weights.

    Raises:
        ValueError: heads that do not divide the width.
    """

    def __init__(
        self, vision_dim: int, text_dim: int, dim: int, heads: int = 8, scale_init: float = 1 / 6, dropout: float = 0.1
    ):
        super().__init__()
        if dim % heads:
            raise ValueError(f"BiFuse: {heads} heads do not divide a width of {dim}")
        self.heads = heads
        self.norm_v, self.norm_l = nn.LayerNorm(vision_dim), nn.LayerNorm(text_dim)
        self.query, self.value_v = nn.Linear(vision_dim, dim), nn.Linear(vision_dim, dim)
        self.key, self.value_l = nn.Linear(text_dim, dim), nn.Linear(text_dim, dim)
        self.out_v, self.out_l = nn.Linear(dim, vision_dim), nn.Linear(dim, text_dim)
        for layer in (self.query, self.key, self.value_v, self.value_l, self.out_v, self.out_l):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.scale_v = nn.Parameter(torch.full((vision_dim,), scale_init))
        self.scale_l = nn.Parameter(torch.full((text_dim,), scale_init))
        self.drop = nn.Dropout(dropout)

    def forward(self, vision: Tensor, text: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """`vision` (B, N, C), all levels' places in one row, and `text` (B, L, W) -> the same shapes. Tokens whose
        `mask` (B, L) is False are not read; every row needs one that is."""
        v, l = self.norm_v(vision), self.norm_l(text)  # noqa: E741  (the paper's names)
        query, key = self._split(self.query(v)), self._split(self.key(l))
        affinity = (query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)).clamp(-LARGEST, LARGEST)  # (B, h, N, L)
        to_vision = self.drop(affinity.masked_fill(~mask[:, None, None], -torch.inf).softmax(-1))
        to_text = self.drop(affinity.softmax(-2)).transpose(-1, -2)  # not of the transposed: strided reads cost more
        vision = v + self.scale_v * self.out_v(_join(to_vision @ self._split(self.value_l(l))))
        text = l + self.scale_l * self.out_l(_join(to_text @ self._split(self.value_v(v))))
        return vision, text

    def _split(self, x: Tensor) -> Tensor:
        """(B, n, heads * d) -> (B, heads, n, d)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _join(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)
