"""IoU against counts in plain loops."""

import math

import pytest
import torch

from clipkit.evaluation.segmentation import (
    harmonic_mean,
    ignore_left_out,
    intersection_and_union,
    iou_per_class,
    map_labels,
    mean_iou,
    seen_unseen_iou,
)


def maps(seed, classes=5, extra=2):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(classes, (3, 9, 11), generator=generator)
    target[torch.rand(target.shape, generator=generator) < 0.1] = 255
    prediction = torch.randint(classes + extra, target.shape, generator=generator)
    return torch.where(torch.rand(target.shape, generator=generator) < 0.6, target % 7, prediction), target


def brute_force(prediction, target, classes):
    hits, union = [0] * classes, [0] * classes
    for p, t in zip(prediction.flatten().tolist(), target.flatten().tolist()):
        if t == 255:
            continue
        for c in range(classes):
            hits[c] += p == c and t == c
            union[c] += p == c or t == c
    return hits, union


@pytest.mark.parametrize("seed", range(3))
def test_equals_brute_force(seed):
    prediction, target = maps(seed)
    hits, union = intersection_and_union(prediction, target, 5)
    wanted = brute_force(prediction, target, 5)
    assert (hits.tolist(), union.tolist()) == wanted
    ious = [100 * h / u for h, u in zip(*wanted)]
    assert mean_iou(hits, union) == pytest.approx(sum(ious) / 5, abs=1e-9)


def test_distractor_costs_and_enlarges_no_class():
    target = torch.tensor([0, 0, 1, 1])
    hits, union = intersection_and_union(torch.tensor([0, 9, 1, -1]), target, 2)
    assert hits.tolist() == [1, 1] and union.tolist() == [2, 2]


def test_absent_class_is_nan_and_enters_no_mean():
    hits, union = intersection_and_union(torch.tensor([0, 0]), torch.tensor([0, 0]), 3)
    iou = iou_per_class(hits, union)
    assert iou[0] == 100 and iou[1:].isnan().all() and mean_iou(hits, union) == 100
    empty = intersection_and_union(torch.tensor([1]), torch.tensor([255]), 3)
    assert math.isnan(mean_iou(*empty))


def test_seen_unseen_and_harmonic_mean():
    scores = seen_unseen_iou(torch.tensor([90.0, 70.0, 40.0, torch.nan]), [True, True, False, False])
    assert scores["seen"] == 80 and scores["unseen"] == 40
    assert scores["harmonic_mean"] == pytest.approx(2 * 80 * 40 / 120)
    assert scores["all"] == pytest.approx(200 / 3)
    assert harmonic_mean(0.0, 0.0) == 0.0
    with pytest.raises(ValueError, match="entries for"):
        seen_unseen_iou(torch.ones(4), [True] * 3)


def test_replaced_labels():
    # labels: [class 2, distractor, class 0]; class 1 has no label
    to_class = (2, -1, 0)
    prediction = torch.tensor([[0, 1, 2, 2]])
    target = torch.tensor([[2, 2, 0, 1]])
    mapped, kept = map_labels(prediction, to_class, 3), ignore_left_out(target, to_class, 3)
    assert mapped.tolist() == [[2, 3, 0, 0]] and kept.tolist() == [[2, 2, 0, 255]]
    hits, union = intersection_and_union(mapped, kept, 3)
    assert hits.tolist() == [1, 0, 1] and union.tolist() == [1, 0, 2]


def test_errors():
    with pytest.raises(ValueError, match="differ in shape"):
        intersection_and_union(torch.zeros(2, 2).long(), torch.zeros(3).long(), 2)
    with pytest.raises(ValueError, match="class id 7"):
        intersection_and_union(torch.tensor([0]), torch.tensor([7]), 2)


@pytest.mark.parametrize("ignore_index", [255, -100])
def test_a_wrong_label_map_is_named_also_when_labels_are_replaced(ignore_index):
    target = torch.tensor([0, 1, 2, 40, ignore_index])
    left = ignore_left_out(target, [2, -1], 3, ignore_index)
    assert left.tolist() == [ignore_index, ignore_index, 2, 40, ignore_index]
    with pytest.raises(ValueError, match="class id 40"):
        intersection_and_union(left, left, 3, ignore_index)
