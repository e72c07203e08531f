"""Near-duplicates between two image sets, and what they do to a score (Radford et al. 2021, section 5)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Duplicates(NamedTuple):
    """Pairs that look alike, most alike first.

    Attributes:
        pairs: `(P, 2)` int64, indices into the first and the second set.
        cosine: `(P,)` of their embeddings; correlation: `(P,)` of their thumbnails.
    """

    pairs: Tensor
    cosine: Tensor
    correlation: Tensor


class Overlap(NamedTuple):
    """What duplicates do to a test set's accuracy, in percent.

    Attributes:
        contamination: share of the images that have a duplicate in the training set.
        all, clean, dirty: accuracy over all images, those without, and those with one (NaN without any).
        gain: all - clean, the paper's measure of inflated accuracy.
        interval: Clopper-Pearson's 99.5 % interval of `dirty`.
        p: probability of at least so many right among the duplicates if they were as easy as the clean ones.
    """

    contamination: float
    all: float
    clean: float
    dirty: float
    gain: float
    interval: tuple[float, float]
    p: float


def near_duplicates(
    first: Tensor,
    second: Tensor,
    thumbnails: tuple[Tensor, Tensor],
    cosine: float = 0.9,
    correlation: float = 0.9,
    chunk: int = 1024,
) -> Duplicates:
    """Pairs whose embeddings have at least this cosine **and** whose thumbnails at least this correlation.

    The embedding finds candidates whatever the size and compression; but two pictures of the same kind of thing have
    nearly one embedding too, which their thumbnails tell apart. Crops of less than most of a picture are not found.

    Args:
        first: `(N, D)`, second: `(M, D)` embeddings of any length.
        thumbnails: `(N, …)` and `(M, …)` small grey pictures.
        chunk: rows of the first set at a time; memory is O(chunk · M).
    """
    second = F.normalize(second.float(), dim=-1)
    small = tuple(_standardised(part) for part in thumbnails)
    pairs, cosines = [], []
    for start in range(0, len(first), chunk):
        scores = F.normalize(first[start : start + chunk].float(), dim=-1) @ second.T
        found = (scores >= cosine).nonzero()
        cosines.append(scores[found[:, 0], found[:, 1]])
        pairs.append(found + torch.tensor([start, 0], device=found.device))
    both, alike = torch.cat(pairs), torch.cat(cosines)
    same = torch.cat([(small[0][part[:, 0]] * small[1][part[:, 1]]).sum(1) for part in both.split(2**18)])
    order = same.argsort(descending=True)
    order = order[same[order] >= correlation]
    return Duplicates(both[order], alike[order], same[order])


def overlap(right: Tensor, duplicate: Tensor) -> Overlap:
    """How much a test set's accuracy owes to images that training had.

    Args:
        right: `(N,)` bool, whether the model is right; duplicate: `(N,)` bool, whether the image has a duplicate.

    Raises:
        ValueError: no images, or none that is clean.
    """
    right, duplicate = right.bool(), duplicate.bool()
    if len(right) == 0 or bool(duplicate.all()):
        raise ValueError("overlap needs images without a duplicate: there is nothing to compare with")
    count, hits = int(duplicate.sum()), int(right[duplicate].sum())
    everything, clean = right.double().mean().item(), right[~duplicate].double().mean().item()
    return Overlap(
        100 * duplicate.double().mean().item(),
        100 * everything,
        100 * clean,
        100 * hits / count if count else math.nan,
        100 * (everything - clean),
        tuple(100 * bound for bound in clopper_pearson(hits, count)),  # type: ignore[arg-type]
        binomial_tail(hits, count, clean),
    )


def binomial_tail(hits: int, count: int, p: float) -> float:
    """P(X >= hits) of X ~ Binomial(count, p)."""
    if hits <= 0:
        return 1.0
    if p in (0.0, 1.0):
        return p
    logs = [
        math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
        + k * math.log(p) + (count - k) * math.log1p(-p)
        for k in range(hits, count + 1)
    ]  # fmt: skip
    return min(math.fsum(map(math.exp, logs)), 1.0)


def clopper_pearson(hits: int, count: int, confidence: float = 0.995) -> tuple[float, float]:
    """The exact interval of a share: the p at which so many hits, or so few, have probability (1 - confidence) / 2."""
    if count == 0:
        return 0.0, 1.0
    level = (1 - confidence) / 2
    low = 0.0 if hits == 0 else _root(lambda p: binomial_tail(hits, count, p) - level)
    high = 1.0 if hits == count else _root(lambda p: level - (1 - binomial_tail(hits + 1, count, p)))
    return low, high


def _root(rising) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def _standardised(pictures: Tensor) -> Tensor:
    """Rows whose products are correlations; two pictures of one colour each, which have none, correlate by 1."""
    flat = pictures.flatten(1).float()
    centred = flat - flat.mean(1, keepdim=True)
    plain = (flat == flat[:, :1]).all(1, keepdim=True)
    return torch.cat([F.normalize(centred.masked_fill(plain, 0), dim=1), plain.float()], 1)
