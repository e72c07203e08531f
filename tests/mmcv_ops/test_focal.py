"""Focal losses through mmcv's own functions, values and gradients, against float64 formulas."""

import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmcv.ops)

pytest.importorskip("mmcv")

from mmcv.ops import sigmoid_focal_loss, softmax_focal_loss

from support import mmcv_ops_oracles as oracle

LOGITS = oracle.wave(8, 5, scale=4.0)
LABELS = torch.tensor([0, 4, 2, 2, 1, 3, 0, 4])
WITH_BACKGROUND = torch.tensor([0, 4, 5, 2, 5, 3, 5, 1])  # 5 is none of the five classes
WEIGHT = 1 + 0.5 * oracle.wave(5)


def same(function, formula, target, gamma, alpha, weight, reduction):
    got = LOGITS.float().requires_grad_()
    expected = LOGITS.clone().requires_grad_()
    loss = function(got, target, gamma, alpha, None if weight is None else weight.float(), reduction)
    truth = formula(expected, target, gamma, alpha, weight)
    truth = {"none": truth, "sum": truth.sum(), "mean": truth.sum() / len(LOGITS)}[reduction]
    loss.sum().backward()
    truth.sum().backward()
    torch.testing.assert_close(loss.double(), truth, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(got.grad.double(), expected.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("gamma, alpha", [(2.0, 0.25), (0.0, 0.5), (1.5, 0.9)])
def test_sigmoid_focal_loss(gamma, alpha, weight, reduction):
    same(sigmoid_focal_loss, oracle.sigmoid_focal, WITH_BACKGROUND, gamma, alpha, weight, reduction)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("gamma, alpha", [(2.0, 0.25), (0.0, 0.5), (1.5, 0.9)])
def test_softmax_focal_loss(gamma, alpha, weight, reduction):
    same(softmax_focal_loss, oracle.softmax_focal, LABELS, gamma, alpha, weight, reduction)


def test_equals_the_version_of_mmdet_for_the_cpu():
    losses = pytest.importorskip("mmdet.models.losses.focal_loss")
    logits = [LOGITS.float().clone().requires_grad_() for _ in range(2)]
    one_hot = torch.nn.functional.one_hot(WITH_BACKGROUND, 6)[:, :5]
    ours = sigmoid_focal_loss(logits[0], WITH_BACKGROUND, 2.0, 0.25, None, "sum")
    theirs = losses.py_sigmoid_focal_loss(logits[1], one_hot, gamma=2.0, alpha=0.25, reduction="sum")
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(logits[0].grad, logits[1].grad)


def test_confident_predictions_keep_their_loss():
    """A wrong logit of 30 costs 30 nats, and pulls back with its full weight: no overflow, no zero gradient."""
    logits = torch.tensor([[30.0, -30.0], [100.0, -100.0]], requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([1, 1]), 2.0, 0.25, None, "none")
    loss.sum().backward()
    torch.testing.assert_close(loss, torch.tensor([[22.5, 7.5], [75.0, 25.0]]))
    torch.testing.assert_close(logits.grad, torch.tensor([[0.75, -0.25], [0.75, -0.25]]))
    hopeless = torch.tensor([[200.0, -200.0]], requires_grad=True)
    softmax_focal_loss(hopeless, torch.tensor([1]), 2.0, 0.25, None, "sum").backward()
    torch.testing.assert_close(hopeless.grad, torch.tensor([[0.25, -0.25]]))
    certain = torch.tensor([[200.0, -200.0]], requires_grad=True)
    softmax_focal_loss(certain, torch.tensor([0]), 0.5, 0.25, None, "sum").backward()
    assert certain.grad.abs().max() == 0


def test_no_rows_and_half_precision():
    none = torch.zeros(0, 5, requires_grad=True)
    sigmoid_focal_loss(none, LABELS[:0], 2.0, 0.25, None, "sum").backward()
    assert none.grad.shape == (0, 5)
    half = LOGITS.half().requires_grad_()
    loss = sigmoid_focal_loss(half, LABELS, 2.0, 0.25, None, "none")
    loss.sum().backward()
    truth = oracle.sigmoid_focal(LOGITS.half().double(), LABELS, 2.0, 0.25)
    assert loss.dtype == half.grad.dtype == torch.float16
    torch.testing.assert_close(loss.double(), truth, rtol=2e-3, atol=1e-4)
