"""Deformable convolution (Dai et al., ICCV 2017) and the modulated one (Zhu et al., CVPR 2019), by torchvision.

Both libraries order offsets (y before x, kernel places by row), masks and groups alike. mmcv's kernels are followed
where they differ: an offset map larger than the output, as DyHead (Dai et al., CVPR 2021) hands it to the next level,
is read as flat memory with the strides of the output; a sample exactly on row or column -1 has no gradient by its
offset. The names of the arguments are mmcv's: W before H in the first operator, H before W in the second.
"""

import torch
import torch.nn.functional as F
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

from clipkit.errors import ClipkitError
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
        offset: (B, deformable_group * kH * kW * 2, h, w), y before x, in pixels. Of a larger map each image's first
            values count.
        columns, ones, im2col_step: working space of the compiled operator; not used here.
        dW, dH: stride.

    Raises:
        ClipkitError: an offset map smaller than the output.
    """
    shape = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    output.copy_(_convolve(input, weight, offset, None, None, shape, output.shape[2:]))


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
    _put(gradOffset, by_offset)


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

    Raises:
        ClipkitError: a map of offsets or masks smaller than the output.
    """
    shape = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group)
    output.copy_(_convolve(input, weight, offset, mask, bias if with_bias else None, shape, output.shape[2:]))


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
    by_input, by_weight, by_offset, by_mask, by_bias = _gradients(grad_output, input, weight, offset, mask, shape)
    grad_input.copy_(by_input)
    grad_weight.copy_(by_weight)
    _put(grad_offset, by_offset)
    _put(grad_mask, by_mask)
    if with_bias:
        grad_bias.copy_(by_bias)


def _convolve(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    shape: tuple[int, ...],
    size: torch.Size,
) -> Tensor:
    offset, mask = _maps(offset, mask, weight, shape, size)
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
    """By input, weight, offset, mask and bias, none of which depends on the values of the bias. Those by offset and
    mask have the output's height and width."""
    offset, mask = _maps(offset, mask, weight, shape, grad_output.shape[2:])
    tensors = wide(grad_output, input, weight, offset, *_or_nothing(input, weight, mask, None))
    by_input, by_weight, by_offset, *rest = torch.ops.torchvision._deform_conv2d_backward(
        *tensors, *shape, mask is not None
    )
    return by_input, by_weight, _without_the_rim(by_offset, tensors[3], weight, shape), *rest


def _maps(
    offset: Tensor, mask: Tensor | None, weight: Tensor, shape: tuple[int, ...], size: torch.Size
) -> tuple[Tensor, Tensor | None]:
    """Offsets and masks as maps of the output's height and width `size`, the way mmcv's kernels index them."""
    places = shape[-1] * weight.shape[2] * weight.shape[3]
    return _first(offset, 2 * places, size, "offsets"), None if mask is None else _first(mask, places, size, "masks")


def _first(values: Tensor, channels: int, size: torch.Size, name: str) -> Tensor:
    count = channels * size.numel()
    flat = values.flatten(1)
    if flat.shape[1] < count:
        raise ClipkitError(
            f"deformable convolution: its output of {size[0]} x {size[1]} takes {count} {name} per image ({channels} "
            f"maps), there are {flat.shape[1]} (shape {tuple(values.shape)}): give it a map of its output's size"
        )
    return flat[:, :count].view(len(values), channels, *size)


def _put(target: Tensor, gradient: Tensor) -> None:
    """Fills `target` with the gradient of each image's first values, 0 for the others."""
    flat = gradient.flatten(1)
    target.copy_(F.pad(flat, (0, target[:1].numel() - flat.shape[1])).view(target.shape))


def _without_the_rim(gradient: Tensor, offset: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The gradient by the offsets, 0 where a sample lies on row or column -1: torchvision has the slope towards row
    or column 0 there, mmcv's kernels count the sample among those outside the map."""
    height, width = offset.shape[2:]
    kernel_h, kernel_w = weight.shape[2:]
    stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, _, groups = shape

    def start(count: int, stride: int, padding: int, kernel: int, dilation: int) -> Tensor:
        """(kernel, count): where the samples lie along one axis before they are moved."""
        steps = [torch.arange(n, device=offset.device, dtype=offset.dtype) for n in (count, kernel)]
        return steps[0] * stride - padding + dilation * steps[1][:, None]

    moves = offset.reshape(len(offset), groups, kernel_h, kernel_w, 2, height, width)
    y = moves[..., 0, :, :] + start(height, stride_h, pad_h, kernel_h, dilation_h)[:, None, :, None]
    x = moves[..., 1, :, :] + start(width, stride_w, pad_w, kernel_w, dilation_w)[:, None, :]
    rim = (y == -1) | (x == -1)
    return gradient.reshape(moves.shape).masked_fill(rim.unsqueeze(4), 0).reshape(gradient.shape)


def _or_nothing(input: Tensor, weight: Tensor, mask: Tensor | None, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """torchvision wants tensors in the places of a missing mask and bias."""
    return (
        input.new_zeros(len(input), 1) if mask is None else mask,
        input.new_zeros(len(weight)) if bias is None else bias,
    )
