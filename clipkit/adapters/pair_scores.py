"""The contrastive objective over scores of pairs, for similarities that are no dot products of two embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from ._blocks import gathered
from ._gather import is_distributed
from .temporal import MeanPool

Score = Callable[..., Tensor]
Pick = Callable[..., Tensor]


def pair_contrastive(
    score: Score,
    texts: Sequence[Tensor],
    videos: Sequence[Tensor],
    owner: Tensor,
    caption: Tensor,
    video: Tensor,
    gather: bool = True,
    pick: Pick | None = None,
) -> Tensor:
    """Symmetric InfoNCE with several positives,

        L = 1/2 [ 1/N sum_i KL(q_i || softmax_j s_ij) + 1/M sum_j KL(q'_j || softmax_i s_ij) ],

    `q` uniform over the positives of a row (of a column). Text i and video j belong together where i is one of j's
    sentences in the batch, or reads the same as one. With one text a video and no equal texts this is CLIP4Clip's loss
    (Luo et al. 2021, section 3.4).

    Args:
        score: `score(*texts, *videos) -> (N, M)` logits.
        texts, videos: tensors whose first dimensions are N and M.
        owner: `(N,)` the id of the video that a text is of.
        caption: `(N,)` equal for texts that read the same.
        video: `(M,)` ids.
        gather: texts and videos of all ranks are each other's negatives. A rank scores its own texts with all videos
            and its own videos with all texts; the mean over ranks of losses and gradients is that of one process.
        pick: `pick(positive, *videos) -> (N, M)` bool, see `hard_negatives`: only these pairs are in the sums, and
            `score` is called with `wanted=`, them.
    """
    if is_distributed(gather):
        texts, videos = [_aligned(t) for t in texts], [_aligned(v) for v in videos]
    (*all_texts, all_owner, all_caption), text_weight, first_text = gathered(gather, *texts, owner, caption)
    (*all_videos, all_video), video_weight, first_video = gathered(gather, *videos, video)
    positive = positives(all_owner, all_caption, all_video)
    mine = slice(first_text, first_text + len(owner)), slice(first_video, first_video + len(video))
    wanted = None if pick is None else pick(positive, *all_videos)
    rows = score(*texts, *all_videos, **_only(wanted, mine[0]))
    columns = rows.T
    if is_distributed(gather):
        columns = score(*all_texts, *videos, **_only(wanted, (slice(None), mine[1]))).T
    of_texts = _divergence(rows, positive[mine[0]])
    of_videos = _divergence(columns, positive.T[mine[1]])
    return 0.5 * (text_weight * of_texts + video_weight * of_videos)


def positives(owner: Tensor, caption: Tensor, video: Tensor) -> Tensor:
    """`(N, M)` bool, see `pair_contrastive`."""
    own = owner[:, None] == video
    same = caption[:, None] == caption
    return (same.float() @ own.float()) > 0


def hard_negatives(positive: Tensor, frames: Tensor, mask: Tensor, hard: int = 1, random: int = 1) -> Tensor:
    """Pairs worth scoring where each is dear: all that belong together, the hardest others and some of the rest.

    A video is hard for a text where its mean frame is most like that of the text's own video (the first of several):
    a film played backwards comes before all others. Heads that pool can choose by their own cosines (ALBEF, Li et al.
    2021, section 3.2); the mean of frozen frames needs no head, and does not move while one trains.

    Args:
        positive: `(N, M)` bool.
        frames: `(M, F, D)`.
        mask: `(M, F)`.
        hard, random: negatives a text, of each kind.

    Returns:
        `(N, M)` bool, True for positives too.

    Raises:
        ValueError: a negative number, or none at all.
    """
    if min(hard, random) < 0 or hard + random == 0:
        raise ValueError(f"hard and random are numbers of negatives, one at least in all, got {hard} and {random}")
    # In bfloat16 a film's reverse and a film that looks like it would be equally near.
    with torch.no_grad(), torch.autocast(frames.device.type, enabled=False):
        mean = MeanPool()(frames.float(), mask)
        near = (mean @ mean.T)[positive.int().argmax(1)]
        wanted = positive | _best(near.masked_fill(positive, -torch.inf), hard)
        return wanted | _best(torch.rand_like(near).masked_fill(wanted, -torch.inf), random)


def _best(scores: Tensor, count: int) -> Tensor:
    """True at the `count` highest finite scores of each row."""
    best = scores.topk(min(count, scores.shape[1]), dim=1)
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, best.indices, best.values.isfinite())


def _only(wanted: Tensor | None, part: Any) -> dict[str, Tensor]:
    return {} if wanted is None else {"wanted": wanted[part]}


def _divergence(logits: Tensor, positive: Tensor) -> Tensor:
    """Sum over rows of KL(q || softmax(logits)), in float32 or wider."""
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits.float() if logits.dtype != torch.float64 else logits
        q = positive.to(logits.dtype)
        q = q / q.sum(1, keepdim=True).clamp(min=1)
        # Pairs that were left out have minus infinity, and zero times that is no number; rows without a positive add 0.
        logits = logits.masked_fill(~positive.any(1, keepdim=True), 0)
        return (torch.xlogy(q, q) - q * logits.log_softmax(1).masked_fill(~positive, 0)).sum()


def _aligned(tensor: Tensor) -> Tensor:
    """Padded along dimension 1 (frames or words) to the longest of all ranks; a mask is padded with False."""
    if tensor.ndim < 2:
        return tensor
    longest = torch.tensor(tensor.shape[1], device=tensor.device)
    dist.all_reduce(longest, dist.ReduceOp.MAX)
    behind = int(longest) - tensor.shape[1]
    return tensor if behind == 0 else F.pad(tensor, (0, 0) * (tensor.ndim - 2) + (0, behind))
