"""Accuracy against counting by hand."""

import math

import pytest
import torch

from clipkit.evaluation.zeroshot import accuracy


def vectors(rows: int, offset: int) -> torch.Tensor:
    index = torch.arange(rows * 5, dtype=torch.float64) + offset
    return torch.sin(index * math.sqrt(3)).reshape(rows, 5)


def test_accuracy_counts_images_whose_best_row_is_right():
    images, rows = vectors(40, 0), vectors(7, 500)
    labels = torch.arange(40) % 7
    right = 0
    for i in range(40):
        scores = [sum(float(a * b) for a, b in zip(images[i], row)) for row in rows]
        right += scores.index(max(scores)) == labels[i]
    assert accuracy(images, rows, labels) == pytest.approx(100 * right / 40)
    assert 0 < right < 40


def test_a_class_scores_by_its_best_row():
    rows = torch.eye(3)
    images = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])
    row_class = torch.tensor([0, 0, 1])
    assert accuracy(images, rows, torch.tensor([0, 0, 1]), row_class) == 100
    assert accuracy(images, rows, torch.tensor([0, 1, 1]), row_class) == pytest.approx(200 / 3)


def test_nothing_to_count_is_refused():
    with pytest.raises(ValueError, match="no images"):
        accuracy(torch.zeros(0, 3), torch.eye(3), torch.zeros(0))
