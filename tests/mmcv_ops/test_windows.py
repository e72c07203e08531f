"""CARAFE and point-wise spatial attention, windows of weights around each pixel, against float64 loops."""

import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmcv.ops)

pytest.importorskip("mmcv")

from mmcv.ops import CARAFEPack, PSAMask, carafe, carafe_naive

from support import mmcv_ops_oracles as oracle


def same(ours, theirs, tensors, dtype=torch.float32, tolerance=1e-5):
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


@pytest.mark.parametrize("size, groups, scale", [(3, 1, 2), (5, 2, 2), (1, 4, 1), (3, 2, 3)])
def test_carafe(size, groups, scale):
    tensors = oracle.wave(2, 4, 3, 2), oracle.wave(2, groups * size**2, 3 * scale, 2 * scale, speed=1.9)
    same(lambda f, m: carafe(f, m, size, groups, scale), lambda f, m: oracle.carafe(f, m, size, groups, scale), tensors)
    values = carafe_naive(tensors[0].float(), tensors[1].float(), size, groups, scale)
    torch.testing.assert_close(values.double(), oracle.carafe(*tensors, size, groups, scale), rtol=1e-5, atol=1e-5)


def test_carafe_in_half_precision_rounds_the_result_alone():
    features, masks = oracle.wave(1, 4, 3, 2).half(), oracle.wave(1, 25, 6, 4, speed=1.9).half()
    output = carafe(features, masks, 5, 1, 2)
    assert output.dtype == torch.float16
    assert torch.equal(output, carafe(features.float(), masks.float(), 5, 1, 2).half())


def test_the_layer_of_carafe_trains():
    torch.manual_seed(0)
    layer = CARAFEPack(4, 2, compressed_channels=3)
    output = layer(oracle.wave(2, 4, 5, 6).float())
    output.square().sum().backward()
    assert output.shape == (2, 4, 10, 12) and all(p.grad.abs().max() > 0 for p in layer.parameters())


@pytest.mark.parametrize("size", [(5, 7), (3, 3), (2, 4)])
@pytest.mark.parametrize("kind", ["collect", "distribute"])
def test_psa_mask(kind, size):
    windows = oracle.wave(2, size[0] * size[1], 3, 4)
    same(PSAMask(kind, size), lambda x: oracle.psa_mask(x, kind, size), [windows])
