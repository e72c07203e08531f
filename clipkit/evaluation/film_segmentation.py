"""Which sentence a film is at, second by second: segmentation without a label of any frame (VideoCLIP, Xu et al. 2021,
section 5.2, there on COIN and CrossTask)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .video_retrieval import score_rows


@torch.no_grad()
def segment_film(
    head: Any,
    text: Tensor,
    frames: Tensor,
    times: Tensor,
    *,
    text_mask: Tensor | None = None,
    window: float = 4.0,
    most: int = 32,
) -> Tensor:
    """The sentence that each frame of a film is at: the one whose score with a window around the frame is highest.

    Args:
        head: a temporal head, see `clipkit.evaluation.retrieve`; it is put into eval mode meanwhile.
        text: `(N, D)` the film's sentences, or `(N, L, D)` with `text_mask` `(N, L)`.
        frames: `(F, D)` embeddings of the film's frames.
        times: `(F,)` their seconds, in order.
        window: seconds.
        most: frames of a window, the nearest to its middle.

    Returns: `(F,)` int64 indices of sentences.

    Raises:
        ValueError: a window without length.
    """
    if window <= 0 or most < 1:
        raise ValueError(f"window and most must be positive, got {window} and {most}")
    distance = (times[None] - times[:, None]).abs()
    count = min(most, int((distance <= window / 2).sum(1).max()))
    near = distance.topk(count, dim=1, largest=False).indices.sort(1).values
    mask = distance.gather(1, near) <= window / 2
    order = mask.int().argsort(dim=1, descending=True, stable=True)  # padding comes last, as heads expect it
    near, mask = near.gather(1, order), mask.gather(1, order)
    was_training = head.training
    head.eval()
    try:
        scores = score_rows(head, text, frames[near], mask, text_mask=text_mask)(torch.arange(len(text)))
    finally:
        head.train(was_training)
    return scores.argmax(0).cpu()


def frame_accuracy(found: Tensor, times: Tensor, spans: Sequence[tuple[float, float]], texts: Sequence[str]) -> Tensor:
    """Which frames are named right, `(F',)` bool, of those in which something is told; equal sentences are one.

    Args:
        found: `(F,)` of `segment_film`.
        times: `(F,)` seconds.
        spans: of each sentence its first and last second.
        texts: the sentences.
    """
    right = []
    for guess, second in zip(found.tolist(), times.tolist()):
        told = {text for (start, end), text in zip(spans, texts) if start <= second < end}
        if told:
            right.append(texts[guess] in told)
    return torch.tensor(right, dtype=torch.bool)
