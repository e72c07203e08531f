"""Multi-scale deformable attention (Zhu et al., "Deformable DETR", ICLR 2021, equation 3): the CUDA operator.

mmcv calls it on a GPU and has a plain version for the CPU, which holds the samples of all levels at once. This one
holds those of one level, forward and backward.
"""

import functools
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from clipkit.mmcv_ops._precision import wide

__all__ = ["ms_deform_attn_backward", "ms_deform_attn_forward"]


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Weighted sums of bilinear samples: (B, Q, M * D).

    Args:
        value: (B, K, M, D), the pixels of all levels one after the other, M heads.
        value_spatial_shapes: (L, 2), height and width of each level.
        value_level_start_index: (L,), where each level starts among the K pixels.
        sampling_locations: (B, Q, M, L, P, 2), x and y as shares of the width and the height.
        attention_weights: (B, Q, M, L, P).
        im2col_step: images at once in the compiled operator; has no effect here.
    """
    levels = _levels(value_spatial_shapes, value_level_start_index)
    sums = (
        _attend(*wide(value[:, part], sampling_locations[:, :, :, at], attention_weights[..., at, :]), shape=shape)
        for at, shape, part in levels
    )
    return functools.reduce(torch.add, sums).to(value)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Fills `grad_value`, `grad_sampling_loc` and `grad_attn_weight`, each shaped as what it is the gradient of."""
    (gradient,) = wide(grad_output)
    for level, shape, part in _levels(value_spatial_shapes, value_level_start_index):
        inputs = [
            tensor.detach().requires_grad_()
            for tensor in wide(value[:, part], sampling_locations[:, :, :, level], attention_weights[..., level, :])
        ]
        with torch.enable_grad():
            output = _attend(*inputs, shape=shape)
        by_value, by_place, by_weight = torch.autograd.grad(output, inputs, gradient.view_as(output))
        grad_value[:, part] = by_value.to(grad_value)
        # The compiled operator counts a sample on row or column -1 among those outside; grid_sample has a slope there.
        rim = (inputs[1] * inputs[1].new_tensor(shape[::-1]) - 0.5 == -1).any(-1, keepdim=True)
        grad_sampling_loc[:, :, :, level] = by_place.masked_fill(rim, 0).to(grad_sampling_loc)
        grad_attn_weight[..., level, :] = by_weight.to(grad_attn_weight)


def _levels(shapes: Tensor, starts: Tensor) -> Iterator[tuple[int, tuple[int, int], slice]]:
    for level, ((height, width), start) in enumerate(zip(shapes.tolist(), starts.tolist())):
        yield level, (height, width), slice(start, start + height * width)


def _attend(pixels: Tensor, places: Tensor, weights: Tensor, *, shape: tuple[int, int]) -> Tensor:
    """One level: pixels (B, h * w, M, D), places (B, Q, M, P, 2), weights (B, Q, M, P) -> (B, Q, M * D)."""
    batch, _, heads, channels = pixels.shape
    queries = places.shape[1]
    maps = pixels.permute(0, 2, 3, 1).reshape(batch * heads, channels, *shape)
    grid = (2 * places - 1).transpose(1, 2).flatten(0, 1)
    samples = F.grid_sample(maps, grid, align_corners=False)  # (B * M, D, Q, P), 0 outside the map
    weighted = samples * weights.transpose(1, 2).flatten(0, 1)[:, None]
    return weighted.sum(3).view(batch, heads * channels, queries).transpose(1, 2)
