"""A small network of points (PointNet: Qi et al., CVPR 2017, section 4.2), without its learned rotations."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class PointNet(nn.Module):
    """Each point alone through layers, the largest value over all points, and a classifier: the order of points says
    nothing.

    Args:
        classes: K.
        widths: of the layers of a point.
        hidden: of the classifier.
        dropout: before the last layer.
    """

    def __init__(
        self, classes: int, widths: Sequence[int] = (64, 128, 256), hidden: int = 128, dropout: float = 0.3
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((3, *widths), widths):
            layers += [nn.Conv1d(before, after, 1), nn.BatchNorm1d(after), nn.ReLU()]
        self.points = nn.Sequential(*layers)
        self.classify = nn.Sequential(
            nn.Linear(widths[-1], hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def forward(self, points: Tensor) -> Tensor:
        """`(B, N, 3)`, all finite -> logits `(B, K)`."""
        return self.classify(self.points(points.transpose(1, 2)).amax(2))
