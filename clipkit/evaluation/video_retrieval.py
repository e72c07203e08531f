"""Retrieval with a temporal head, without computing anything twice.

The nested loop over batches of texts and batches of videos, as released code has it, runs the temporal module once for
each pair of batches. Here each video passes it once; then heads that pool need one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .retrieval import RetrievalRanks, retrieval_ranks

_WHOLE = 2**27  # scores; a matrix of at most 512 MiB is kept where a pair is dear


def retrieve(
    head: Any,
    text: Tensor,
    frames: Tensor,
    mask: Tensor | None = None,
    owner: Tensor | None = None,
    *,
    text_mask: Tensor | None = None,
    rerank: int | None = None,
    block: int = 1024,
    tolerance: float = 1e-6,
) -> RetrievalRanks:
    """Ranks of N sentences and M videos by a head of `clipkit.adapters` (`MeanPool`, `TightTransformer`, …).

    Args:
        head: has `similarity(text, frames, mask) -> (N, M)`, and where `head.pools`, `head(frames, mask) -> (M, D)` of
            unit length. It is put into eval mode meanwhile.
        text: `(N, D)`, or `(N, L, D)` tokens with `text_mask` `(N, L)` for token-wise heads.
        frames: `(M, F, D)` frame embeddings.
        mask: `(M, F)` bool, False where padded.
        owner: `(N,)` the video that each text is of; default: text i is of video i.
        rerank: the head scores only pairs that the mean of the frames puts among the best `rerank` videos of a text or
            texts of a video; the others come after them, in the mean's order. None scores all.
        block: sentences at a time.
        tolerance: scores that differ by no more are tied, see `retrieval_ranks`.

    Raises:
        ValueError: shapes that do not fit, or a rerank below 1.
    """
    was_training = head.training
    head.eval()
    try:
        with torch.no_grad():
            rows = score_rows(head, text, frames, mask, text_mask=text_mask, rerank=rerank, block=block)
            default = torch.arange(len(text)) if owner is None else owner
            return retrieval_ranks(rows, default, len(frames), block=block, tolerance=tolerance)
    finally:
        head.train(was_training)


def score_rows(
    head: Any,
    text: Tensor,
    frames: Tensor,
    mask: Tensor | None = None,
    *,
    text_mask: Tensor | None = None,
    rerank: int | None = None,
    block: int = 1024,
) -> Callable[[Tensor], Tensor]:
    """The function of text indices `(n,)` that gives their scores `(n, M)`; arguments as for `retrieve`. What depends
    on the videos alone is computed here, once."""
    if rerank is not None and rerank < 1:
        raise ValueError(f"rerank must be at least 1, got {rerank}")
    device = next((p.device for p in head.parameters()), text.device)
    text, frames = text.to(device), frames.to(device)
    mask = torch.ones(frames.shape[:2], dtype=torch.bool, device=device) if mask is None else mask.to(device)
    extra = {} if text_mask is None else {"text_mask": text_mask.to(device)}
    if head.pools:
        return _product(text, torch.cat([head(f, m) for f, m in zip(frames.split(block), mask.split(block))]))
    if rerank is not None and rerank < len(frames):
        scores = _reranked(head, text, frames, mask, extra, rerank)
        return lambda index: scores[index.to(device)]

    def rows(index: Tensor) -> Tensor:
        index = index.to(device)
        return head.similarity(text[index], frames, mask, **{key: value[index] for key, value in extra.items()})

    if len(text) * len(frames) <= _WHOLE:
        whole = head.similarity(text, frames, mask, **extra)
        return lambda index: whole[index.to(device)]
    return rows


def _product(text: Tensor, videos: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda index: F.normalize(text[index.to(text.device)], dim=-1) @ videos.T


def _reranked(head: Any, text: Tensor, frames: Tensor, mask: Tensor, extra: dict[str, Tensor], count: int) -> Tensor:
    """`(N, M)`: the head's scores for the best pairs of either direction, the mean's order below all of them."""
    pooled = (F.normalize(frames, dim=-1) * mask[..., None]).sum(1)
    sentence = text if text.ndim == 2 else _mean_token(text, extra.get("text_mask"))
    scores = F.normalize(sentence, dim=-1) @ F.normalize(pooled, dim=-1).T
    chosen = torch.zeros_like(scores, dtype=torch.bool)
    chosen.scatter_(1, scores.topk(min(count, scores.shape[1]), dim=1).indices, True)
    chosen.scatter_(0, scores.topk(min(count, scores.shape[0]), dim=0).indices, True)
    found = torch.zeros_like(scores)
    for n in range(len(text)):
        videos = chosen[n].nonzero()[:, 0]
        own = {key: value[n : n + 1] for key, value in extra.items()}
        found[n, videos] = head.similarity(text[n : n + 1], frames[videos], mask[videos], **own)[0].to(found.dtype)
    # Cosines lie in [-1, 1]: 3 below the lowest score of the head, none of them reaches it.
    return found.where(chosen, scores - 3 + found[chosen].min())


def _mean_token(tokens: Tensor, mask: Tensor | None) -> Tensor:
    unit = F.normalize(tokens, dim=-1)
    return (unit if mask is None else unit * mask[..., None]).sum(1)
