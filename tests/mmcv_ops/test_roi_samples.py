"""RoIAlign of rotated boxes and deformable RoI pooling, through mmcv's own functions, against float64 loops."""

import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmcv.ops)

pytest.importorskip("mmcv")

from mmcv.ops import DeformRoIPoolPack, ModulatedDeformRoIPoolPack, RoIAlignRotated, deform_roi_pool, roi_align_rotated

from clipkit.errors import ClipkitError
from clipkit.mmcv_ops import roi_samples
from support import mmcv_ops_oracles as oracle

FEATURES = oracle.wave(2, 3, 9, 11)
# In image pixels at scale 0.25: inside, half outside, wholly outside, tiny, along the diagonal, without area.
ROTATED = torch.tensor(
    [
        [0, 16, 13, 27, 16, 0.4],
        [1, 2, 20, 21, 40, -1.2],
        [0, 90, 90, 10, 12, 0.3],
        [1, 20, 20, 1, 1.5, 2.0],
        [0, 22, 18, 60, 9, 0.7],
        [1, 20, 18, 0, 7, 0.1],
    ],
    dtype=torch.float64,
)
UPRIGHT = torch.tensor(
    [[0, 3, 5, 30, 21], [1, -9, -7, 12, 50], [0, 60, 60, 80, 90], [1, 20, 20, 21, 21.5], [1, 30, 20, 3, 25]],
    dtype=torch.float64,
)


def same(ours, theirs, tensors, dtype=torch.float32, tolerance=1e-5):
    """Values, and gradients by every tensor, of two functions of the same tensors."""
    got = [tensor.to(dtype).requires_grad_() for tensor in tensors]
    expected = [tensor.clone().requires_grad_() for tensor in tensors]
    values = ours(*got), theirs(*expected)
    direction = oracle.wave(*values[1].shape, shift=0.5)
    values[0].backward(direction.to(values[0]))
    values[1].backward(direction)
    torch.testing.assert_close(values[0].double(), values[1], rtol=tolerance, atol=tolerance)
    for a, b in zip(got, expected):
        assert b.grad.abs().max() > 0
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=tolerance, atol=tolerance)
    return values[0].detach()


@pytest.mark.parametrize("clockwise", [True, False])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("aligned", [True, False])
def test_roi_align_rotated(aligned, sampling_ratio, clockwise, monkeypatch):
    options = (0.25, sampling_ratio, aligned, clockwise)

    def compare():
        return same(
            lambda f: roi_align_rotated(f, ROTATED.float(), (3, 2), *options),
            lambda f: oracle.roi_align_rotated(f, ROTATED, (3, 2), *options),
            [FEATURES],
        )

    output = compare()
    assert output[2].abs().max() == 0 and output[0].abs().min() > 0
    monkeypatch.setattr(roi_samples, "_MOST_VALUES", 1)
    compare()


def test_roi_align_rotated_by_no_angle_is_roi_align():
    centres = torch.cat([UPRIGHT[:4, :1], (UPRIGHT[:4, 1:3] + UPRIGHT[:4, 3:]) / 2], 1)
    boxes = torch.cat([centres, UPRIGHT[:4, 3:] - UPRIGHT[:4, 1:3], torch.zeros(4, 1)], 1)
    got = roi_align_rotated(FEATURES.float(), boxes.float(), (3, 2), 0.25, 0, True)
    expected = oracle.roi_align(FEATURES, UPRIGHT[:4], (3, 2), 0.25, 0, True)
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("moved", [True, False])
def test_deform_roi_pool(moved, sampling_ratio):
    offset = 2 * oracle.wave(len(UPRIGHT), 2, 3, 2, speed=1.9)  # some leave the map
    same(
        lambda f, *o: deform_roi_pool(f, UPRIGHT.float(), *(o or [None]), (3, 2), 0.25, sampling_ratio, 0.3),
        lambda f, *o: oracle.deform_roi_pool(f, UPRIGHT, *(o or [None]), (3, 2), 0.25, sampling_ratio, 0.3),
        [FEATURES, offset] if moved else [FEATURES],
    )


def test_deform_roi_pool_on_pixel_centres():
    """On a pixel's centre the slope is that towards the next one; outside the map's centres there is none."""
    boxes = torch.tensor([[0, 0.5, 0.5, 2.5, 2.5]], dtype=torch.float64)  # one sample, at 1, 1
    places = torch.tensor([[0, 0], [-0.5, 0], [-0.75, 0.5], [4.5, 3.5], [0, 3.5]], dtype=torch.float64)
    same(
        lambda f, o: deform_roi_pool(f, boxes.repeat(5, 1).float(), o, (1, 1), 1.0, 1, 1.0),
        lambda f, o: oracle.deform_roi_pool(f, boxes.repeat(5, 1), o, (1, 1), 1.0, 1, 1.0),
        [FEATURES, places[:, :, None, None]],
    )


@pytest.mark.parametrize("layer", [DeformRoIPoolPack, ModulatedDeformRoIPoolPack])
def test_layers_of_deform_roi_pool_train(layer):
    torch.manual_seed(0)
    pool = layer((3, 2), 3, spatial_scale=0.25)
    features = FEATURES.float().requires_grad_()
    pool(features, UPRIGHT.float()).square().sum().backward()
    assert features.grad.abs().max() > 0 and all(p.grad is not None for p in pool.parameters())
    assert pool.offset_fc[-1].bias.grad.abs().max() > 0


def test_no_boxes():
    features = FEATURES.float().requires_grad_()
    outputs = (
        RoIAlignRotated((3, 2), 0.25)(features, torch.zeros(0, 6)),
        deform_roi_pool(features, torch.zeros(0, 5), None, (3, 2)),
    )
    sum(output.sum() for output in outputs).backward()
    assert all(output.shape == (0, 3, 3, 2) for output in outputs) and features.grad.abs().sum() == 0


def test_boxes_that_cannot_be_divided():
    features = FEATURES.float()
    with pytest.raises(ClipkitError, match=r"roi_align_rotated: box 1 of 2, .* negative size"):
        roi_align_rotated(features, torch.tensor([[0.0, 5, 5, 4, 4, 0], [0, 5, 5, -4, 4, 0]]), (3, 2), 0.25, 0, True)
    assert roi_align_rotated(features, torch.tensor([[0.0, 5, 5, -4, 4, 0]]), (3, 2), 0.25, 0, False).isfinite().all()
    for function, box in ((roi_align_rotated, [0, 5, 5, torch.inf, 4, 0]), (deform_roi_pool, [0, 5, 5, torch.nan, 4])):
        extra = () if function is roi_align_rotated else (None,)
        with pytest.raises(ClipkitError, match=r"box 0 of 1.* is not finite"):
            function(features, torch.tensor([box]), *extra, (3, 2), 0.25)


def test_half_precision_rounds_the_result_alone():
    features, rois = FEATURES.half(), ROTATED.half()
    output = roi_align_rotated(features.requires_grad_(), rois, (3, 2), 0.25)
    output.sum().backward()
    wide = roi_align_rotated(features.detach().float(), rois.float(), (3, 2), 0.25)
    assert output.dtype == features.grad.dtype == torch.float16 and torch.equal(output, wide.half())
