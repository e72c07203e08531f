"""The result of encoding a vocabulary: rows, and which class each row speaks for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from clipkit.text._background import Background


@dataclass
class TextEmbeddings:
    """Class embeddings in the caller's order.

    Attributes:
        names: the `N` class names, background not among them.
        matrix: `(R, D)` float32, rows of length 1. `R = N` unless synonyms are kept apart (`reduce='max'`) or
            background has words; the rows of a class are neighbours.
        row_class: `(R,)` int64, the class of each row; background's rows say `N`.
        background: the policy, applied by `labels`.
        info: what is known of the origin (model, prompt, …).
    """

    names: tuple[str, ...]
    matrix: Tensor
    row_class: Tensor = field(default=None)  # type: ignore[assignment]
    background: Background = field(default_factory=Background)
    info: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = tuple(self.names)
        if self.row_class is None:
            self.row_class = torch.arange(len(self.names), device=self.matrix.device)
        if self.matrix.ndim != 2 or len(self.row_class) != len(self.matrix):
            raise ValueError(f"{tuple(self.matrix.shape)} matrix does not fit {len(self.row_class)} row labels")
        self._gather_cache: dict[tuple, Tensor | None] = {}

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dim(self) -> int:
        """`D`."""
        return self.matrix.shape[1]

    @property
    def class_names(self) -> tuple[str, ...]:
        """What a prediction can say: the names, then 'background' if the policy has it."""
        return (*self.names, "background") if self.background.has_class else self.names

    @property
    def background_index(self) -> int | None:
        """`N` if background can be predicted, else None."""
        return len(self.names) if self.background.has_class else None

    def to(self, device: torch.device | str) -> TextEmbeddings:
        """A copy on `device`."""
        return replace(self, matrix=self.matrix.to(device), row_class=self.row_class.to(device))

    def class_scores(self, row_scores: Tensor, dim: int = -1) -> Tensor:
        """Scores per row -> scores per class: `class_score[c] = max over the rows of c`.

        Args:
            row_scores: any shape with `R` entries in `dim`, or `R + 1` where a learned background came last.

        Returns:
            The same shape with `N` entries in `dim` (`N + 1` where background has rows).

        Raises:
            ValueError: if `dim` has another length.
        """
        learned = self.background.kind == "learned" and row_scores.shape[dim] == len(self.matrix) + 1
        rows = len(self.matrix) + learned
        if row_scores.shape[dim] != rows:
            raise ValueError(f"scores have {row_scores.shape[dim]} entries in dim {dim}, the vocabulary {rows} rows")
        index = self._gather_index(learned, row_scores.device)
        if index is None:
            return row_scores
        dim = dim % row_scores.ndim
        return row_scores.index_select(dim, index.flatten()).unflatten(dim, tuple(index.shape)).amax(dim + 1)

    def labels(self, row_scores: Tensor, dim: int = -1) -> Tensor:
        """Scores per row, as logits, -> class indices; background is `background_index`.

        Under a threshold policy a softmax over the classes is taken first, so the scores must carry the logit scale.
        """
        scores = self.class_scores(row_scores, dim)
        if self.background.threshold is None:
            return scores.argmax(dim)
        best, index = scores.softmax(dim).max(dim)
        return index.masked_fill(best < self.background.threshold, len(self.names))

    def _gather_index(self, learned: bool, device: torch.device) -> Tensor | None:
        """`(classes, most rows of a class)`: each class's rows, the first repeated as padding; None if one to one."""
        key = (learned, device)
        if key not in self._gather_cache:
            owner = [*self.row_class.tolist(), *([len(self.names)] if learned else [])]
            if owner == list(range(len(owner))):
                self._gather_cache[key] = None
            else:
                groups: list[list[int]] = [[] for _ in range(max(owner) + 1)]
                for row, index in enumerate(owner):
                    groups[index].append(row)
                longest = max(len(group) for group in groups)
                padded = [group + group[:1] * (longest - len(group)) for group in groups]
                self._gather_cache[key] = torch.tensor(padded, device=device)
        return self._gather_cache[key]
