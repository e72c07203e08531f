"""RoIAlign and RoIPool through mmcv's own functions, values and gradients, against float64 loops."""

import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmcv.ops)

pytest.importorskip("mmcv")

from mmcv.ops import RoIAlign, RoIPool, roi_align, roi_pool

from clipkit.errors import ClipkitError
from support import mmcv_ops_oracles as oracle

FEATURES = oracle.wave(2, 3, 9, 11)
# In image pixels at scale 0.25: inside, half outside, wholly outside, tiny, the whole map.
ROIS = torch.tensor(
    [[0, 3, 5, 30, 21], [1, -9, -7, 12, 50], [0, 60, 60, 80, 90], [1, 20, 20, 21, 21.5], [0, 0, 0, 44, 36]],
    dtype=torch.float64,
)


def value_and_gradient(function, features, weights):
    features = features.clone().requires_grad_()
    output = function(features)
    output.backward(weights.to(output))
    return output.detach(), features.grad


def compare(ours, theirs, count):
    weights = oracle.wave(count, 3, 3, 2, shift=0.5)
    got = value_and_gradient(ours, FEATURES.float(), weights)
    expected = value_and_gradient(theirs, FEATURES, weights)
    for a, b in zip(got, expected):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-5)
    return got


@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("aligned", [True, False])
def test_roi_align(aligned, sampling_ratio):
    output, gradient = compare(
        lambda f: roi_align(f, ROIS.float(), (3, 2), 0.25, sampling_ratio, "avg", aligned),
        lambda f: oracle.roi_align(f, ROIS, (3, 2), 0.25, sampling_ratio, aligned),
        len(ROIS),
    )
    assert output[2].abs().max() == 0 and output[0].abs().min() > 0 and gradient[0].abs().max() > 0


def test_roi_align_max_says_what_it_lacks():
    with pytest.raises(ClipkitError, match=r"pool_mode='max'.*pool_mode='avg'"):
        roi_align(FEATURES.float(), ROIS.float(), 2, 0.25, 0, "max", True)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("box", [[6.0, 0, 0, 6], [0, 6, 6, 0], [torch.nan, 0, 6, 6], [0, 0, torch.inf, 6]])
def test_roi_align_of_boxes_that_cannot_be_divided(box, aligned):
    rois = torch.tensor([[0.0, 0, 0, 6, 6], [0, *box]])
    finite = all(abs(side) < torch.inf for side in box)
    if finite and not aligned:  # at least one pixel wide and high, as mmcv has it
        expected = oracle.roi_align(FEATURES, rois.double(), (2, 2), 1.0, 0, False)
        torch.testing.assert_close(roi_align(FEATURES.float(), rois, 2, 1.0, 0, "avg", False).double(), expected)
        return
    with pytest.raises(ClipkitError, match="box 1 of 2.*" + ("negative size" if finite else "not finite")) as error:
        roi_align(FEATURES.float(), rois, 2, 1.0, 0, "avg", aligned)
    assert "\n" not in str(error.value)


def test_roi_pool():
    # The last box ends before it begins, within a pixel; the first is repeated, so that gradients add up.
    rois = torch.cat([ROIS, ROIS[:1], torch.tensor([[0.0, 20.4, 20.4, 19, 19]], dtype=torch.float64)])
    output, _ = compare(
        lambda f: roi_pool(f, rois.float(), (3, 2), 0.25),
        lambda f: oracle.roi_pool(f, rois, (3, 2), 0.25),
        len(rois),
    )
    assert output[2].abs().max() == 0 and output[6].abs().max() == 0


def test_roi_pool_sends_the_gradient_of_equal_pixels_to_the_first():
    features = torch.zeros(1, 1, 4, 4, requires_grad=True)
    roi_pool(features, torch.tensor([[0.0, 1, 1, 3, 3]]), 1, 1.0).sum().backward()
    assert features.grad.nonzero().tolist() == [[0, 0, 1, 1]]


def test_roi_pool_in_chunks_equals_one_chunk(monkeypatch):
    from clipkit.mmcv_ops import roi

    whole = roi_pool(FEATURES.float(), ROIS.float(), (3, 2), 0.25)
    monkeypatch.setattr(roi, "_MOST_VALUES", 1)
    assert torch.equal(roi_pool(FEATURES.float(), ROIS.float(), (3, 2), 0.25), whole)


@pytest.mark.parametrize("layer", [RoIAlign((3, 2), 0.25), RoIPool((3, 2), 0.25)])
def test_no_boxes(layer):
    features = FEATURES.float().requires_grad_()
    output = layer(features, torch.zeros(0, 5))
    output.sum().backward()
    assert output.shape == (0, 3, 3, 2) and features.grad.abs().sum() == 0


def test_all_boxes_outside():
    features = FEATURES.float().requires_grad_()
    output = roi_pool(features, ROIS[2:3].float(), (3, 2), 0.25)
    output.sum().backward()
    assert output.abs().sum() == 0 and features.grad.abs().sum() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("layer", [RoIAlign((3, 2), 0.25), RoIPool((3, 2), 0.25)])
def test_half_precision_rounds_the_result_alone(layer, dtype):
    features, rois = FEATURES.to(dtype), ROIS.to(dtype)
    output = layer(features.requires_grad_(), rois)
    output.sum().backward()
    expected = features.detach().float().requires_grad_()
    wide = layer(expected, rois.float())
    wide.sum().backward()
    assert output.dtype == features.grad.dtype == dtype
    assert torch.equal(output, wide.to(dtype)) and torch.equal(features.grad, expected.grad.to(dtype))


def test_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        features = torch.nn.functional.conv2d(FEATURES.float(), torch.eye(3)[:, :, None, None])
        output = roi_align(features, ROIS.to(features), (3, 2), 0.25, 0, "avg", True)
    assert output.dtype == torch.bfloat16
    expected = oracle.roi_align(features.double(), ROIS.to(features).double(), (3, 2), 0.25, 0, True)
    torch.testing.assert_close(output.double(), expected, rtol=1e-2, atol=1e-2)
