"""What computes the records of a store: reads files while CLIP embeds those before them."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from clipkit.embed.encoder import finite
from clipkit.errors import ClipkitError, one_line

Item = TypeVar("Item")


class BaseWork(ABC):
    """What a crew calls: ids -> what a shard keeps of them.

    Args:
        pool: threads that read.
        on_bad: 'skip' notes an item that cannot be read in `problems` and goes on; 'raise' ends at the first.

    Attributes:
        problems: id -> what is wrong with its file.
        counts: what else is to be told at the end, and how often it was so.
        unit: of what `speed` counts; `per_row` of them make a row.
    """

    unit = "images"
    per_row = 1

    def __init__(self, pool: ThreadPoolExecutor, on_bad: str = "raise") -> None:
        self.pool, self.on_bad = pool, on_bad
        self.problems: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self._rows, self._begun = 0, time.monotonic()

    @abstractmethod
    def __call__(self, ids: list[str]) -> list[Any]:
        """Of each id what its shard keeps."""

    def ahead(self, ids: list[str]) -> None:
        """Hears which ids come next, where that is of use."""
        return

    def speed(self) -> str:
        """'12 frames/s', since the beginning."""
        return f"{self._rows * self.per_row / (time.monotonic() - self._begun):.0f} {self.unit}/s"

    def checked(self, rows: Tensor) -> Tensor:
        """`finite`, and counts the rows."""
        self._rows += len(rows)
        return finite(rows)


class Work(BaseWork, Generic[Item]):
    """A `BaseWork` whose items are read whole, in threads, while those before are embedded. A subclass says how one is
    read, and how a batch is embedded."""

    def __init__(self, pool: ThreadPoolExecutor, on_bad: str = "raise") -> None:
        super().__init__(pool, on_bad)
        self._reading: dict[str, Future[Item | str | None]] = {}

    @abstractmethod
    def read(self, key: str) -> Item | str | None:
        """What is embedded, or a line that says why it cannot be read; None for an id that a run which was stopped has
        left, and that stands for nothing now. Called in a thread."""

    @abstractmethod
    def embed(self, ids: list[str], items: list[Item | None]) -> list[dict[str, np.ndarray]]:
        """Records of a batch; None stands for what has no rows."""

    def ahead(self, ids: list[str]) -> None:
        """Starts to read these, and forgets others."""
        self._reading = {key: self._reading.get(key) or self.pool.submit(self.read, key) for key in ids}

    @torch.no_grad()
    def __call__(self, ids: list[str]) -> list[dict[str, np.ndarray]]:
        return self.embed(ids, [self._item(key) for key in ids])

    def _item(self, key: str) -> Item | None:
        found = self._reading.pop(key).result()
        if not isinstance(found, str):
            return found
        if self.on_bad == "raise":
            raise ClipkitError(found)
        self.problems[key] = found
        print(f"\nskipped: {one_line(found)}", file=sys.stderr)
        return None
