"""Accuracy and retrieval against counting by hand."""

import math

import pytest
import torch

from clipkit.evaluation.zeroshot import accuracy, retrieval


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


def test_retrieval_counts_ranks():
    queries, gallery = vectors(30, 0), vectors(30, 999)
    ranks = []
    for i in range(30):
        scores = [float(queries[i] @ item) for item in gallery]
        ranks.append(sum(score >= scores[i] for score in scores))
    found = retrieval(queries, gallery)
    for k in (1, 5, 10):
        assert found[f"R@{k}"] == pytest.approx(100 * sum(rank <= k for rank in ranks) / 30)
    assert found["MdR"] == (sorted(ranks)[14] + sorted(ranks)[15]) / 2


def test_a_tie_counts_against_the_query():
    same = torch.ones(4, 3)
    assert retrieval(same, same)["R@1"] == 0
    assert retrieval(torch.eye(4), torch.eye(4))["R@1"] == 100


def test_nothing_to_count_is_refused():
    with pytest.raises(ValueError, match="no images"):
        accuracy(torch.zeros(0, 3), torch.eye(3), torch.zeros(0))
    with pytest.raises(ValueError, match="as many queries"):
        retrieval(torch.zeros(2, 3), torch.zeros(3, 3))


def test_embeddings_that_are_no_numbers_find_nothing():
    """A diverged model must not score 100 %."""
    found = retrieval(torch.full((12, 3), torch.nan), vectors(12, 0)[:, :3].float())
    assert found == {"R@1": 0, "R@5": 0, "R@10": 0, "MdR": 12}
