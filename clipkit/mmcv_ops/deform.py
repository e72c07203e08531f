"""Deformable convolution (Dai et al., ICCV 2017) and the modulated one (Zhu et al., CVPR 2019), by torchvision.

Both libraries order offsets (y before x, kernel places by row), masks and groups alike. The names of the arguments are
mmcv's: W before H in the first operator, H before W in the second.
"""

import torch
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

from clipkit.mmcv_ops._precision import wide

__all__ = [
    "deform_conv_backward_input",
    "deform_conv_backward_parameters",
    "deform_conv_forward",
    "modulated_deform_conv_backward",
    "modulated_deform_conv_forward",
]


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Fills `output` (B, O, h, w).

    Args:
        input: (B, C, H, W).
        weight: (O, C / group, kH, kW).
        offset: (B, deformable_group * kH * kW * 2, h, w), y before x, in pixels.
        columns, ones, im2col_step: working space of the compiled operator; not used here.
        dW, dH: stride.
    """
    shape = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    output.copy_(_convolve(input, weight, offset, None, None, shape))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradInput: Tensor,
    gradOffset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Fills `gradInput` and `gradOffset`."""
    shape = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    by_input, _, by_offset, _, _ = _gradients(gradOutput, input, weight, offset, None, shape)
    gradInput.copy_(by_input)
    gradOffset.copy_(by_offset)


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradWeight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Fills `gradWeight`, times `scale`."""
    shape = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    # mmcv does not pass the weights: the gradient by them needs their shape alone.
    _, by_weight, _, _, _ = _gradients(gradOutput, input, gradWeight, offset, None, shape)
    gradWeight.copy_(by_weight * scale)


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Fills `output` (B, O, h, w).

    Args:
        input, weight, offset: as for `deform_conv_forward`.
        bias: (O,); empty without `with_bias`.
        mask: (B, deformable_group * kernel_h * kernel_w, h, w), a factor of each sample.
        ones, columns: working space of the compiled operator; not used here.
    """
    shape = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group)
    output.copy_(_convolve(input, weight, offset, mask, bias if with_bias else None, shape))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Fills the five gradients; `grad_bias` only with `with_bias`."""
    shape = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group)
    gradients = _gradients(grad_output, input, weight, offset, mask, shape)
    targets = (grad_input, grad_weight, grad_offset, grad_mask, grad_bias)
    for target, gradient in zip(targets if with_bias else targets[:4], gradients):
        target.copy_(gradient)


def _convolve(
    input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, bias: Tensor | None, shape: tuple[int, ...]
) -> Tensor:
    tensors = wide(input, weight, offset, *_or_nothing(input, weight, mask, bias))
    return torch.ops.torchvision.deform_conv2d(*tensors, *shape, mask is not None)


def _gradients(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    shape: tuple[int, ...],
) -> tuple[Tensor, ...]:
    """By input, weight, offset, mask and bias, none of which depends on the values of the bias."""
    tensors = wide(grad_output, input, weight, offset, *_or_nothing(input, weight, mask, None))
    return torch.ops.torchvision._deform_conv2d_backward(*tensors, *shape, mask is not None)


def _or_nothing(input: Tensor, weight: Tensor, mask: Tensor | None, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """torchvision wants tensors in the places of a missing mask and bias."""
    return (
        input.new_zeros(len(input), 1) if mask is None else mask,
        input.new_zeros(len(weight)) if bias is None else bias,
    )
