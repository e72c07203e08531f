"""Small transformer parts: attention in plain steps where that is faster, self and cross attention, pre-norm blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ d^-0.5) v for `(B, H, N, d)`; `mask` `(B, 1 or H, N or 1, M)` bool is True where a query may look.

    On a CPU with gradients it is computed step by step: the backward pass of torch's fused form takes as long as the
    rest of a block there.
    """
    if query.device.type == "cpu" and torch.is_grad_enabled():
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
        return scores.softmax(-1) @ value
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _key_mask(mask: Tensor | None) -> Tensor | None:
    """`(B, M)` or `(B, N, M)` -> what `attention` takes."""
    if mask is None:
        return None
    return mask[:, None, None] if mask.ndim == 2 else mask[:, None]


class SelfAttention(nn.Module):
    """Attention over all tokens, queries, keys and values from one layer."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`x` (B, N, d) -> (B, N, d). `mask`: (B, N) bool, which tokens may be looked at, or (B, N, N), by which."""
        query, key, value = (_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        return self.proj(attention(query, key, value, _key_mask(mask)).transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """Attention of tokens to other tokens."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.v_proj, self.proj = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, other: Tensor, mask: Tensor | None = None) -> Tensor:
        """`x` (B, N, d), `other` (B, M, d) -> (B, N, d). `mask`: (B, M) or (B, N, M) bool."""
        query, key, value = (
            _heads(layer(t), self.heads) for layer, t in ((self.q_proj, x), (self.k_proj, other), (self.v_proj, other))
        )
        return self.proj(attention(query, key, value, _key_mask(mask)).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, width: int, hidden: int, out: int | None = None) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width if out is None else out)

    def forward(self, x: Tensor) -> Tensor:
        """`(…, width)` -> `(…, out)`."""
        return self.fc2(F.gelu(self.fc1(x)))


class TransformerBlock(nn.Module):
    """Pre-norm: x + attn(LN x), then x + mlp(LN x).

    Args:
        drop_path: probability that a sample skips a branch in training.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: float = 4.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = SelfAttention(dim, heads)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`x` (B, N, d) -> (B, N, d); `mask` as in `SelfAttention`."""
        x = x + self.drop_path(self.attn(self.norm1(x), mask))
        return x + self.drop_path(self.mlp(self.norm2(x)))
