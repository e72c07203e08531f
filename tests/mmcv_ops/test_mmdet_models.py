"""Detectors of mmdet, scaled down, train and predict on the substitutes of mmcv's operators."""

import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmdet)

pytest.importorskip("mmdet")

from support.mmdet_models import DETECTORS, build, count_calls, train_and_predict

QUICK = ("Mask R-CNN", "RetinaNet")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in DETECTORS]
)
def test_trains_and_predicts(name, monkeypatch):
    calls = count_calls(monkeypatch)
    model = build(name)
    first, second, result = train_and_predict(model)
    assert first > 0 and second > 0 and second != first
    boxes = result.pred_instances.bboxes
    assert len(boxes) and boxes.shape[1] == 4 and torch.isfinite(boxes).all()
    assert torch.isfinite(result.pred_instances.scores).all()
    _, everywhere, _ = DETECTORS[name]
    assert everywhere <= set(calls), f"not called: {everywhere - set(calls)}"


def test_dyhead_trains():
    """Its middle convolution hands the offsets of each level to the smaller next one."""
    from mmdet.models.necks import DyHead

    torch.manual_seed(0)
    neck = DyHead(16, 16, num_blocks=2)
    pyramid = [torch.rand(2, 16, size, size) for size in (8, 4, 2)]
    optimizer = torch.optim.SGD(neck.parameters(), 0.01)
    losses = []
    for _ in range(3):
        outputs = neck(pyramid)
        loss = sum((output - 1).square().mean() for output in outputs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert [tuple(output.shape) for output in outputs] == [(2, 16, size, size) for size in (8, 4, 2)]
    assert losses[2] < losses[1] < losses[0]
    moved = neck.dyhead_blocks[0].spatial_conv_offset.weight.grad
    assert moved[:18].abs().max() > 0 and moved[18:].abs().max() > 0
