"""Point-wise spatial attention (Zhao et al., "PSANet: Point-wise Spatial Attention Network for Scene Parsing", ECCV
2018, section 3.2): each pixel's window of weights, spread out to the whole map."""

import torch
from torch import Tensor

__all__ = ["psamask_backward", "psamask_forward"]

COLLECT = 0


def psamask_forward(
    input: Tensor,
    output: Tensor,
    psa_type: int,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> None:
    """Fills `output` (B, H * W, H, W): the weight that pixel p gives pixel q of its window, 0 outside the window.

    Args:
        input: (B, h_mask * w_mask, H, W), the window of every pixel, by row.
        psa_type: 0 (collect) has q in the second axis and p in the last two, 1 (distribute) the other way round.
        num_: B.
        half_h_mask, half_w_mask: row and column of the window that fall on the pixel itself.
    """
    place, known = _window(input, (h_feature, w_feature), (h_mask, w_mask), (half_h_mask, half_w_mask))
    for windows, spread in zip(input.flatten(2), output.view(num_, *place.shape)):
        weights = windows.gather(0, place).masked_fill(~known, 0)
        spread.copy_(weights if psa_type == COLLECT else weights.T)


def psamask_backward(
    grad_output: Tensor,
    grad_input: Tensor,
    psa_type: int,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> None:
    """Fills `grad_input` (B, h_mask * w_mask, H, W)."""
    place, known = _window(grad_input, (h_feature, w_feature), (h_mask, w_mask), (half_h_mask, half_w_mask))
    for spread, windows in zip(grad_output.flatten(2), grad_input.view(num_, h_mask * w_mask, -1)):
        weights = (spread if psa_type == COLLECT else spread.T).masked_fill(~known, 0)
        windows.copy_(torch.zeros_like(windows).scatter_add_(0, place, weights))


def _window(
    like: Tensor, size: tuple[int, int], mask: tuple[int, int], middle: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Where in pixel p's window pixel q lies, (q, p) with H * W each, and whether it does."""
    rows, columns = (
        torch.arange(count, device=like.device)[:, None] - torch.arange(count, device=like.device) + half
        for count, half in zip(size, middle)
    )  # (q, p) along one axis
    y, x = rows[:, None, :, None], columns[None, :, None, :]
    known = (y >= 0) & (y < mask[0]) & (x >= 0) & (x < mask[1])
    place = y.clamp(0, mask[0] - 1) * mask[1] + x.clamp(0, mask[1] - 1)
    area = size[0] * size[1]
    return place.expand_as(known).reshape(area, area), known.reshape(area, area)
