"""What the seeds of a claim say: means with intervals, and a verdict on a paired difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """A mean over seeds and half the width of its 95 % interval (infinite for one seed)."""

    mean: float
    half: float
    seeds: int

    def __str__(self) -> str:
        return f"{self.mean:.1f} ± {self.half:.1f}" if math.isfinite(self.half) else f"{self.mean:.1f}"


def spread(values: Sequence[float], level: float = 0.95) -> Spread:
    """Mean and interval of independent draws: x̄ ± t(n − 1) · s / √n, Student's t.

    Raises:
        ValueError: no values.
    """
    n = len(values)
    if n == 0:
        raise ValueError("no values to average")
    mean = math.fsum(values) / n
    if n == 1:
        return Spread(mean, math.inf, 1)
    from scipy.stats import t

    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in values) / (n - 1))
    return Spread(mean, float(t.ppf(0.5 + level / 2, n - 1)) * deviation / math.sqrt(n), n)


def paired(better: Sequence[float], than: Sequence[float], times: float = 1.0, by: float = 0.0) -> tuple[Spread, str]:
    """The statement "better ≥ times · than + by", seed by seed.

    Returns:
        the spread of better − (times · than + by), and "holds" where its 95 % interval lies above zero, "does not hold"
        where it lies below, else "undecided".

    Raises:
        ValueError: the two have different numbers of seeds, or none.
    """
    differences = [a - (times * b + by) for a, b in zip(better, than, strict=True)]
    found = spread(differences)
    if found.mean - found.half > 0:
        return found, "holds"
    return found, "does not hold" if found.mean + found.half < 0 else "undecided"
