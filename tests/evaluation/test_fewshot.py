"""Few-shot scores against a count in plain loops."""

import numpy as np
import pytest
import torch

from clipkit.evaluation import fewshot_scores, intersection_and_union


def count(episodes, tested):
    """mIoU, FB-IoU and per-class IoU in percent, pixel by pixel."""
    hits, union = np.zeros((len(tested), 2)), np.zeros((len(tested), 2))
    for class_id, prediction, target in episodes:
        k = tested.index(class_id)
        for y, x in np.ndindex(target.shape):
            if target[y, x] == 255:
                continue
            for side in (0, 1):
                said, true = prediction[y, x] == side, target[y, x] == side
                hits[k, side] += said and true
                union[k, side] += said or true
    iou = [100 * h[1] / u[1] if u[1] else float("nan") for h, u in zip(hits, union)]
    sides = [100 * hits[:, side].sum() / union[:, side].sum() for side in (0, 1)]
    return np.nanmean(iou), sum(sides) / 2, iou


def made_up_episodes(classes, seed=0):
    random = np.random.default_rng(seed)
    for class_id in classes:
        prediction, target = random.integers(0, 2, (2, 5, 7))
        target[random.random((5, 7)) < 0.2] = 255
        yield class_id, prediction, target


def test_scores_equal_a_count_over_pixels():
    tested = [5, 6, 7, 8, 9]
    episodes = list(made_up_episodes([7, 5, 7, 9, 6, 7, 5]))  # none of class 8
    counts = [intersection_and_union(torch.tensor(p), torch.tensor(t), 2) for _, p, t in episodes]
    scores = fewshot_scores(
        torch.tensor([c for c, _, _ in episodes]),
        torch.stack([hits for hits, _ in counts]),
        torch.stack([union for _, union in counts]),
        tested,
    )
    miou, fb_iou, iou = count(episodes, tested)
    assert float(scores["mIoU"]) == pytest.approx(miou, abs=1e-9)
    assert float(scores["FB-IoU"]) == pytest.approx(fb_iou, abs=1e-9)
    np.testing.assert_allclose(scores["iou"], iou, atol=1e-9)
    assert torch.isnan(scores["iou"][3])


def test_an_episode_of_another_class_is_named():
    with pytest.raises(ValueError, match="class 3, which is not tested"):
        fewshot_scores(torch.tensor([0, 3]), torch.zeros(2, 2), torch.ones(2, 2), [0, 1])
