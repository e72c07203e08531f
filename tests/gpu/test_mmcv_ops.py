"""mmdet without compiled operators on a GPU: each operator against itself in float64 on the CPU, where
`tests/mmcv_ops` holds it to plain loops, and the detectors, some of which call other operators on a GPU than a CPU."""

import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmdet)
from support.gpu_device import DEVICE, ON_GPU, gpu
from support.gpu_device import exact as exact

pytest.importorskip("mmdet")

from mmcv.ops import (
    MaskedConv2d,
    batched_nms,
    bbox_overlaps,
    box_iou_rotated,
    carafe,
    deform_conv2d,
    deform_roi_pool,
    modulated_deform_conv2d,
    nms,
    nms_match,
    nms_rotated,
    psa_mask,
    roi_align,
    roi_align_rotated,
    roi_pool,
    sigmoid_focal_loss,
    soft_nms,
    softmax_focal_loss,
)
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

from support.mmcv_ops_oracles import some_boxes, wave
from support.mmdet_models import DETECTORS, build, count_calls, train_and_predict

pytestmark = gpu

LOGITS, LABELS = wave(300, 21, scale=6), torch.arange(300) % 21
ROIS = torch.cat([torch.arange(40).double()[:, None] % 2, some_boxes(40, 160.0)[0]], 1)
ROTATED = torch.cat([ROIS[:, :1], 0.5 * (ROIS[:, 1:3] + ROIS[:, 3:]), ROIS[:, 3:] - ROIS[:, 1:3], wave(40, 1)], 1)
OFFSET = (wave(4, 36, 20, 24, scale=7, speed=2.2).floor() + 0.5) / 4
LEVELS = torch.tensor([(20, 24), (10, 12), (5, 6)])
STARTS = torch.tensor([0, 480, 600])
# Name -> function of tensors, the tensors that get a gradient, and those that go along.
OPERATORS = {
    "roi_align": (lambda x, r: roi_align(x, r, (7, 7), 0.25, 0, "avg", True), [wave(2, 16, 40, 48)], [ROIS]),
    "roi_align, old": (lambda x, r: roi_align(x, r, (7, 5), 0.25, 2, "avg", False), [wave(2, 16, 40, 48)], [ROIS]),
    "roi_pool": (lambda x, r: roi_pool(x, r, (7, 7), 0.25), [wave(2, 16, 40, 48)], [ROIS]),
    "roi_align_rotated": (lambda x, r: roi_align_rotated(x, r, (7, 7), 0.25), [wave(2, 16, 40, 48)], [ROTATED]),
    "deform_roi_pool": (
        lambda x, o, r: deform_roi_pool(x, r, o, (7, 7), 0.25, 0, 0.1),
        [wave(2, 16, 40, 48), wave(40, 2, 7, 7, speed=1.9)],
        [ROIS],
    ),
    "carafe": (lambda x, m: carafe(x, m, 5, 2, 2), [wave(2, 8, 9, 7), wave(2, 50, 18, 14, speed=1.9)], []),
    "psa_mask": (lambda x: psa_mask(x, 0, (5, 7)), [wave(2, 35, 9, 7)], []),
    "deform_conv": (
        lambda x, o, w: deform_conv2d(x, o, w, 1, 1, 1, 2, 2),
        [wave(4, 16, 20, 24), OFFSET, wave(32, 8, 3, 3, speed=0.8)],
        [],
    ),
    "modulated_deform_conv": (
        lambda x, o, w, b, m: modulated_deform_conv2d(x, o, m, w, b, 1, 1, 1, 2, 2),
        [wave(4, 16, 20, 24), OFFSET, wave(32, 8, 3, 3, speed=0.8), wave(32), wave(4, 18, 20, 24, speed=1.9)],
        [],
    ),
    "sigmoid_focal_loss": (
        lambda x, t: sigmoid_focal_loss(x, t, 2.0, 0.25, None, "none"),
        [LOGITS[:, :20]],  # label 20 is the background
        [LABELS],
    ),
    "softmax_focal_loss": (lambda x, t: softmax_focal_loss(x, t, 2.0, 0.25, None, "mean"), [LOGITS], [LABELS]),
    "ms_deform_attn": (
        lambda v, p, w, s, t: MultiScaleDeformableAttnFunction.apply(v, s, t, p, w, 64),
        [wave(2, 630, 4, 8), 0.5 + 0.6 * wave(2, 50, 4, 3, 4, 2, speed=2.9), wave(2, 50, 4, 3, 4).exp()],
        [LEVELS, STARTS],
    ),
}


def run(name, device, dtype):
    """Value and gradients, on the CPU and in float64."""
    function, tensors, rest = OPERATORS[name]
    tensors = [tensor.to(device, dtype, copy=True).requires_grad_() for tensor in tensors]
    rest = [tensor.to(device, dtype if tensor.is_floating_point() else None) for tensor in rest]
    output = function(*tensors, *rest)
    output.backward(wave(*output.shape, shift=0.5).to(output))
    return [result.detach().cpu().double() for result in (output, *(tensor.grad for tensor in tensors))]


@pytest.mark.parametrize("name", OPERATORS)
def test_operator(name, exact):
    for ours, truth in zip(run(name, DEVICE, torch.float32), run(name, "cpu", torch.float64)):
        torch.testing.assert_close(ours, truth, rtol=1e-5, atol=1e-5 * max(1.0, float(truth.abs().max())))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", OPERATORS)
def test_operator_in_half_precision(name, dtype, exact):
    """Against float32 of the same rounded inputs: the result alone is rounded."""
    function, tensors, rest = OPERATORS[name]
    rounded = [tensor.to(dtype).to(DEVICE) for tensor in tensors]
    rest = [tensor.to(DEVICE, dtype if tensor.is_floating_point() else None) for tensor in rest]
    half = function(*rounded, *rest)
    wide = function(*(t.float() for t in rounded), *(t.float() if t.is_floating_point() else t for t in rest))
    assert half.dtype == dtype and half.device.type == torch.device(DEVICE).type
    torch.testing.assert_close(half.float(), wide, rtol=4 * torch.finfo(dtype).eps, atol=4 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("offset", [0, 1])
def test_suppression_keeps_what_the_cpu_keeps(offset):
    boxes, scores = (tensor.float() for tensor in some_boxes(500, 200.0))
    order = torch.arange(500)
    for kept in (
        lambda b, s: nms(b, s, 0.5, offset=offset)[1],
        lambda b, s: batched_nms(b, s, (order % 7).to(b.device), dict(type="nms", iou_threshold=0.6))[1],
        lambda b, s: soft_nms(b, s, 0.5, offset=offset)[1],
        lambda b, s: torch.cat(nms_match(torch.cat([b, s[:, None]], 1), 0.6)),
    ):
        here = kept(boxes.to(DEVICE), scores.to(DEVICE))
        assert here.device.type == torch.device(DEVICE).type
        assert here.tolist() == kept(boxes, scores).tolist()


def test_overlaps_and_suppression_of_rotated_boxes():
    boxes, scores = ROTATED[:, 1:].float(), wave(40).float()
    for function in (
        lambda b, s: bbox_overlaps(b[:, :4], b[:, :4]),
        lambda b, s: box_iou_rotated(b, b),
        lambda b, s: nms_rotated(b, s, 0.3)[1],
    ):
        here = function(boxes.to(DEVICE), scores.to(DEVICE))
        assert here.device.type == torch.device(DEVICE).type
        torch.testing.assert_close(here.cpu(), function(boxes, scores))


def test_masked_conv(exact):
    torch.manual_seed(0)
    layer, x, mask = MaskedConv2d(8, 8, 3, padding=1), wave(1, 8, 20, 24).float(), (wave(1, 20, 24) > 0).float()
    with torch.no_grad():
        expected = layer(x, mask)
        torch.testing.assert_close(
            layer.to(DEVICE)(x.to(DEVICE), mask.to(DEVICE)).cpu(), expected, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("name", DETECTORS)
def test_detector_trains_and_predicts(name, monkeypatch):
    calls = count_calls(monkeypatch)
    first, second, result = train_and_predict(build(name).to(DEVICE))
    assert first > 0 and second > 0 and second != first
    boxes = result.pred_instances.bboxes
    assert len(boxes) and torch.isfinite(boxes).all() and boxes.device.type == torch.device(DEVICE).type
    _, everywhere, on_gpu = DETECTORS[name]
    expected = everywhere | on_gpu if ON_GPU else everywhere
    assert expected <= set(calls), f"not called: {expected - set(calls)}"


FP16 = pytest.param(torch.float16, marks=pytest.mark.skipif(not ON_GPU, reason="fp16 training needs CUDA"))


@pytest.mark.parametrize("dtype", [torch.bfloat16, FP16])
@pytest.mark.parametrize("name", ["Mask R-CNN", "RetinaNet", "Deformable DETR", "DCN", "DCNv2"])
def test_detector_in_mixed_precision(name, dtype):
    first, second, result = train_and_predict(build(name).to(DEVICE), autocast=dtype)
    assert first > 0 and second > 0 and torch.isfinite(result.pred_instances.bboxes).all()
