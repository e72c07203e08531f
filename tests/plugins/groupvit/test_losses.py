"""The losses against float64 loops; what the paper has and what is ours."""

import math

import pytest
import torch
from clipkit_plugins.groupvit.losses import best_group, phrase_loss, pooled

PHRASES = [["red circle", "grass"], ["red circle"], ["blue star", "grass", "wood"]]


def numbers(*shape):
    index = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return torch.sin(index * 0.7 + 0.3).reshape(shape)


def cosine(a, b):
    return float(a @ b / a.norm() / b.norm())


def cross_entropy(rows, positive):
    """Mean over rows of KL(uniform over the positives || softmax)."""
    total = 0.0
    for row, has in zip(rows, positive):
        z = math.log(sum(math.exp(v) for v in row))
        count = sum(has)
        total += sum((math.log(1 / count) - (v - z)) / count for v, h in zip(row, has) if h)
    return total / len(rows)


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("groups", [None, 4])
def test_phrase_loss_equals_loops(groups, equal):
    flat = [phrase for own in PHRASES for phrase in own]
    owner = [b for b, own in enumerate(PHRASES) for _ in own]
    rows = numbers(len(flat), 5)
    images = numbers(3, 5) if groups is None else numbers(3, groups, 5)
    scores = [[0.0] * 3 for _ in flat]
    for k, row in enumerate(rows):
        for b in range(3):
            if groups is None:
                scores[k][b] = 7 * cosine(row, images[b])
            else:
                parts = [math.exp(20 * cosine(row, images[b, g])) for g in range(groups)]
                scores[k][b] = 7 * math.log(sum(parts) / groups) / 20
    positive = [[owner[k] == b or (equal and flat[k] in PHRASES[b]) for b in range(3)] for k in range(len(flat))]
    turned = [[list(column) for column in zip(*table)] for table in (scores, positive)]
    wanted = 0.5 * (cross_entropy(scores, positive) + cross_entropy(*turned))
    got = phrase_loss(rows, PHRASES, images, torch.tensor(7.0).double(), equal)
    assert got.item() == pytest.approx(wanted, abs=1e-10)


def test_equal_phrases_are_no_negatives_of_each_other():
    """Two images with the same phrase and the same embedding: nothing pulls them apart."""
    rows, images = torch.eye(4)[[0, 0]].double(), torch.eye(4)[[0, 0]].double().requires_grad_()
    loss = phrase_loss(rows, [["a"], ["a"]], images, torch.tensor(10.0).double())
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert phrase_loss(rows, [["a"], ["a"]], images, torch.tensor(10.0).double(), equal=False).item() > 0.6


def test_the_best_group_decides():
    """One group that fits is enough; the pooled image hides it among those that do not."""
    phrase = torch.eye(6)[:1]
    groups = torch.eye(6)[[0, 1, 2, 3]][None]
    assert best_group(phrase, groups).item() == pytest.approx(1 - math.log(4) / 20, abs=1e-3)
    assert pooled(phrase, groups.mean(1)).item() == pytest.approx(0.5)
    same = torch.eye(6)[[0, 0, 0, 0]][None]
    assert best_group(phrase, same).item() == pytest.approx(1.0)
