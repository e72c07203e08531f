"""A temporal head for a CLIP, by name: its width, its activation and, where they fit, its text blocks as the start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from clipkit.backbone import ClipModel
from clipkit.errors import did_you_mean

from ._clip_blocks import QuickGELU, ResidualAttentionBlock, copy_blocks
from .temporal import MeanPool, SeqLSTM, SeqTransformer
from .temporal_text import MaskedMean, QueryScoring, WeightedTokenInteraction
from .temporal_tight import TightTransformer

HEADS: dict[str, type[nn.Module]] = {
    "meanP": MeanPool,
    "seqLSTM": SeqLSTM,
    "seqTransf": SeqTransformer,
    "tightTransf": TightTransformer,
    "query_scoring": QueryScoring,
    "wti": WeightedTokenInteraction,
    "masked_mean": MaskedMean,
}


def temporal_head(kind: str, clip: ClipModel, *, from_text: bool | None = None, **options: Any) -> nn.Module:
    """Builds one of `HEADS`.

    Args:
        kind: 'meanP', 'seqLSTM', 'seqTransf', 'tightTransf' (CLIP4Clip's names), 'query_scoring', 'wti' or
            'masked_mean'.
        clip: whose frame embeddings it will see.
        from_text: whether the transformers start as the first text blocks and text positions of `clip`, with their
            number of heads and activation, as CLIP4Clip does; None: where the text tower is as wide as the embedding.
        options: of the head's constructor, `dim` excepted.

    Raises:
        ValueError: unknown name, or a text tower that does not fit.
    """
    if kind not in HEADS:
        raise ValueError(f"no temporal head is called {kind!r}: {did_you_mean(kind, HEADS)}")
    if kind in ("meanP", "query_scoring", "masked_mean"):
        return HEADS[kind](**options)
    if kind not in ("seqTransf", "tightTransf"):
        return HEADS[kind](clip.embed_dim, **options)
    if from_text is None:
        from_text = clip.has_text_blocks and clip.text_positions.shape[1] == clip.embed_dim
    if not from_text:
        return HEADS[kind](clip.embed_dim, **options)
    table = clip.text_positions
    block: Any = clip.text_blocks[0]
    if table.shape[1] != clip.embed_dim:
        raise ValueError(
            f"from_text: the text tower of {clip.name!r} is {table.shape[1]} wide and its embedding {clip.embed_dim}: "
            "leave from_text out to start afresh"
        )
    options.setdefault("max_frames", len(table) - (kind == "tightTransf"))
    options.setdefault("heads", block.attn.num_heads)
    options.setdefault("quick_gelu", type(block.mlp.gelu).__name__ == QuickGELU.__name__)
    head: Any = HEADS[kind](clip.embed_dim, **options)
    start_from_text(clip, head.blocks, head.positions)
    return head


@torch.no_grad()
def start_from_text(clip: ClipModel, blocks: Iterable[ResidualAttentionBlock], positions: Tensor) -> None:
    """Copies the first text blocks and positions of `clip` into a temporal transformer.

    Raises:
        ValueError: widths differ, or there are fewer of them than wanted.
    """
    copy_blocks(clip.text_blocks, blocks)
    table = clip.text_positions
    if len(positions) > len(table):
        raise ValueError(f"max_frames: {clip.name!r} has {len(table)} text positions, not {len(positions)}")
    positions.copy_(table[: len(positions)])
