"""GroupViT's grouping block: image tokens are assigned to group tokens, each to one (Xu et al., CVPR 2022,
arXiv:2202.11094, section 3.1)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._transformer import CrossAttention, Mlp

MAX_COSINE_SCALE = 50.0


def straight_through(logits: Tensor, noise: bool) -> Tensor:
    """One-hot over dim 1 of the largest logit, with the gradient of the softmax; `noise` adds Gumbel(0, 1) first."""
    if noise:
        logits = logits - torch.empty_like(logits).exponential_().log()
    soft = logits.softmax(1)
    hard = torch.zeros_like(soft).scatter_(1, soft.argmax(1, keepdim=True), 1.0)
    return hard - soft.detach() + soft


class AssignAttention(nn.Module):
    """Each token goes to one group; a group takes the mean of its tokens.

    With A the one-hot assignment of `(Wq g)(Wk x)ᵀ d^-0.5` over the groups, a group becomes
    Wo (A / (sum_n A + 1)) Wv x. In training A is drawn (Gumbel, straight-through), otherwise it is the largest.

    Args:
        cosine: not the paper's: the logits are `s cos(Wq g, Wk x)` with a learned s, 10 at first and at most 50, so
            that noise does not decide at the start.
    """

    def __init__(self, dim: int, cosine: bool = False) -> None:
        super().__init__()
        self.q_proj, self.k_proj = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.v_proj, self.proj = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0))) if cosine else None

    def forward(self, groups: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """`groups` (B, G, d), `tokens` (B, N, d) -> (B, G, d) and the soft assignment (B, G, N), without noise."""
        query, key = self.q_proj(groups), self.k_proj(tokens)
        if self.log_scale is None:
            logits = query @ key.transpose(1, 2) * query.shape[-1] ** -0.5
        else:
            scale = self.log_scale.exp().clamp(max=MAX_COSINE_SCALE)
            logits = scale * F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).transpose(1, 2)
        # In half precision the noise would not be finite.
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        hard = straight_through(logits, noise=self.training)
        weights = hard / (hard.sum(2, keepdim=True) + 1.0)
        return self.proj(weights @ self.v_proj(tokens)), logits.softmax(1)


class PostNormCrossBlock(nn.Module):
    """x + attn(x, other), then x + mlp(LN x), then LN."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attn = CrossAttention(dim, heads)
        self.norm2, self.norm_post = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """`x` (B, N, d), `other` (B, M, d) -> (B, N, d)."""
        x = x + self.attn(x, other)
        return self.norm_post(x + self.mlp(self.norm2(x)))


class TokenMixer(Mlp):
    """An MLP over the number of tokens: `(B, tokens, d)` -> `(B, out, d)`."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class GroupingBlock(nn.Module):
    """Group tokens become groups, and groups take in the image tokens that are assigned to them.

    The tokens are mixed from `tokens` to `groups`, look at the image (`PostNormCrossBlock`), take their share of it
    (`AssignAttention`) with themselves added, and go through an MLP.
    """

    def __init__(self, dim: int, heads: int, tokens: int, groups: int, cosine: bool = False) -> None:
        super().__init__()
        self.norm_tokens, self.norm_post_tokens = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.norm_x, self.norm_new_x = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mlp_inter = TokenMixer(tokens, dim // 2, groups)
        self.pre_assign_attn = PostNormCrossBlock(dim, heads)
        self.assign = AssignAttention(dim, cosine)
        self.mlp_channels = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """`x` (B, N, d) and `tokens` (B, S, d) -> groups (B, G, d) and the soft assignment (B, G, N)."""
        x = self.norm_x(x)
        groups = self.norm_post_tokens(self.mlp_inter(self.norm_tokens(tokens)))
        groups = self.pre_assign_attn(groups, x)
        taken, soft = self.assign(groups, x)
        taken = taken + groups
        return taken + self.mlp_channels(self.norm_new_x(taken)), soft
