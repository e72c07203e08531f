"""Top-k, accuracy a class and confusion, against counting by hand."""

import math

import pytest
import torch

from clipkit.evaluation.classification import classification_scores, rank_classes


def vectors(rows, offset):
    index = torch.arange(rows * 6, dtype=torch.float64) + offset
    return torch.sin(index * math.sqrt(3)).reshape(rows, 6)


def test_scores_count():
    images, rows, labels = vectors(50, 0), vectors(9, 700), torch.arange(50) % 4  # classes 4 to 8 have no image
    top1 = top3 = 0
    hits, totals, taken = [0] * 9, [0] * 9, {}
    for i in range(50):
        scores = [sum(float(a * b) for a, b in zip(images[i], row)) for row in rows]
        order = sorted(range(9), key=lambda c: -scores[c])
        c = int(labels[i])
        top1 += order[0] == c
        top3 += c in order[:3]
        hits[c] += order[0] == c
        totals[c] += 1
        taken[c, order[0]] = taken.get((c, order[0]), 0) + 1
    found = classification_scores(rank_classes(images, rows, k=3, chunk=7), labels, 9)
    assert found.top1 == pytest.approx(100 * top1 / 50) and found.topk == pytest.approx(100 * top3 / 50)
    assert 0 < top1 < top3 < 50
    assert found.mean_per_class == pytest.approx(sum(100 * hits[c] / totals[c] for c in range(4)) / 4)
    assert found.per_class[4:].isnan().all()
    for c in range(9):
        for d in range(9):
            assert found.confusion[c, d] == taken.get((c, d), 0)
    assert found.confusion[:, 9].sum() == 0


def test_a_class_scores_by_its_best_row_and_a_distractor_is_never_right():
    rows = torch.eye(4)
    images = torch.eye(4) + 0.1 * torch.ones(4, 4)
    row_class = torch.tensor([1, 1, 0, 5])  # 5: a distractor among two classes
    ranked = rank_classes(images, rows, row_class)
    assert ranked[:, 0].tolist() == [1, 1, 0, 5]
    found = classification_scores(ranked, torch.tensor([1, 1, 0, 0]), 2)
    assert found.top1 == 75 and found.confusion.tolist() == [[1, 0, 1], [0, 2, 0]]


def test_nothing_and_no_numbers_are_refused():
    with pytest.raises(ValueError, match="no images"):
        classification_scores(torch.zeros(0, 5), torch.zeros(0), 3)
    with pytest.raises(ValueError, match=r"0\.\.2"):
        classification_scores(torch.zeros(1, 1).long(), torch.tensor([3]), 3)
    with pytest.raises(ValueError, match="not finite"):
        rank_classes(torch.full((2, 3), torch.nan), torch.eye(3))
