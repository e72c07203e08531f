"""The transformer block of CLIP with a choosable epsilon, taken apart where a caller needs only some of its tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MASKED = -1e6  # what CLIP4Clip adds to the scores of padded frames: exp() of it is 0, and never NaN as with -inf


class QuickGELU(nn.Module):
    """`x sigmoid(1.702 x)`, the activation of OpenAI's CLIP."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Attention(nn.Module):
    """Multi-head self-attention with the parameter names of `nn.MultiheadAttention`."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"{dim} dimensions cannot be shared among {heads} heads")
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def project(self, x: Tensor, parts: str) -> list[Tensor]:
        """Queries, keys, values for each letter of `parts` (neighbours), `(…, L, dim)` to `(…, heads, L, d)`."""
        dim = x.shape[-1]
        rows = slice("qkv".index(parts[0]) * dim, ("qkv".index(parts[-1]) + 1) * dim)
        out = F.linear(x, self.in_proj_weight[rows], self.in_proj_bias[rows])
        return [piece.unflatten(-1, (self.heads, -1)).transpose(-2, -3) for piece in out.chunk(len(parts), dim=-1)]

    def merge(self, context: Tensor) -> Tensor:
        """`(…, heads, L, d)` to `(…, L, dim)`, through the output projection."""
        return self.out_proj(context.transpose(-2, -3).flatten(-2))


class ResidualAttentionBlock(nn.Module):
    """CLIP's pre-norm block, `x + attention(ln_1(x))`, then `x + mlp(ln_2(x))`, with CLIP's parameter names.

    Args:
        dim: width of the tokens.
        heads: of the attention.
        eps: of the layer norms. CLIP's own is 1e-5, that of the blocks that CLIP4Clip and ActionCLIP add is 1e-12.
        quick_gelu: OpenAI's activation; False is the exact GELU of most open_clip models.

    The linear layers start at N(0, 0.02) with zero bias.
    """

    def __init__(self, dim: int, heads: int, eps: float = 1e-12, quick_gelu: bool = True) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, heads)
        self.ln_2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(dim, 4 * dim))
        self.mlp.add_module("gelu", QuickGELU() if quick_gelu else nn.GELU())
        self.mlp.add_module("c_proj", nn.Linear(4 * dim, dim))
        for layer in (self.attn.out_proj, *self.mlp):
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, mask: Tensor | None = None, tokens: int | None = None) -> Tensor:
        """`(B, L, dim)` to `(B, tokens, dim)`.

        Args:
            x: the tokens.
            mask: `(B, L)`, False where a token must not be attended to.
            tokens: how many leading tokens are wanted; default all. The others are read and not computed.
        """
        normed = self.ln_1(x)
        key, value = self.attn.project(normed, "kv")
        (query,) = self.attn.project(normed[:, :tokens], "q")
        bias = None if mask is None else additive(mask, query.dtype)[:, None, None]
        x = x[:, :tokens] + self.attn.merge(F.scaled_dot_product_attention(query, key, value, attn_mask=bias))
        return self.feedforward(x)

    def feedforward(self, x: Tensor) -> Tensor:
        """The second half, token by token."""
        return x + self.mlp(self.ln_2(x))


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where `mask` is True, `MASKED` (or half precision's lowest number) elsewhere."""
    lowest = max(MASKED, torch.finfo(dtype).min)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, lowest)


def copy_blocks(source: Iterable[Any], target: Iterable[ResidualAttentionBlock]) -> None:
    """Copies the weights of the first CLIP blocks (open_clip's or OpenAI's) into `target`.

    Raises:
        ValueError: too few blocks, another width, or blocks of another kind.
    """
    theirs_all, mine_all = list(source), list(target)
    if len(theirs_all) < len(mine_all):
        raise ValueError(f"{len(mine_all)} layers cannot start as the {len(theirs_all)} text blocks of this CLIP")
    for mine, theirs in zip(mine_all, theirs_all):
        wanted, given = mine.state_dict(), theirs.state_dict()
        for key, value in wanted.items():
            if key not in given or given[key].shape != value.shape:
                found = tuple(given[key].shape) if key in given else "nothing"
                raise ValueError(
                    f"this CLIP's text blocks do not fit: {key} needs {tuple(value.shape)} and has {found}"
                )
        mine.load_state_dict({key: given[key] for key in wanted})
