"""Compares an exported file with the module that it was made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from clipkit.errors import ClipkitError
from clipkit.export.graphs import Graph

COUNT = 10
DIFFERENCE = 1e-4
AGREEMENT = 0.999


@dataclass
class Check:
    """How far a file is from torch.

    Attributes:
        difference: the largest absolute one, of all numbers of all outputs; infinite where one is no number.
        agreement: share of the places (pictures, pixels, boxes) with the same best label; a box that only one has is
            none.
        inputs: how many were compared.
    """

    difference: float
    agreement: float
    inputs: int

    def __str__(self) -> str:
        share = f"{100 * self.agreement:.2f} %"
        return f"{self.inputs} inputs: largest difference {self.difference:.1e}, same best label {share}"

    def require(self, path: str, precision: str = "fp32") -> None:
        """Raises:
        ClipkitError: it is further away than rounding in float32 explains; in another precision: it overflows.
        """
        if not math.isfinite(self.difference):
            raise ClipkitError(f"{path}: is not written, some of its scores would be no numbers in {precision}")
        if precision != "fp32":
            return
        if not (self.difference <= DIFFERENCE and self.agreement >= AGREEMENT):
            raise ClipkitError(f"{path}: is not written, it would differ from torch ({self}): please report this model")


@torch.no_grad()
def compare(graph: Graph, run: Callable[[list[np.ndarray]], Sequence[Any]], count: int = COUNT) -> Check:
    """Both on `count` inputs of different sizes and numbers of labels, `Graph.example` of 1, 2, ….

    Args:
        graph: in torch.
        run: the exported one: arrays in, arrays out.
    """
    difference, same, places = 0.0, 0, 0
    for seed in tqdm(range(1, count + 1), "compared with torch", delay=5, unit="input", leave=False):
        inputs = graph.example(seed)
        wanted = graph(*inputs)
        wanted = [wanted] if isinstance(wanted, Tensor) else list(wanted)
        found = [torch.from_numpy(np.asarray(one)).float() for one in run([one.numpy() for one in inputs])]
        if [one.shape for one in wanted] != [one.shape for one in found]:
            shapes = ", ".join(str(tuple(one.shape)) for one in found)
            raise ClipkitError(f"the exported graph gives {shapes} where torch gives other shapes: please report it")
        wanted, found, alone = graph.align(wanted, found)
        for a, b in zip(wanted, found):
            difference = max(difference, float((a - b).abs().nan_to_num(nan=math.inf, posinf=math.inf).max()))
        best = wanted[0].argmax(graph.classes) == found[0].argmax(graph.classes)
        same, places = same + int(best.sum()), places + best.numel() + alone
    return Check(difference, same / places, count)
