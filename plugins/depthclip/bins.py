"""Distances of the words, fitted to a few pictures with measured depth.

With one to five pictures a free fit turns the order of the words round. So the distances must not fall from word to
word, and they are drawn to those that the model began with.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

TINY = 1e-9  # relative, keeps the factorisation of a singular matrix real


class BinFit(nn.Module):
    """Sums from which the distances `b` follow that minimise

        Σ_pictures mean_pixels ((p · b − t) / t)²  +  shrink · mean_k ((b_k − b⁰_k) / b⁰_k)²,   0 ≤ b_1 ≤ … ≤ b_K,

    p being the probabilities of the K words in a pixel, t its measured metres, b⁰ the model's first distances. The sums
    are all that a picture leaves behind: any number of them takes one pass, in any order.

    Args:
        start: b⁰, (K,) metres, rising.
        shrink: how many pictures the start counts as.
    """

    squares: Tensor
    sums: Tensor

    def __init__(self, start: Tensor, shrink: float) -> None:
        super().__init__()
        self.start, self.shrink = start.double().cpu(), shrink
        self.register_buffer("squares", torch.zeros(len(start), len(start), dtype=torch.float64))
        self.register_buffer("sums", torch.zeros(len(start), dtype=torch.float64))

    def add(self, probabilities: Tensor, truth: Tensor) -> None:
        """One picture's measured pixels: (P, K) probabilities of the words and (P,) metres."""
        relative = probabilities.double() / truth.double()[:, None]
        self.squares += relative.T @ relative / len(truth)
        self.sums += relative.mean(0)

    def solve(self) -> Tensor:
        """(K,) float32 metres, never falling."""
        weight = self.shrink / len(self.start) / self.start**2
        squares = (self.squares.cpu() + weight.diag()).numpy()
        sums = (self.sums.cpu() + weight * self.start).numpy()
        steps = np.tril(np.ones_like(squares))  # b = steps · x with x ≥ 0: the first distance, then what is added
        squares, sums = steps.T @ squares @ steps, steps.T @ sums
        root = np.linalg.cholesky(squares + TINY * squares.trace() * np.eye(len(sums)))
        found, _ = nnls(root.T, np.linalg.solve(root, sums))
        return torch.from_numpy(steps @ found).float()
