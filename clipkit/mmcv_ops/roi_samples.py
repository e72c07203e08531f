"""RoIs pooled from bilinear samples at places of their own: rotated boxes, and boxes whose bins move (Dai et al.,
"Deformable Convolutional Networks", ICCV 2017, section 2.2)."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from clipkit.mmcv_ops._precision import wide
from clipkit.mmcv_ops.roi import check_sizes

__all__ = [
    "deform_roi_pool_backward",
    "deform_roi_pool_forward",
    "roi_align_rotated_backward",
    "roi_align_rotated_forward",
]

_MOST_VALUES = 2**22  # sampled at once: 16 MB in float32
_FOUR = ((0, 0), (0, 1), (1, 0), (1, 1))


def roi_align_rotated_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    clockwise: bool,
) -> None:
    """Fills `output` (N, C, h, w) with averages of bilinear samples in each of the h x w bins of each rotated box.

    Args:
        input: (B, C, H, W).
        rois: (N, 6), image index, centre x and y, width, height in pixels of the image, angle in radians.
        spatial_scale: pixels of `input` per pixel of the image.
        sampling_ratio: samples per bin and axis; 0 takes one per pixel of `input`.
        aligned: pixel centres lie at half coordinates; without, a box is at least one pixel of `input` wide and high.
        clockwise: the direction of the angle, as an image shows it.

    Raises:
        ClipkitError: a box that is not finite or, `aligned`, of negative size.
    """
    features, boxes = wide(input, rois)
    layout = _rotated(boxes.to(features), (pooled_height, pooled_width), spatial_scale, aligned, clockwise)
    output.copy_(_pool(features, layout, sampling_ratio))


def roi_align_rotated_backward(
    grad_output: Tensor,
    rois: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    clockwise: bool,
) -> None:
    """Fills `grad_input` (B, C, H, W)."""
    gradient, boxes = wide(grad_output, rois)
    layout = _rotated(boxes.to(gradient), (pooled_height, pooled_width), spatial_scale, aligned, clockwise)
    by_pixels, _ = _pool_backward(gradient, layout, sampling_ratio, grad_input.shape)
    grad_input.copy_(by_pixels)


def deform_roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    output: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Fills `output` (N, C, h, w) with averages of bilinear samples in each bin, moved by its own offset.

    Args:
        input: (B, C, H, W).
        rois: (N, 5), image index, x1, y1, x2, y2 in pixels of the image.
        offset: (N, 2, h, w), x before y, in shares of `gamma` times the box's width and height; empty for none.
        spatial_scale, sampling_ratio: as for `roi_align_rotated_forward`.

    Raises:
        ClipkitError: a box that is not finite.
    """
    features, boxes, moves = wide(input, rois, offset)
    layout = _moved(boxes.to(features), moves.to(features), (pooled_height, pooled_width), spatial_scale, gamma)
    output.copy_(_pool(features, layout, sampling_ratio))


def deform_roi_pool_backward(
    grad_output: Tensor,
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Fills `grad_input` and, where there are offsets, `grad_offset`: the derivative of the samples, 0 where they have
    left the map."""
    gradient, features, boxes, moves = wide(grad_output, input, rois, offset)
    layout = _moved(boxes.to(gradient), moves.to(gradient), (pooled_height, pooled_width), spatial_scale, gamma)
    by_pixels, by_place = _pool_backward(gradient, layout, sampling_ratio, input.shape, features.to(gradient))
    grad_input.copy_(by_pixels)
    if offset.numel():
        reach = gamma * torch.stack([layout.width, layout.height], 1)[:, :, None, None]
        grad_offset.copy_(by_place.flip(1) * reach)


class _Layout(NamedTuple):
    """Where the bins of N boxes lie in the map: in a frame of the box's own, turned by `angle` and put to `centre`."""

    image: Tensor  # (N,) int64
    height: Tensor  # (N,)
    width: Tensor
    top: Tensor  # (N, h, w), the upper edge of each bin in the frame
    left: Tensor
    centre: Tensor  # (N, 2), y before x: the frame's origin
    angle: Tensor  # (N,)


def _rotated(boxes: Tensor, bins: tuple[int, int], scale: float, aligned: bool, clockwise: bool) -> _Layout:
    width, height = (boxes[:, 3:5] * scale).unbind(1)
    check_sizes(boxes, width, height, aligned, "roi_align_rotated")
    if not aligned:
        width, height = width.clamp(min=1), height.clamp(min=1)
    centre = boxes[:, 1:3].flip(1) * scale - (0.5 if aligned else 0.0)
    top, left = _edges(-height / 2, -width / 2, height, width, bins)
    return _Layout(boxes[:, 0].long(), height, width, top, left, centre, -boxes[:, 5] if clockwise else boxes[:, 5])


def _moved(boxes: Tensor, offset: Tensor, bins: tuple[int, int], scale: float, gamma: float) -> _Layout:
    x1, y1, x2, y2 = (boxes[:, 1:] * scale - 0.5).unbind(1)
    width, height = x2 - x1, y2 - y1
    check_sizes(boxes, width, height, False, "deform_roi_pool")
    top, left = _edges(y1, x1, height, width, bins)
    if offset.numel():
        left = left + gamma * width[:, None, None] * offset[:, 0]
        top = top + gamma * height[:, None, None] * offset[:, 1]
    return _Layout(boxes[:, 0].long(), height, width, top, left, torch.zeros_like(boxes[:, :2]), torch.zeros_like(x1))


def _edges(top: Tensor, left: Tensor, height: Tensor, width: Tensor, bins: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The upper and the left edge of each bin: two (N, h, w)."""
    rows, columns = (torch.arange(count, device=top.device, dtype=top.dtype) for count in bins)
    down = top[:, None] + rows * (height / bins[0])[:, None]
    right = left[:, None] + columns * (width / bins[1])[:, None]
    return down[:, :, None].expand(-1, *bins), right[:, None].expand(-1, *bins)


class _Axis(NamedTuple):
    """Along one axis, each sample's two pixels, their weights, and how these grow with the sample's place."""

    pixels: tuple[Tensor, Tensor]
    shares: tuple[Tensor, Tensor]
    slopes: tuple[Tensor, Tensor]


class _Samples(NamedTuple):
    """One row of samples in each bin of the boxes `which`: all tensors but these are (n, h, w, S), S samples a row."""

    which: Tensor  # (n,)
    each: int  # samples in a bin
    first: Tensor  # (n, 1, 1, 1), the row of the table of pixels (B * H * W, C) where the box's image begins
    line: int  # W
    inside: Tensor
    y: _Axis
    x: _Axis

    def corners(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The four pixels around each sample, as rows of the table, and their weights."""
        for i, j in _FOUR:
            place = self.first + self.y.pixels[i] * self.line + self.x.pixels[j]
            yield place, self.y.shares[i] * self.x.shares[j] * self.inside

    def slopes(self) -> Iterator[Tensor]:
        """(2, n, h, w, S) for each of the four: of its weight by the sample's y and x."""
        for i, j in _FOUR:
            by_y, by_x = self.y.slopes[i] * self.x.shares[j], self.y.shares[i] * self.x.slopes[j]
            yield torch.stack([by_y, by_x]) * self.inside


def _samples(layout: _Layout, ratio: int, channels: int, size: tuple[int, int]) -> Iterator[_Samples]:
    """Boxes with equally many samples together, each row of samples alone: memory stays bounded."""
    bins = layout.top.shape[1:]
    counts = [
        torch.full_like(extent, ratio) if ratio > 0 else (extent / cells).ceil().clamp(min=0)
        for extent, cells in zip((layout.height, layout.width), bins)
    ]
    kinds, kind = torch.stack(counts, 1).long().unique(dim=0, return_inverse=True)
    for index, (rows, columns) in enumerate(kinds.tolist()):
        each = max(1, bins.numel() * columns * channels)
        for which in (kind == index).nonzero()[:, 0].split(max(1, _MOST_VALUES // each)):
            for row in range(rows if columns else 0):
                yield _row(layout, which, row, rows, columns, size)


def _row(layout: _Layout, which: Tensor, row: int, rows: int, columns: int, size: tuple[int, int]) -> _Samples:
    image, tall, broad, top, left, centre, angle = (tensor[which] for tensor in layout)
    steps = (torch.arange(columns, device=which.device, dtype=top.dtype) + 0.5) / columns
    down = (top + (row + 0.5) / rows * (tall / top.shape[1])[:, None, None])[..., None]
    right = left[..., None] + steps * (broad / top.shape[2])[:, None, None, None]
    cos, sin, centre_y, centre_x = (t[:, None, None, None] for t in (angle.cos(), angle.sin(), *centre.unbind(1)))
    y = down * cos - right * sin + centre_y
    x = down * sin + right * cos + centre_x
    height, width = size
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    first = image[:, None, None, None] * (height * width)
    return _Samples(which, rows * columns, first, width, inside, _axis(y, height), _axis(x, width))


def _axis(place: Tensor, size: int) -> _Axis:
    """Beyond the outermost pixel centres the map goes on as it is there."""
    held = place.clamp(0, size - 1)
    low = held.floor()
    share, first, slope = held - low, low.long(), (place >= 0).to(place)
    return _Axis((first, (first + 1).clamp(max=size - 1)), (1 - share, share), (-slope, slope))


def _pool(features: Tensor, layout: _Layout, ratio: int) -> Tensor:
    _, channels, height, width = features.shape
    table = features.permute(0, 2, 3, 1).reshape(-1, channels)
    total = features.new_zeros(*layout.top.shape, channels)
    for part in _samples(layout, ratio, channels, (height, width)):
        for pixel, weight in part.corners():
            total.index_add_(0, part.which, torch.einsum("nhwsc,nhws->nhwc", table[pixel], weight / part.each))
    return total.permute(0, 3, 1, 2)


def _pool_backward(
    gradient: Tensor, layout: _Layout, ratio: int, shape: torch.Size, features: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """By the map (B, C, H, W) and, given the map's values, by y and x of each bin (N, 2, h, w)."""
    batch, channels, height, width = shape
    arriving = gradient.permute(0, 2, 3, 1)
    by_pixels = gradient.new_zeros(batch * height * width, channels)
    by_place = gradient.new_zeros(2, *layout.top.shape)
    table = None if features is None else features.permute(0, 2, 3, 1).reshape(-1, channels)
    for part in _samples(layout, ratio, channels, (height, width)):
        here = arriving[part.which] / part.each  # (n, h, w, C)
        for pixel, weight in part.corners():
            shares = weight[..., None] * here[:, :, :, None]
            by_pixels.index_add_(0, pixel.flatten(), shares.reshape(-1, channels))
        if table is not None:
            for (pixel, _), slope in zip(part.corners(), part.slopes()):
                along = torch.einsum("nhwsc,nhwc->nhws", table[pixel], here)
                by_place.index_add_(1, part.which, (slope * along).sum(-1))
    return by_pixels.view(batch, height, width, channels).permute(0, 3, 1, 2), by_place.transpose(0, 1)
