"""MultiPositiveLoss and SigmoidLoss against the papers' loops, open_clip's SigLipLoss, and each other."""

import math

import pytest
import torch
import torch.nn.functional as F

from clipkit.adapters import ContrastiveLoss, MultiPositiveLoss, SigmoidLoss


def unit(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def kl_loops(x, y, scale, weights, targets):
    """One direction, one scalar at a time."""
    total = 0.0
    for i in range(len(x)):
        logits = [scale * float(x[i] @ y[j]) for j in range(len(y))]
        log_norm = math.log(sum(math.exp(v) for v in logits))
        if targets == "softmax":
            q = [math.exp(10 * float(w)) for w in weights[i]]
        else:
            q = [float(w) for w in weights[i]]
        mass = sum(q)
        for j in range(len(y)):
            if q[j] > 0:
                total += q[j] / mass * (math.log(q[j] / mass) - (logits[j] - log_norm))
    return total / len(x)


@pytest.mark.parametrize("targets", ["normalized", "softmax"])
@pytest.mark.parametrize("chunk", [None, 3])
def test_multi_positive_equals_loops(targets, chunk):
    x, y = unit(7, 5), unit(6, 5, seed=1)
    x_ids, y_ids = torch.tensor([0, 0, 1, 2, 2, 9, 1]), torch.tensor([0, 1, 1, 2, 3, 0])
    weights = (x_ids[:, None] == y_ids).double()
    expected = (kl_loops(x, y, 8.0, weights, targets) + kl_loops(y, x, 8.0, weights.T, targets)) / 2
    loss = MultiPositiveLoss(targets, chunk=chunk)
    assert loss(x, y, 8.0, x_ids, y_ids).item() == pytest.approx(expected, abs=1e-12)
    assert loss(x, y, 8.0, weights).item() == pytest.approx(expected, abs=1e-12)


def test_normalized_targets_reduce_to_infonce_when_all_ids_differ():
    x, y = unit(9, 5), unit(9, 5, seed=1)
    value = MultiPositiveLoss()(x, y, 20.0, torch.arange(9))
    assert value.item() == pytest.approx(ContrastiveLoss()(x, y, 20.0).item(), abs=1e-12)


def test_normalized_targets_are_zero_at_the_optimum_where_infonce_is_not():
    """Two classes, each twice: InfoNCE punishes the duplicates with log 2, soft targets do not."""
    x = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]], dtype=torch.float64)
    ids = torch.tensor([0, 0, 1, 1])
    assert MultiPositiveLoss()(x, x, 100.0, ids).item() == pytest.approx(0.0, abs=1e-12)
    assert ContrastiveLoss()(x, x, 100.0).item() == pytest.approx(math.log(2), abs=1e-9)


def test_weighted_positives_and_empty_rows():
    x, y = unit(3, 4), unit(3, 4, seed=1)
    weights = torch.tensor([[2.0, 1, 0], [0, 0, 0], [0, 0, 3]], dtype=torch.float64)
    rows = sum(kl_loops(x[i : i + 1], y, 5.0, weights[i : i + 1], "normalized") for i in (0, 2)) / 3
    columns = sum(kl_loops(y[j : j + 1], x, 5.0, weights.T[j : j + 1], "normalized") for j in range(3)) / 3
    expected = (rows + columns) / 2
    x.requires_grad_()
    value = MultiPositiveLoss()(x, y, 5.0, weights)
    value.backward()
    assert value.item() == pytest.approx(expected, abs=1e-12)
    assert torch.isfinite(x.grad).all()


def sigmoid_loops(x, y, scale, bias, ids):
    total = 0.0
    for i in range(len(x)):
        for j in range(len(y)):
            z = 1 if ids[i] == ids[j] else -1
            total -= math.log(1 / (1 + math.exp(-z * (scale * float(x[i] @ y[j]) + bias))))
    return total / len(x)


@pytest.mark.parametrize("chunk", [None, 1, 4])
@pytest.mark.parametrize("ids", [None, [0, 1, 1, 2, 0, 0, 3]])
def test_sigmoid_equals_loops(chunk, ids):
    x, y = unit(7, 5), unit(7, 5, seed=1)
    expected = sigmoid_loops(x, y, 10.0, -10.0, ids or list(range(7)))
    value = SigmoidLoss(chunk=chunk)(x, y, 10.0, -10.0, None if ids is None else torch.tensor(ids))
    assert value.item() == pytest.approx(expected, abs=1e-12)


def test_sigmoid_equals_open_clip():
    from open_clip.loss import SigLipLoss

    x, y = unit(7, 5), unit(7, 5, seed=1)
    expected = SigLipLoss()(x, y, 10.0, -10.0)
    assert SigmoidLoss()(x, y, 10.0, -10.0).item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize(
    "loss, extra",
    [
        (lambda chunk: MultiPositiveLoss(chunk=chunk), [torch.arange(11) % 4]),
        (lambda chunk: MultiPositiveLoss("softmax", chunk=chunk), [torch.arange(11) % 4]),
        (lambda chunk: SigmoidLoss(chunk=chunk), [torch.tensor(-3.0).double().requires_grad_()]),
    ],
    ids=["normalized", "softmax", "sigmoid"],
)
def test_chunks_give_the_same_gradients(loss, extra):
    results = []
    for chunk in (None, 4):
        inputs = [unit(11, 5), unit(11, 5, seed=1), torch.tensor(10.0, dtype=torch.float64)]
        inputs = [tensor.requires_grad_() for tensor in inputs]
        for tensor in extra:
            tensor.grad = None
        value = loss(chunk)(*inputs, *extra)
        value.backward()
        results.append([value.detach(), *[t.grad.clone() for t in [*inputs, *extra] if t.requires_grad]])
    assert len(results[0]) >= 4
    for plain, chunked in zip(*results):
        torch.testing.assert_close(chunked, plain, rtol=0, atol=1e-12)


def test_bad_arguments_are_refused():
    x = unit(3, 4)
    with pytest.raises(ValueError, match="targets"):
        MultiPositiveLoss("hard")
    with pytest.raises(ValueError, match="ids"):
        MultiPositiveLoss()(x, x, 1.0, torch.arange(4))
    with pytest.raises(ValueError, match="3 x 3"):
        MultiPositiveLoss()(x, x, 1.0, torch.ones(3, 4))
    with pytest.raises(ValueError, match="chunk"):
        SigmoidLoss(chunk=-1)
    with pytest.raises(ValueError, match="one shape"):
        SigmoidLoss()(x, x[:2], 1.0, 0.0)
