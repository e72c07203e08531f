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
