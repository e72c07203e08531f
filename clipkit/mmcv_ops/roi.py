"""RoIAlign by torchvision, and RoIPool as mmcv defines it: torchvision's rounds the corners of the boxes first."""

import torch
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

from clipkit.errors import ClipkitError
from clipkit.mmcv_ops._precision import wide

__all__ = ["roi_align_backward", "roi_align_forward", "roi_pool_backward", "roi_pool_forward"]

AVERAGE = 1
_MOST_VALUES = 2**24  # of a chunk of RoIPool: 64 MB in float32


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fills `output` (N, C, h, w) with averages of bilinear samples in each of the h x w bins of each box.

    Args:
        input: (B, C, H, W).
        rois: (N, 5), image index, x1, y1, x2, y2 in pixels of the image.
        argmax_y, argmax_x: used by max pooling alone.
        spatial_scale: pixels of `input` per pixel of the image.
        sampling_ratio: samples per bin and axis; 0 takes one per pixel of `input`.
        pool_mode: 1, the average.
        aligned: pixel centres lie at half coordinates.

    Raises:
        ClipkitError: for the maximum (pool_mode 0), for a box that is not finite and, `aligned`, for one of negative
            size; on a GPU, which would have to be waited for, such boxes have no samples.
    """
    _no_maximum(pool_mode)
    features, boxes = wide(input, rois)
    if boxes.device.type == "cpu":
        check_sizes(boxes, boxes[:, 3] - boxes[:, 1], boxes[:, 4] - boxes[:, 2], aligned, "roi_align")
    output.copy_(
        torch.ops.torchvision.roi_align(
            features, boxes.to(features), spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned
        )
    )


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fills `grad_input` (B, C, H, W)."""
    _no_maximum(pool_mode)
    gradient, boxes = wide(grad_output, rois)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            gradient,
            boxes.to(gradient),
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    )


def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Fills `output` (N, C, h, w) with the largest value in each bin, 0 in a bin without pixels, and `argmax` with its
    place in the flattened H x W map (the first of equal ones), -1 in a bin without pixels.

    A bin reaches from the floor of its lower edge to the ceiling of its upper one, a box to x2 + 1 and y2 + 1.
    """
    features, boxes = wide(input, rois)
    height, width = features.shape[2:]
    pixels = features.flatten(2).transpose(1, 2)
    image = boxes[:, 0].long()[:, None, None, None, None]
    top, bottom = _bins(boxes[:, 2], boxes[:, 4], pooled_height, spatial_scale, height)
    left, right = _bins(boxes[:, 1], boxes[:, 3], pooled_width, spatial_scale, width)
    if not output.numel():
        return
    tall, broad = int((bottom - top).max()), int((right - left).max())
    if not tall or not broad:
        output.zero_()
        argmax.fill_(-1)
        return
    each = pooled_height * pooled_width * tall * broad * features.shape[1]
    for part in torch.arange(len(boxes), device=boxes.device).split(max(1, _MOST_VALUES // each)):
        y, x = _steps(top[part], tall)[:, :, None, :, None], _steps(left[part], broad)[:, None, :, None, :]
        inside = (y < bottom[part][:, :, None, None, None]) & (x < right[part][:, None, :, None, None])
        place = (y.clamp(max=height - 1) * width + x.clamp(max=width - 1)).flatten(3)  # (n, h, w, tall * broad)
        values = pixels[image[part, ..., 0], place].masked_fill(~inside.flatten(3)[..., None], -torch.inf)
        best, which = values.max(3)
        empty = ~inside.flatten(3).any(3)[..., None]
        output[part] = best.masked_fill(empty, 0).permute(0, 3, 1, 2).to(output)
        argmax[part] = place.gather(3, which).masked_fill(empty, -1).permute(0, 3, 1, 2).to(argmax)


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Fills `grad_input` (B, C, H, W): each gradient goes to the pixel that was the largest."""
    (gradient,) = wide(grad_output)
    channels, area = grad_input.shape[1], grad_input.shape[2] * grad_input.shape[3]
    plane = rois[:, :1].long() * channels + torch.arange(channels, device=rois.device)
    place = plane[:, :, None, None] * area + argmax.clamp(min=0)
    total = gradient.new_zeros(grad_input.numel())
    total.index_add_(0, place.flatten(), gradient.masked_fill(argmax < 0, 0).flatten())
    grad_input.copy_(total.view_as(grad_input))


def check_sizes(boxes: Tensor, width: Tensor, height: Tensor, aligned: bool, operator: str) -> None:
    """Raises `ClipkitError` for the first of the boxes (N, 5 or 6) whose size cannot be divided into samples: one
    that is not finite and, `aligned`, a negative one."""
    known = torch.isfinite(boxes).all(1)
    bad = ~known | ((width < 0) | (height < 0) if aligned else ~known)
    if bad.any():
        index = int(bad.nonzero()[0])
        what = "has a negative size, which aligned=True does not take" if known[index] else "is not finite"
        raise ClipkitError(
            f"{operator}: box {index} of {len(boxes)}, {boxes[index, 1:].tolist()}, {what}: repair or drop it before"
        )


def _bins(low: Tensor, high: Tensor, count: int, scale: float, limit: int) -> tuple[Tensor, Tensor]:
    """First pixel and the one after the last of `count` bins of each box along one axis: two (N, count)."""
    start = low * scale
    size = (high + 1) * scale - start
    index = torch.arange(count + 1, device=low.device, dtype=low.dtype)
    edges = index * (size / count)[:, None] + start[:, None]
    first, last = (edge.clamp(0, limit).long() for edge in (edges[:, :-1].floor(), edges[:, 1:].ceil()))
    return first, torch.where(size[:, None] > 0, torch.maximum(first, last), first)


def _steps(first: Tensor, count: int) -> Tensor:
    return first[..., None] + torch.arange(count, device=first.device)


def _no_maximum(pool_mode: int) -> None:
    if pool_mode != AVERAGE:
        raise ClipkitError(
            "RoIAlign with pool_mode='max' lacks a substitute for mmcv's compiled operator: use pool_mode='avg', or "
            "install an onedl-mmcv that was compiled for this torch"
        )
