"""Zero-shot accuracy as a plain function on embeddings."""

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
