"""The best of all combinations of view weights, from the logits of each view (PointCLIP's released search)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

_NUMBERS = 1 << 20  # scores at once: what a cache holds (with 16 times as many it takes 7 times as long)


class Found(NamedTuple):
    """`weights` `(V,)` of the first of the best combinations, and its accuracy in percent."""

    weights: Tensor
    accuracy: float


def search_view_weights(logits: Tensor, labels: Tensor, values: Sequence[float] = (0.25, 0.5, 0.75, 1.0)) -> Found:
    """Tries every combination of `values`, one for each view.

    The original multiplies all features by the text anew for each combination, and takes the labels of the test set.
    The logits of a weighted sum are the weighted sum of the logits: here the features are multiplied once, before, and
    the labels should be those of training clouds.

    Args:
        logits: `(N, V, K)` of each view.
        labels: `(N,)`.

    Raises:
        ValueError: no clouds, or shapes that do not fit.
    """
    count, views, classes = logits.shape
    if count == 0 or labels.shape != (count,):
        raise ValueError(f"logits {tuple(logits.shape)} do not fit {tuple(labels.shape)} labels of one cloud or more")
    # How much each class is ahead of the right one: (V, K · N). Right is a cloud where no class is ahead.
    ahead = logits - logits.gather(2, labels.view(-1, 1, 1).expand(-1, views, 1))
    ahead = ahead.permute(1, 2, 0).reshape(views, -1)
    combinations = torch.tensor(list(product(values, repeat=views)), dtype=logits.dtype, device=logits.device)
    right = torch.cat(
        [
            ((part @ ahead).view(-1, classes, count).amax(1) <= 0).sum(1)
            for part in combinations.split(max(1, _NUMBERS // ahead.shape[1]))
        ]
    )
    best = int((right == right.max()).nonzero()[0, 0])
    return Found(combinations[best], 100 * int(right[best]) / count)
