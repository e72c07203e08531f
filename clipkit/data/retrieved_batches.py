"""Batches of films that are near each other, so that each is a hard negative of the others (VideoCLIP, Xu et al. 2021,
section 3.3)."""

from __future__ import annotations

import numpy as np

_ROWS = 256  # queries whose cosines with all films are in memory at once


class RetrievedBatches:
    """Each epoch draws films as queries; a batch is a query and some of its nearest neighbours, at random.

    A batch depends on the seed, the epoch and its query alone. Films may be in several batches of an epoch or in none,
    as in the original; unlike there the query always stays in its own, no query comes twice in an epoch, and neighbours
    are exact. `vectors` stay what they are: those of a frozen CLIP need no pass over the films in each epoch.

    Args:
        vectors: `(V, D)`, one of each film, of any length but 0.
        films: in a batch.
        candidates: the nearest films, the query among them, of which the others of its batch are drawn.
        seed: of the run.

    Raises:
        ValueError: fewer films than a batch has, fewer candidates than that, or a vector without direction.

    Examples:
        >>> RetrievedBatches(np.random.default_rng(0).normal(size=(10, 4)), films=2, candidates=3)(epoch=0).shape
        (5, 2)
    """

    def __init__(self, vectors: np.ndarray, films: int = 32, candidates: int = 64, seed: int = 0) -> None:
        vectors = np.asarray(vectors)
        if vectors.ndim != 2 or not 1 <= films <= min(candidates, len(vectors)):
            raise ValueError(
                f"batches of {films} films need as many candidates and films at least, got {candidates} and vectors "
                f"{vectors.shape}"
            )
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(length) & (length > 0)).all():
            raise ValueError("every film needs a finite vector that is not 0")
        self.vectors = vectors / length
        self.films, self.candidates, self.seed = films, min(candidates, len(vectors)), seed

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.vectors) // self.films

    def __call__(self, epoch: int) -> np.ndarray:
        """`(batches, films)` int64 numbers of films, the query first."""
        queries = np.random.default_rng([self.seed, epoch]).permutation(len(self.vectors))[: len(self)]
        parts = [queries[start : start + _ROWS] for start in range(0, len(queries), _ROWS)]
        near = np.concatenate([self.nearest(part) for part in parts])
        return np.stack([self._batch(epoch, int(query), row) for query, row in zip(queries, near)])

    def nearest(self, queries: np.ndarray) -> np.ndarray:
        """`(Q,)` films -> `(Q, candidates)`, each one's nearest by cosine, itself first; of equals the lower number."""
        scores = self.vectors[queries] @ self.vectors.T
        scores[np.arange(len(queries)), queries] = np.inf
        return np.argsort(-scores, axis=1, kind="stable")[:, : self.candidates]

    def _batch(self, epoch: int, query: int, near: np.ndarray) -> np.ndarray:
        random = np.random.default_rng([self.seed, epoch, query])
        return np.concatenate([near[:1], random.choice(near[1:], self.films - 1, replace=False)])
