"""Small transformer parts: attention in plain steps where that is faster, self and cross attention, pre-norm blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn


def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """softmax(q kᵀ d^-0.5 + bias) v for `(B, H, N, d)`; `mask` `(B, 1 or H, N or 1, M)` bool is True where a query may
    look; `bias` `(B, H, N, M)`.

    On a CPU with gradients it is computed step by step: the backward pass of torch's fused form takes as long as the
    rest of a block there.
    """
    if query.device.type == "cpu" and torch.is_grad_enabled():
        return _weights(query, key, mask, bias) @ value
    if bias is not None:
        mask = bias if mask is None else bias.masked_fill(~mask, -torch.inf)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def _weights(query: Tensor, key: Tensor, mask: Tensor | None, bias: Tensor | None) -> Tensor:
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    scores = scores if bias is None else scores + bias
    return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1)


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

    def forward(self, x: Tensor, other: Tensor, mask: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """`x` (B, N, d), `other` (B, M, d) -> (B, N, d). `mask`: (B, M) or (B, N, M) bool; `bias` (B, H, N, M) is added
        to the logits."""
        query, key = self._query_and_key(x, other)
        value = _heads(self.v_proj(other), self.heads)
        return self.proj(attention(query, key, value, _key_mask(mask), bias).transpose(1, 2).flatten(2))

    def weights(self, x: Tensor, other: Tensor, mask: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """What `forward` weighs `other` by, (B, H, N, M): each row has the sum 1."""
        return _weights(*self._query_and_key(x, other), _key_mask(mask), bias)

    def _query_and_key(self, x: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        return _heads(self.q_proj(x), self.heads), _heads(self.k_proj(other), self.heads)


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


class CrossBlock(nn.Module):
    """Pre-norm: x + attn(LN x), then x + cross(LN x, other), then x + mlp(LN x); `other` comes as it is."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn, self.cross = SelfAttention(dim, heads), CrossAttention(dim, heads)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(
        self,
        x: Tensor,
        other: Tensor,
        mask: Tensor | None = None,
        other_mask: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """`x` (B · Q, N, d), Q texts of each of B pictures in a row, `other` (B, M, d) -> (B · Q, N, d).

        Args:
            mask: (B · Q, N) bool, which tokens may be looked at; other_mask: (B, M).
            bias: (B, H, Q · N, M), added to the logits of `cross`.
        """
        x = x + self.attn(self.norm1(x), mask)
        x = x + self.cross(self.queries(x, other), other, other_mask, bias).view_as(x)
        return x + self.mlp(self.norm3(x))

    def queries(self, x: Tensor, other: Tensor) -> Tensor:
        """What `cross` is asked with after `attn`: the texts of a picture in one row, (B, Q · N, d)."""
        return self.norm2(x).view(len(other), -1, x.shape[-1])
