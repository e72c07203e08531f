"""Zero-shot accuracy and retrieval as plain functions on embeddings."""

import torch
from torch import Tensor


def accuracy(embeddings: Tensor, classifier: Tensor, labels: Tensor, row_class: Tensor | None = None) -> float:
    """Share of images whose best class is the right one, in percent.

    Args:
        embeddings: `(B, D)` image embeddings, of any length.
        classifier: `(R, D)` unit rows, one a class, or several a class with `row_class`.
        labels: `(B,)` int64 class ids.
        row_class: `(R,)` int64 class of each row; a class's score is its best row's.

    Raises:
        ValueError: nothing to count.
    """
    if len(embeddings) == 0:
        raise ValueError("accuracy of no images is undefined")
    best = (embeddings @ classifier.T).argmax(1)
    predicted = best if row_class is None else row_class[best]
    return 100.0 * (predicted == labels).double().mean().item()


def retrieval(queries: Tensor, gallery: Tensor, ks: tuple[int, ...] = (1, 5, 10)) -> dict[str, float]:
    """R@k in percent and the median rank, where gallery item `i` is the one right answer to query `i`.

    The median of an even number of ranks is the mean of the middle two.

    A tie counts against the query: an item that scores as high as the right one is ranked before it.

    Args:
        queries, gallery: `(N, D)`, compared by dot product.
    """
    if queries.shape != gallery.shape or len(queries) == 0:
        raise ValueError(
            f"retrieval needs as many queries as items, got {tuple(queries.shape)}, {tuple(gallery.shape)}"
        )
    ranks = []
    for start in range(0, len(queries), 1024):
        scores = queries[start : start + 1024] @ gallery.T
        index = torch.arange(start, start + len(scores), device=scores.device)
        right = scores[torch.arange(len(scores), device=scores.device), index]
        # Not `>=`: a NaN is below nothing, so it counts against the query too.
        ranks.append((~(scores < right[:, None])).sum(1))
    rank = torch.cat(ranks).double()
    found = {f"R@{k}": 100.0 * (rank <= k).double().mean().item() for k in ks}
    return {**found, "MdR": rank.quantile(0.5).item()}
