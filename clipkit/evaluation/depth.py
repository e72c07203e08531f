"""Depth in metres against what was measured: the errors by which NYU Depth v2 is judged (Eigen et al., NeurIPS 2014),
and how well depths are ordered."""

from __future__ import annotations

import torch
from torch import Tensor

EIGEN = (45, 471, 46, 601)
"""First and last row, first and last column (ends excluded) of NYU's 480 × 640 pixels that are scored."""
DEPTHCLIP = (56, 472, 60, 604)
"""The window that DepthCLIP's released code cuts out and predicts. What EIGEN has outside of it, rows 45–55 and columns
46–59, it drops from the score without a word."""
LEAST, CAP = 1e-3, 10.0


def measured(truth: Tensor, least: float = LEAST, cap: float = CAP) -> Tensor:
    """Which pixels of `truth` (metres) count: those between `least` and `cap`; 0 and NaN stand for "not measured"."""
    return (truth > least) & (truth < cap)


def depth_errors(predicted: Tensor, truth: Tensor, least: float = LEAST, cap: float = CAP) -> dict[str, float]:
    """The errors of one picture, over its measured pixels, in float64.

    Args:
        predicted: metres, of the form of `truth`; brought between `least` and `cap`.
        truth: metres, see `measured`.

    Returns:
        `abs_rel` mean |p − t| / t, `rmse` in metres, `log10` mean |log10 p − log10 t|, and `delta1`, `delta2`,
        `delta3`: the share of pixels with max(p / t, t / p) < 1.25, 1.25², 1.25³. A data set's are the means over its
        pictures.

    Raises:
        ValueError: another form, no measured pixel, or a prediction that is not finite.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted is {tuple(predicted.shape)}, truth {tuple(truth.shape)}")
    valid = measured(truth, least, cap)
    p, t = predicted[valid].double().clamp(least, cap), truth[valid].double()
    if not len(t):
        raise ValueError(f"no pixel was measured between {least} and {cap} metres")
    if not torch.isfinite(predicted[valid]).all():
        raise ValueError("a predicted depth is not finite")
    ratio = torch.maximum(p / t, t / p)
    errors = {
        "abs_rel": ((p - t).abs() / t).mean(),
        "rmse": ((p - t) ** 2).mean().sqrt(),
        "log10": (p.log10() - t.log10()).abs().mean(),
        **{f"delta{i}": (ratio < 1.25**i).double().mean() for i in (1, 2, 3)},
    }
    return {name: float(value) for name, value in errors.items()}


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's: the correlation of the ranks of two (N,) tensors, equal values sharing their mean rank; 0 where one
    of them is constant.

    Raises:
        ValueError: they are not as long as each other, or empty.
    """
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"two (N,) tensors with N > 0 are needed, got {tuple(a.shape)} and {tuple(b.shape)}")
    ranks = torch.stack([_ranks(a), _ranks(b)])
    ranks -= ranks.mean(1, keepdim=True)
    spread = ranks.norm(dim=1).prod()
    return float(ranks.prod(0).sum() / spread) if spread > 0 else 0.0


def _ranks(values: Tensor) -> Tensor:
    _, place, count = torch.unique(values, return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    return (last - (count - 1) / 2)[place]


def pairs_in_order(predicted: Tensor, truth: Tensor) -> tuple[int, int]:
    """Of all pairs of (N,) depths that truly differ, how many are predicted in their order, and how many there are."""
    (i, j), sign = torch.combinations(torch.arange(len(truth))).T, torch.sign
    true, said = sign(truth[i] - truth[j]), sign(predicted[i] - predicted[j])
    return int(((said == true) & (true != 0)).sum()), int((true != 0).sum())
