"""CARAFE (Wang et al., "CARAFE: Content-Aware ReAssembly of FEatures", ICCV 2019, section 3.2): upsampling with a
kernel of each output pixel's own."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from clipkit.mmcv_ops._precision import wide

__all__ = ["carafe_backward", "carafe_forward", "carafe_naive_backward", "carafe_naive_forward"]


def carafe_naive_forward(
    features: Tensor, masks: Tensor, output: Tensor, kernel_size: int, group_size: int, scale_factor: int
) -> None:
    """Fills `output` (B, C, s * H, s * W) with weighted sums of the K x K pixels around the one that each output pixel
    lies in, 0 outside the map.

    Args:
        features: (B, C, H, W).
        masks: (B, group_size * K * K, s * H, s * W), the weights, by row; one set for each group of channels.
        kernel_size, scale_factor: K and s.
    """
    features, masks = wide(features, masks)
    sums = torch.zeros_like(_cells(output, group_size, scale_factor), dtype=features.dtype)
    for pixels, weights in _places(features, masks, kernel_size, group_size, scale_factor):
        sums.addcmul_(pixels, weights)
    output.copy_(sums.reshape(output.shape))


def carafe_naive_backward(
    top_grad: Tensor,
    features: Tensor,
    masks: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Fills `bottom_grad` (B, C, H, W) and `mask_grad` (B, group_size * K * K, s * H, s * W)."""
    features, masks, gradient = wide(features, masks, top_grad)
    height, width = features.shape[2:]
    arriving = _cells(gradient, group_size, scale_factor)
    by_feature = F.pad(torch.zeros_like(features), [kernel_size // 2] * 4)
    by_mask = masks.new_zeros(len(masks), group_size, kernel_size**2, *masks.shape[2:])
    for index, (pixels, weights) in enumerate(_places(features, masks, kernel_size, group_size, scale_factor)):
        top, left = divmod(index, kernel_size)
        part = (arriving * weights).sum((4, 6)).reshape(features.shape)
        by_feature[:, :, top : top + height, left : left + width] += part
        by_mask[:, :, index] = (arriving * pixels).sum(2).reshape(by_mask[:, :, index].shape)
    edge = kernel_size // 2
    bottom_grad.copy_(by_feature[:, :, edge : edge + height, edge : edge + width])
    mask_grad.copy_(by_mask.view(masks.shape))


def carafe_forward(
    features: Tensor,
    masks: Tensor,
    rfeatures: Tensor,
    routput: Tensor,
    rmasks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """As `carafe_naive_forward`. `rfeatures` keeps the features for `carafe_backward`; `routput` and `rmasks` are
    working space of the compiled operator, not used here."""
    rfeatures.copy_(features)
    carafe_naive_forward(features, masks, output, kernel_size, group_size, scale_factor)


def carafe_backward(
    top_grad: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rtop_grad: Tensor,
    rbottom_grad_hs: Tensor,
    rbottom_grad: Tensor,
    rmask_grad: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """As `carafe_naive_backward`; the tensors from `rtop_grad` to `rmask_grad` are not used here."""
    carafe_naive_backward(top_grad, rfeatures, masks, bottom_grad, mask_grad, kernel_size, group_size, scale_factor)


def _cells(output: Tensor, groups: int, scale: int) -> Tensor:
    """(B, C, s * H, s * W) as (B, G, C / G, H, s, W, s)."""
    batch, channels, height, width = output.shape
    return output.reshape(batch, groups, channels // groups, height // scale, scale, width // scale, scale)


def _places(features: Tensor, masks: Tensor, size: int, groups: int, scale: int) -> Iterator[tuple[Tensor, Tensor]]:
    """For each of the K * K places of the kernel, what lies there, (B, G, C / G, H, 1, W, 1), and its weights, (B, G,
    1, H, s, W, s): one place at a time, because all of them take K * K times the memory."""
    batch, channels, height, width = features.shape
    padded = F.pad(features, [size // 2] * 4).view(batch, groups, channels // groups, -1, width + size // 2 * 2)
    weights = masks.reshape(batch, groups, size * size, height, scale, width, scale)
    for index in range(size * size):
        top, left = divmod(index, size)
        pixels = padded[:, :, :, top : top + height, left : left + width]
        yield pixels[:, :, :, :, None, :, None], weights[:, :, index, None]
