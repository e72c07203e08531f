"""Drawing a few labelled examples of each class."""

from __future__ import annotations

from typing import Any

import numpy as np


def draw_shots(labels: Any, shots: int, seed: int, validation: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Indices of `shots` examples of each class for training and, of the others, some for validation.

    The first shots of a larger draw of the same seed are those of a smaller one, so that a curve over shots adds
    examples and exchanges none.

    Args:
        labels: `(N,)` integers; every class that occurs is drawn from.
        validation: examples a class; default: as many as shots, and at most 4, as CoOp's released code has it.

    Returns:
        indices for training and for validation, ascending.

    Raises:
        ValueError: a class has too few examples.
    """
    if shots < 1:
        raise ValueError(f"shots must be at least 1, got {shots}")
    labels = np.asarray(labels)
    held = min(shots, 4) if validation is None else validation
    train, val = [], []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        if len(own) < shots + held:
            raise ValueError(
                f"class {label} has {len(own)} examples, {shots} shots and {held} for validation need more"
            )
        order = np.random.default_rng((seed, int(label))).permutation(own)
        train.append(order[:shots])
        val.append(order[len(order) - held :])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(val))


def split_off(labels: Any, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the rest and of a validation set that holds `share` of each class's examples, at least one, where the
    class has two or more."""
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}")
    labels = np.asarray(labels)
    rest, val = [], []
    for label in np.unique(labels):
        order = np.random.default_rng((seed, int(label))).permutation(np.flatnonzero(labels == label))
        count = max(round(share * len(order)), 1) if len(order) > 1 else 0
        val.append(order[:count])
        rest.append(order[count:])
    return np.sort(np.concatenate(rest)), np.sort(np.concatenate(val))
