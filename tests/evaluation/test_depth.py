"""Errors of depth against loops in plain Python, ranks against scipy, and which pixels of NYU's count."""

import math

import pytest
import torch
from scipy.stats import spearmanr

from clipkit.evaluation.depth import DEPTHCLIP, EIGEN, depth_errors, measured, pairs_in_order, rank_correlation


def by_loops(predicted, truth, least, cap):
    kept = []
    for p, t in zip(predicted.flatten().tolist(), truth.flatten().tolist()):
        if least < t < cap:
            kept.append((min(max(p, least), cap), t))
    n = len(kept)
    return {
        "abs_rel": sum(abs(p - t) / t for p, t in kept) / n,
        "rmse": math.sqrt(sum((p - t) ** 2 for p, t in kept) / n),
        "log10": sum(abs(math.log10(p) - math.log10(t)) for p, t in kept) / n,
        "delta1": sum(max(p / t, t / p) < 1.25 for p, t in kept) / n,
        "delta2": sum(max(p / t, t / p) < 1.25**2 for p, t in kept) / n,
        "delta3": sum(max(p / t, t / p) < 1.25**3 for p, t in kept) / n,
    }


def test_errors_equal_loops():
    g = torch.Generator().manual_seed(0)
    truth = 12 * torch.rand(17, 23, generator=g, dtype=torch.float64)  # some beyond the cap
    truth[:3] = 0
    predicted = truth + torch.randn(17, 23, generator=g, dtype=torch.float64)  # some negative
    found, wanted = depth_errors(predicted, truth), by_loops(predicted, truth, 1e-3, 10.0)
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert found[key] == pytest.approx(value, abs=1e-12), key


def test_errors_by_hand():
    found = depth_errors(torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 0.0]]))
    assert found["abs_rel"] == 0.5 and found["rmse"] == 1.0 and found["log10"] == pytest.approx(math.log10(2))
    assert found["delta1"] == found["delta2"] == 0.0 and found["delta3"] == 0.0  # 2 > 1.25³
    assert depth_errors(torch.tensor([1.9]), torch.tensor([2.0]))["delta1"] == 1.0


def test_what_cannot_be_scored():
    one = torch.ones(2, 2)
    for predicted, truth, said in (
        (one, torch.ones(2, 3), "truth"),
        (one, 0 * one, "no pixel"),
        (one / 0, one, "finite"),
    ):
        with pytest.raises(ValueError, match=said):
            depth_errors(predicted, truth)
    holes = torch.tensor([0.0, math.nan, 1e-3, 0.5, 10.0, math.inf])
    assert measured(holes).tolist() == [False, False, False, True, False, False]


def test_windows():
    """Of the scored window DepthCLIP predicts all but eleven rows and fourteen columns."""
    rows, columns = range(*EIGEN[:2]), range(*EIGEN[2:])
    own_rows, own_columns = range(*DEPTHCLIP[:2]), range(*DEPTHCLIP[2:])
    assert (len(own_rows), len(own_columns)) == (416, 544)
    assert sorted(set(rows) - set(own_rows)) == list(range(45, 56))
    assert sorted(set(columns) - set(own_columns)) == list(range(46, 60))


def test_rank_correlation_equals_scipy():
    g = torch.Generator().manual_seed(1)
    a, b = torch.randint(9, (2, 200), generator=g)  # many ties
    b = b + a
    assert rank_correlation(a, b) == pytest.approx(float(spearmanr(a, b).statistic), abs=1e-12)
    assert rank_correlation(a, -a) == pytest.approx(-1) and rank_correlation(a, torch.ones_like(a)) == 0
    with pytest.raises(ValueError, match="N > 0"):
        rank_correlation(a, b[1:])


def test_pairs_in_order():
    assert pairs_in_order(torch.tensor([1.0, 2.0, 1.5]), torch.tensor([1.0, 2.0, 2.0])) == (2, 2)
    assert pairs_in_order(torch.tensor([1.0, 1.0, 0.5]), torch.tensor([1.0, 2.0, 3.0])) == (0, 3)  # a tie is no order
