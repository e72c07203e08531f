"""Scores of classification: top-k, accuracy a class, confusion."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class ClassificationScores:
    """What `classification_scores` counts, in percent where it is a share.

    Attributes:
        top1, topk: images whose first guess, or one of whose first k guesses, is right.
        mean_per_class: the mean of `per_class` over the classes that have images.
        per_class: `(K,)` float64, top-1 over the images of a class; NaN without any.
        confusion: `(K, K + 1)` int64, images by class and first guess; the last column holds guesses that are no class.
    """

    top1: float
    topk: float
    mean_per_class: float
    per_class: Tensor
    confusion: Tensor


def classification_scores(ranked: Tensor, labels: Tensor, num_classes: int) -> ClassificationScores:
    """Counts guesses.

    Args:
        ranked: `(N, k)` int64, each image's guesses, best first; what is outside 0..`num_classes`-1 is no class (a
            distractor) and never right.
        labels: `(N,)` int64 in 0..`num_classes`-1.

    Raises:
        ValueError: no images, other shapes, or a label that is no class.
    """
    if ranked.ndim != 2 or len(ranked) != len(labels) or ranked.shape[1] < 1:
        raise ValueError(f"guesses {tuple(ranked.shape)} do not fit {tuple(labels.shape)} labels")
    if len(labels) == 0:
        raise ValueError("accuracy of no images is undefined")
    if int(labels.min()) < 0 or int(labels.max()) >= num_classes:
        raise ValueError(f"labels must lie in 0..{num_classes - 1}")
    right = ranked == labels[:, None]
    known = (ranked[:, 0] >= 0) & (ranked[:, 0] < num_classes)
    guess = ranked[:, 0].where(known, torch.tensor(num_classes, device=ranked.device))
    pairs = labels * (num_classes + 1) + guess
    confusion = pairs.bincount(minlength=num_classes * (num_classes + 1)).view(num_classes, num_classes + 1)
    counts = confusion.sum(1)
    per_class = 100.0 * confusion.diagonal().double() / counts.double().where(counts > 0, torch.nan)
    return ClassificationScores(
        100.0 * right[:, 0].double().mean().item(),
        100.0 * right.any(1).double().mean().item(),
        per_class.nanmean().item(),
        per_class,
        confusion,
    )


def rank_classes(
    embeddings: Tensor, rows: Tensor, row_class: Tensor | None = None, k: int = 5, chunk: int = 4096
) -> Tensor:
    """The `k` best classes of each image by dot product, `(N, k)` int64, best first; all classes where there are fewer.

    Args:
        embeddings: `(N, D)`; `rows`: `(R, D)`, a classifier's.
        row_class: `(R,)` int64, the class of each row; a class's score is its best row's. Default: row i is
            class i.
        chunk: images at a time.

    Raises:
        ValueError: scores that are not finite.
    """
    count = len(rows) if row_class is None else int(row_class.max()) + 1
    found = []
    for part in embeddings.split(chunk):
        scores = part @ rows.T
        if not scores.isfinite().all():
            raise ValueError("scores are not finite numbers: the embeddings or the classifier hold NaN or infinity")
        if row_class is not None:
            best = scores.new_full((len(part), count), -torch.inf)
            scores = best.scatter_reduce(1, row_class.to(scores.device).expand(len(part), -1), scores, "amax")
        found.append(scores.topk(min(k, count), dim=1).indices)
    return torch.cat(found)
