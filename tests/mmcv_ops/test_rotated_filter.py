"""Active rotating filters through mmcv's own function, against loops."""

import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmcv.ops)

pytest.importorskip("mmcv")

from mmcv.ops import active_rotated_filter

from support.mmcv_ops_oracles import wave


def test_active_rotated_filter():
    kernels, inputs, orientations, turns = 2, 3, 2, 4
    places = torch.stack([torch.arange(18).roll(5 * turn).flip(0) for turn in range(turns)], 1)  # any permutations
    weight = wave(kernels, inputs, orientations, 3, 3).float().requires_grad_()
    output = active_rotated_filter(weight, (places + 1).int().view(orientations, 3, 3, turns))
    direction = wave(*output.shape, shift=0.7).float()
    output.backward(direction)
    flat, arriving = weight.detach().view(kernels, inputs, 18), direction.view(kernels, turns, inputs, 18)
    expected, gradient = torch.zeros(kernels, turns, inputs, 18), torch.zeros(kernels, inputs, 18)
    for turn in range(turns):
        for entry in range(18):
            expected[:, turn, :, places[entry, turn]] = flat[:, :, entry]
            gradient[:, :, entry] += arriving[:, turn, :, places[entry, turn]]
    assert output.shape == (kernels * turns, inputs * orientations, 3, 3)
    assert torch.equal(output.detach().view_as(expected), expected)
    torch.testing.assert_close(weight.grad.view_as(gradient), gradient)
