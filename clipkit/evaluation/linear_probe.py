"""Linear probes on frozen features: logistic regression as in CLIP's paper, and ridge regression in closed form.

Torch's L-BFGS and not scikit-learn's, so that the same lines run on a GPU, where ImageNet's 1.3 million features lie,
and nothing more is installed; the tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

STEPS_PER_DECADE = 8
GRID = (-48, 48)  # of the sweep, in eighths of a decade: C from 1e-6 to 1e6
RIDGE_PENALTIES = tuple(2.0**power for power in range(-10, 21))


class LinearProbe(NamedTuple):
    """A linear classifier.

    Attributes:
        weight: `(K, D)`; bias: `(K,)`.
        C: inverse strength of the penalty (logistic), or lambda (ridge).
    """

    weight: Tensor
    bias: Tensor
    C: float

    def scores(self, features: Tensor) -> Tensor:
        """`(N, D)` -> `(N, K)`."""
        return features.to(self.weight) @ self.weight.T + self.bias

    def accuracy(self, features: Tensor, labels: Tensor) -> float:
        """Top-1 in percent.

        Raises:
            ValueError: no features.
        """
        if len(features) == 0:
            raise ValueError(
                "no examples to judge a probe by: the validation set is empty, as where each class has one example; "
                "give more of them, or validation data"
            )
        return 100.0 * (self.scores(features).argmax(1) == labels.to(self.weight.device)).double().mean().item()


class Sweep(NamedTuple):
    """What a sweep found: the best `probe` by `accuracy` (%) on the validation set, and C -> accuracy of all tried."""

    probe: LinearProbe
    accuracy: float
    tried: dict[float, float]


def logistic_probe(
    features: Tensor,
    labels: Tensor,
    C: float,
    num_classes: int | None = None,
    *,
    start: LinearProbe | None = None,
    max_iter: int = 1000,
    tolerance: float = 1e-6,
) -> LinearProbe:
    """Multinomial logistic regression by L-BFGS (Radford et al. 2021, appendix A.3),

        min over W, b of  1/2 |W|^2 + C sum_i [ logsumexp_k z_ik - z_i,y_i ],   z_i = W x_i + b,

    scikit-learn's objective, in float64: the bias is not penalised, and two classes are one logit (their C counts as
    there). Features are taken as they are; CLIP's paper does not normalise them.

    Args:
        features: `(N, D)`; labels: `(N,)` int64.
        num_classes: K; default: the largest label and one.
        start: where to begin, e.g. the probe of another C; default zero.
        max_iter: iterations at most (1,000 in the paper).
        tolerance: of the largest component of the mean loss's gradient.

    Raises:
        ValueError: no features, C not positive, or features that are not finite.
    """
    if len(features) == 0 or len(features) != len(labels):
        raise ValueError(f"a probe needs features and as many labels, got {len(features)} and {len(labels)}")
    if C <= 0:
        raise ValueError(f"C must be positive, got {C}")
    if not features.isfinite().all():
        raise ValueError("features are not finite numbers")
    x, y = features.double(), labels.to(features.device)
    count = int(y.max()) + 1 if num_classes is None else num_classes
    weight = x.new_zeros(count, x.shape[1]) if start is None else start.weight.to(x).clone()
    bias = x.new_zeros(count) if start is None else start.bias.to(x).clone()
    # With W = (w, -w) / 2 a softmax over two classes is scikit-learn's single logit w, and |W|^2 = |w|^2 / 2.
    penalty = (2 if count == 2 else 1) / (2 * C * len(x))
    parameters = [weight.requires_grad_(), bias.requires_grad_()]
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=max_iter, max_eval=2 * max_iter, tolerance_grad=tolerance, tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(x @ weight.T + bias, y) + penalty * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return LinearProbe(weight.detach(), bias.detach(), C)


def sweep_logistic(
    train: Tensor, train_labels: Tensor, val: Tensor, val_labels: Tensor, num_classes: int | None = None
) -> Sweep:
    """The C that is best on validation data, by the search of CLIP's paper (appendix A.3): 7 values from 1e-6 to 1e6,
    then twice the values half as far to both sides of the best, until neighbours are 1/8 decade apart; 15 fits or less
    instead of 97. Of equally good ones the smallest C. Test data has no place here."""
    count = int(train_labels.max()) + 1 if num_classes is None else num_classes
    found: dict[int, LinearProbe] = {}
    scores: dict[int, float] = {}

    def fit(step: int) -> None:
        if step in found or not GRID[0] <= step <= GRID[1]:
            return
        near = min(found, key=lambda other: abs(other - step), default=None)
        start = None if near is None else found[near]
        found[step] = logistic_probe(
            train, train_labels, 10.0 ** (step / STEPS_PER_DECADE), count, start=start, tolerance=1e-5
        )
        scores[step] = found[step].accuracy(val, val_labels)

    span = 16
    for step in range(GRID[0], GRID[1] + 1, span):
        fit(step)
    while span > 1:
        span //= 2
        best = min(scores, key=lambda step: (-scores[step], step))
        for step in (best - span, best + span):
            fit(step)
    best = min(scores, key=lambda step: (-scores[step], step))
    return Sweep(found[best], scores[best], {found[step].C: scores[step] for step in sorted(scores)})


def ridge_probes(
    features: Tensor, labels: Tensor, penalties: Sequence[float] = RIDGE_PENALTIES, num_classes: int | None = None
) -> list[LinearProbe]:
    """Least squares on targets 1 (the class) and -1 (others),

        min over W, b of  sum_i |W s(x_i) + b - t_i|^2 + lambda |W|^2,   s(x) = (x - mean) / std,

    for every lambda from one eigendecomposition, of the D x D or the N x N Gram matrix, whichever is smaller: seconds
    on a CPU. The idea is big_vision's `fewshot_lsr`; here the bias is exact and not penalised.

    Args:
        features: `(N, D)`; labels: `(N,)` int64.
        penalties: lambda, each positive.

    Returns:
        one probe a penalty, in float64, to be used on features as they are; its `C` is lambda.
    """
    if min(penalties, default=0) <= 0:
        raise ValueError("ridge needs penalties, all positive")
    x, y = features.double(), labels.to(features.device)
    count = int(y.max()) + 1 if num_classes is None else num_classes
    mean = x.mean(0)
    spread = x.std(0, correction=0).clamp(min=1e-12)
    x = (x - mean) / spread
    targets = 2.0 * F.one_hot(y, count).double() - 1.0
    level = targets.mean(0)
    targets = targets - level
    solve = _primal(x, targets) if x.shape[0] >= x.shape[1] else _dual(x, targets)
    probes = []
    for penalty in penalties:
        weight = solve(penalty).T / spread  # of features as they are
        probes.append(LinearProbe(weight, level - weight @ mean, float(penalty)))
    return probes


def sweep_ridge(
    train: Tensor, train_labels: Tensor, val: Tensor, val_labels: Tensor, num_classes: int | None = None
) -> Sweep:
    """The ridge probe whose lambda is best on validation data; of equally good ones the largest."""
    probes = ridge_probes(train, train_labels, num_classes=num_classes)
    tried = {probe.C: probe.accuracy(val, val_labels) for probe in probes}
    best = max(probes, key=lambda probe: (tried[probe.C], probe.C))
    return Sweep(best, tried[best.C], tried)


def _primal(x: Tensor, targets: Tensor) -> Callable[[float], Tensor]:
    """lambda -> (X'X + lambda)^-1 X'T, with X'X = Q diag(e) Q'."""
    values, vectors = torch.linalg.eigh(x.T @ x)
    right = vectors.T @ (x.T @ targets)
    return lambda penalty: vectors @ (right / (values.clamp(min=0) + penalty)[:, None])


def _dual(x: Tensor, targets: Tensor) -> Callable[[float], Tensor]:
    """lambda -> X' (XX' + lambda)^-1 T, the same with fewer numbers where N < D."""
    values, vectors = torch.linalg.eigh(x @ x.T)
    left, right = x.T @ vectors, vectors.T @ targets
    return lambda penalty: left @ (right / (values.clamp(min=0) + penalty)[:, None])
