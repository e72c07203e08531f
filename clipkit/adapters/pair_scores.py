"""The contrastive objective over scores of pairs, for similarities that are no dot products of two embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from ._blocks import gathered
from ._gather import is_distributed

Score = Callable[..., Tensor]


def pair_contrastive(
    score: Score,
    texts: Sequence[Tensor],
    videos: Sequence[Tensor],
    owner: Tensor,
    caption: Tensor,
    video: Tensor,
    gather: bool = True,
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
    """
    if is_distributed(gather):
        texts, videos = [_aligned(t) for t in texts], [_aligned(v) for v in videos]
    (*all_texts, all_owner, all_caption), text_weight, first_text = gathered(gather, *texts, owner, caption)
    (*all_videos, all_video), video_weight, first_video = gathered(gather, *videos, video)
    positive = positives(all_owner, all_caption, all_video)
    rows = score(*texts, *all_videos)
    columns = score(*all_texts, *videos).T if is_distributed(gather) else rows.T
    of_texts = _divergence(rows, positive[first_text : first_text + len(owner)])
    of_videos = _divergence(columns, positive.T[first_video : first_video + len(video)])
    return 0.5 * (text_weight * of_texts + video_weight * of_videos)


def positives(owner: Tensor, caption: Tensor, video: Tensor) -> Tensor:
    """`(N, M)` bool, see `pair_contrastive`."""
    own = owner[:, None] == video
    same = caption[:, None] == caption
    return (same.float() @ own.float()) > 0


def _divergence(logits: Tensor, positive: Tensor) -> Tensor:
    """Sum over rows of KL(q || softmax(logits)), in float32 or wider."""
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits.float() if logits.dtype != torch.float64 else logits
        q = positive.to(logits.dtype)
        q = q / q.sum(1, keepdim=True).clamp(min=1)
        return (torch.xlogy(q, q) - q * logits.log_softmax(1)).sum()


def _aligned(tensor: Tensor) -> Tensor:
    """Padded along dimension 1 (frames or words) to the longest of all ranks; a mask is padded with False."""
    if tensor.ndim < 2:
        return tensor
    longest = torch.tensor(tensor.shape[1], device=tensor.device)
    dist.all_reduce(longest, dist.ReduceOp.MAX)
    behind = int(longest) - tensor.shape[1]
    return tensor if behind == 0 else F.pad(tensor, (0, 0) * (tensor.ndim - 2) + (0, behind))
