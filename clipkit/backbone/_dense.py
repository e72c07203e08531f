"""Training-free dense variants: what the patch tokens become in the last block of a ViT.

With `n = ln_1(x)`, heads of width d, `s = d^-0.5`, and `A` the attention weights over all tokens, class token included:

    vanilla    y = x + out(softmax(q kᵀ s) v),                     z = y + mlp(ln_2 y)
    maskclip   y = x + out(v),                                     z = y + mlp(ln_2 y)   (Zhou et al. 2022, 3.2)
    sclip      y = x + out((softmax(q qᵀ s) + softmax(k kᵀ s)) v), z = y + mlp(ln_2 y)   (Wang et al. 2023, eq. 4)
    clearclip  z = out(softmax(q qᵀ s) v)                                                (Lan et al. 2024, 3)
    naclip     z = out(softmax(k kᵀ s + G) v)                                            (Hajimiri et al. 2024, 3)

`G[i, j] = exp(-|p_i - p_j|² / (2·5²))` on the patch grid, 0 for the class token's row and column. `out` includes the
block's layer scale. `z` then goes through the tower's final norm and projection. Where a tower turns queries and keys
(rotary positions) or normalises them, the variants use them as the tower does.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from clipkit.backbone._attention import OpenClipBlock, TimmBlock

VARIANTS = ("maskclip", "sclip", "clearclip", "naclip", "vanilla")
NACLIP_STD = 5.0
"""Standard deviation of NACLIP's Gaussian, in patches."""


def dense_tokens(
    variant: str,
    block: OpenClipBlock | TimmBlock,
    x: Tensor,
    normed: Tensor,
    grid: tuple[int, int],
    prefix: int,
    rope: Tensor | None,
) -> Tensor:
    """Patch tokens `(B, h·w, C)` after the last block, before final norm and projection.

    Args:
        variant: one of `VARIANTS` but 'vanilla' (that is the block itself).
        block: view of the last block.
        x: its input, `(B, prefix + h·w, C)`.
        normed: `block.normed(x)`, shared with the class token's path.
        grid: `(h, w)`.
        prefix: class and register tokens in front.
        rope: rotary table, or None.
    """
    if variant == "maskclip":
        (value,) = block.project(normed[:, prefix:], "v")
        return block.feedforward(x[:, prefix:] + block.merge(value))
    query, key, value = block.project(normed, "qkv", rope)
    if variant == "sclip":
        context = _self_self(query, value) + _self_self(key, value)
        return block.feedforward(x[:, prefix:] + block.merge(context[:, :, prefix:]))
    if variant == "clearclip":
        return block.merge(_self_self(query, value)[:, :, prefix:])
    if variant == "naclip":
        near = neighbourhood(grid, prefix, NACLIP_STD).to(key)
        return block.merge(_self_self(key, value, near)[:, :, prefix:])
    raise ValueError(f"dense={variant!r} is unknown; known: {', '.join(VARIANTS)}")


def _self_self(a: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.scaled_dot_product_attention(a, a, value, attn_mask=bias)


@lru_cache(maxsize=2)
def neighbourhood(grid: tuple[int, int], prefix: int, std: float) -> Tensor:
    """NACLIP's additive bias `(prefix + h·w, prefix + h·w)`, float64, on the CPU."""
    rows, columns = grid
    y = torch.arange(rows).repeat_interleave(columns).double()
    x = torch.arange(columns).repeat(rows).double()
    squared = (y[:, None] - y[None]) ** 2 + (x[:, None] - x[None]) ** 2
    return F.pad(torch.exp(-squared / (2 * std**2)), (prefix, 0, prefix, 0))
