"""Attention of the last block, taken apart: what the dense variants need of a transformer block.

open_clip 3.x keeps `nn.MultiheadAttention` and 4.x its own class; both have `in_proj_weight`, `in_proj_bias`,
`out_proj` and `num_heads`, and only those are read here. timm keeps one fused `qkv` layer, EVA sometimes three.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from timm.layers import apply_rot_embed_cat
from torch import Tensor, cat, nn


def split_heads(x: Tensor, heads: int) -> Tensor:
    """`(B, N, H·d)` to `(B, H, N, d)`."""
    return x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """`(B, H, N, d)` to `(B, N, H·d)`."""
    return x.transpose(1, 2).flatten(2)


class OpenClipBlock:
    """View of open_clip's `ResidualAttentionBlock` (3.x and 4.x)."""

    def __init__(self, block: Any) -> None:
        self.block, self.attn = block, block.attn

    @staticmethod
    def readable(block: Any) -> bool:
        """Whether the block is plain pre-norm attention. The custom ones (query norms, head scales) are not."""
        attn = getattr(block, "attn", None)
        extras = (getattr(attn, name, None) for name in ("ln_q", "ln_k", "ln_inner", "logit_scale", "head_scale"))
        return getattr(attn, "in_proj_weight", None) is not None and all(
            extra is None or isinstance(extra, nn.Identity) for extra in extras
        )

    def normed(self, x: Tensor) -> Tensor:
        return self.block.ln_1(x)

    def project(self, n: Tensor, parts: str, rope: Tensor | None = None) -> list[Tensor]:
        """Queries, keys, values for each letter of `parts` (neighbours in 'qkv'), each `(B, H, N, d)`."""
        width = n.shape[-1]
        rows = slice("qkv".index(parts[0]) * width, ("qkv".index(parts[-1]) + 1) * width)
        bias = self.attn.in_proj_bias
        out = F.linear(n, self.attn.in_proj_weight[rows], None if bias is None else bias[rows])
        return [split_heads(piece, self.attn.num_heads) for piece in out.chunk(len(parts), dim=-1)]

    def merge(self, context: Tensor) -> Tensor:
        """Heads back to `(B, N, C)`, through the output projection and the block's layer scale."""
        out = self.attn.out_proj(merge_heads(context))
        if hasattr(self.block, "ln_attn"):
            out = self.block.ln_attn(out)
        return self.block.ls_1(out)

    def feedforward(self, x: Tensor) -> Tensor:
        """`x + ls_2(mlp(ln_2(x)))`."""
        return x + self.block.ls_2(self.block.mlp(self.block.ln_2(x)))


class TimmBlock:
    """View of timm's `Block`, `EvaBlock` and `EvaBlockPostNorm`."""

    def __init__(self, block: Any) -> None:
        self.block, self.attn = block, block.attn
        self.post_norm = type(block).__name__ == "EvaBlockPostNorm"

    @staticmethod
    def readable(block: Any) -> bool:
        """Whether block and attention are of the kinds that this view knows."""
        known_block = type(block).__name__ in ("Block", "EvaBlock", "EvaBlockPostNorm")
        attn = getattr(block, "attn", None)
        known_attention = type(attn).__name__ in ("Attention", "EvaAttention", "AttentionRope")
        groups = getattr(attn, "num_kv_groups", 1)
        return known_block and known_attention and groups == 1 and getattr(attn, "gate", None) is None

    def normed(self, x: Tensor) -> Tensor:
        return x if self.post_norm else self.block.norm1(x)

    def _linear(self, n: Tensor, part: str) -> Tensor:
        attn = self.attn
        if attn.qkv is None:
            return getattr(attn, f"{part}_proj")(n)
        index, width = "qkv".index(part), attn.qkv.out_features // 3
        bias = attn.qkv.bias
        if getattr(attn, "q_bias", None) is not None:  # EVA keeps its biases beside the fused layer, none for the keys
            bias = cat((attn.q_bias, attn.k_bias, attn.v_bias))
        rows = slice(index * width, (index + 1) * width)
        return F.linear(n, attn.qkv.weight[rows], None if bias is None else bias[rows])

    def project(self, n: Tensor, parts: str, rope: Tensor | None = None) -> list[Tensor]:
        """Queries, keys, values for each letter of `parts`; `rope` turns those of the patches, not of the prefix."""
        out = []
        for part in parts:
            piece = split_heads(self._linear(n, part), self.attn.num_heads)
            if part != "v":
                piece = getattr(self.attn, f"{part}_norm")(piece)
            if part != "v" and rope is not None:
                prefix = self.attn.num_prefix_tokens
                half = getattr(self.attn, "rotate_half", False)
                turned = apply_rot_embed_cat(piece[:, :, prefix:], rope, half=half).to(piece.dtype)
                piece = cat((piece[:, :, :prefix], turned), dim=2)
            out.append(piece)
        return out

    def merge(self, context: Tensor) -> Tensor:
        """Heads back to `(B, N, C)`, through inner norm, output projection, layer scale or post norm."""
        out = self.attn.proj_drop(self.attn.proj(self.attn.norm(merge_heads(context))))
        if self.post_norm:
            out = self.block.norm1(out)
        return self.block.drop_path1(_layer_scale(self.block, 1, out))

    def feedforward(self, x: Tensor) -> Tensor:
        """`x + ls2(mlp(norm2(x)))`, or `x + norm2(mlp(x))` for post norm."""
        block = self.block
        out = block.norm2(block.mlp(x)) if self.post_norm else _layer_scale(block, 2, block.mlp(block.norm2(x)))
        return x + block.drop_path2(out)


def _layer_scale(block: Any, number: int, x: Tensor) -> Tensor:
    if hasattr(block, f"ls{number}"):
        return getattr(block, f"ls{number}")(x)
    gamma = getattr(block, f"gamma_{number}", None)
    return x if gamma is None else gamma * x
