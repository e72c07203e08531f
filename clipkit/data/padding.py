"""Sequences of different lengths in one batch, and fewer frames of a long one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clipkit.data._video_sampling import Uniform


def spread(count: int, most: int) -> np.ndarray:
    """Places of `most` of `count` frames, spread evenly and alike from both ends; all where there are no more."""
    return Uniform(most).choose(np.arange(count), 0.0)


def pad_rows(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Tensors `(L_i, D)` -> `(N, L, D)` float32 with zeros behind, and a mask `(N, L)`."""
    lengths = torch.tensor([len(own) for own in rows], device=rows[0].device)
    longest = max(int(lengths.max()), 1)
    padded = torch.stack([F.pad(own.float(), (0, 0, 0, longest - len(own))) for own in rows])
    return padded, torch.arange(longest, device=lengths.device) < lengths[:, None]
