"""The rows of an index: one matrix, or several that together do not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np


class Ranking(Protocol):
    """Whoever else compares a query with the rows of an index, such as `clipkit.search.milvus.Milvus`."""

    def ranked(
        self, query: np.ndarray, count: int, paths: str | None = None, between: tuple[float, float] | None = None
    ) -> Iterator[tuple[int, float]]:
        """Row numbers and scores, best first."""
        ...


class Stacked:
    """Matrices `(n, D)` below one another, which stay where they are (memory-mapped); used as one `(N, D)`."""

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self.parts = list(parts)
        self._starts = np.cumsum([0, *map(len, parts)])

    @property
    def shape(self) -> tuple[int, int]:
        return int(self._starts[-1]), self.parts[0].shape[1]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, which: Any) -> np.ndarray:
        """A copy of the rows of a slice or of an array of row numbers."""
        rows = np.arange(*which.indices(len(self))) if isinstance(which, slice) else np.asarray(which)
        found = np.empty((len(rows), self.shape[1]), self.parts[0].dtype)
        own = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(own):
            found[own == number] = self.parts[number][rows[own == number] - self._starts[number]]
        return found

    def __matmul__(self, query: np.ndarray) -> np.ndarray:
        return np.concatenate([part @ query for part in self.parts])
