"""Many scenes as a data set has them: rendered in chunks, held as bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clipkit.shapes.render import Scenes, render

CHUNK = 256
SEED_STEP = 1_000_003  # chunks and data sets of different seeds never share a scene's seed


def chunks(length: int, seed: int, chunk: int = CHUNK, **options: Any) -> Iterator[tuple[Scenes, int]]:
    """`length` scenes, `chunk` at a time, and how many of a chunk's are wanted, its first. A chunk is always full, so
    that scene i does not depend on how many were asked for.

    Args:
        seed: of the first chunk; each has the next one.
        options: of `clipkit.shapes.render`.

    Raises:
        ValueError: no scene.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1 scene, got {length}")
    for number, start in enumerate(range(0, length, chunk)):
        yield render(chunk, seed=seed + number, **options), min(chunk, length - start)


def to_bytes(images: Tensor) -> np.ndarray:
    """`(B, 3, H, W)` in [0, 1] -> `(B, H, W, 3)` uint8."""
    return np.ascontiguousarray((images * 255).round_().to(torch.uint8).movedim(1, -1).numpy())
