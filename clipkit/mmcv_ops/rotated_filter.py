"""Active rotating filters (Zhou et al., "Oriented Response Networks", CVPR 2017, section 3.1): each kernel in every
one of its orientations."""

import torch
from torch import Tensor

__all__ = ["active_rotated_filter_backward", "active_rotated_filter_forward"]


def active_rotated_filter_forward(input: Tensor, indices: Tensor, output: Tensor) -> None:
    """Fills `output` (O * R, I * D, h, w): kernel o turned by the r-th angle lies at o * R + r.

    Args:
        input: (O, I, D, h, w), kernels of D orientations.
        indices: (D, h, w, R), int32: to which of the D * h * w places, counted from 1, each weight goes in turn r.
    """
    kernels = input.flatten(2)[:, None].expand(-1, indices.shape[3], -1, -1)  # (O, R, I, D * h * w)
    place = _places(indices).expand_as(kernels)
    output.copy_(torch.zeros_like(kernels).scatter(3, place, kernels).reshape(output.shape))


def active_rotated_filter_backward(grad_out: Tensor, indices: Tensor, grad_in: Tensor) -> None:
    """Fills `grad_in` (O, I, D, h, w)."""
    kernels, inputs = grad_in.shape[:2]
    gradient = grad_out.reshape(kernels, indices.shape[3], inputs, -1)
    grad_in.copy_(gradient.gather(3, _places(indices).expand_as(gradient)).sum(1).view(grad_in.shape))


def _places(indices: Tensor) -> Tensor:
    """(R, 1, D * h * w)."""
    return indices.flatten(0, 2).T[:, None].long() - 1
