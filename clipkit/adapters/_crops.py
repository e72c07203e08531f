"""Crops of many boxes at once, resampled with antialiasing on the image's device.

Resampling is separable and linear: rows of the antialiased filter's weights times the picture, then the same along x.
Boxes whose windows are of about one size share two batched matrix products; no loop runs over boxes. Squashed crops on
a CPU are the exception: there torch's own kernel, one box after another, is faster than dense products.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

RESIZE_MODES = ("squash", "shortest")
INTERPOLATIONS = {"bilinear": 1.0, "bicubic": 2.0}  # the filter's support in pixels, to each side
_ONE_BY_ONE = ("cpu",)  # devices whose own resampling is faster, for crops that are squashed
_ELEMENTS = 2**24  # of the windows that are resampled together: bounds the memory


def scale_boxes(boxes: Tensor, scale: float) -> Tensor:
    """`(n, 4)` boxes enlarged by `scale` about their centres, not clamped."""
    boxes = boxes.reshape(-1, 4)
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    return torch.cat([centre - scale * half, centre + scale * half], 1)


def crop_boxes(
    image: Tensor, boxes: Tensor, size: tuple[int, int], resize_mode: str = "squash", interpolation: str = "bicubic"
) -> Tensor:
    """Crops of one image, clamped to it, whole pixels (the outer ones), resized to `size`.

    Args:
        image: `(3, H, W)` in [0, 1]. Its dtype is computed in.
        boxes: `(n, 4)`, x1 y1 x2 y2 in pixels. A box of no area or outside becomes the nearest pixel.
        size: (height, width) of the result.
        resize_mode: open_clip's word: 'squash' stretches the crop; 'shortest' brings its shorter side to `size` and
            cuts the middle out, which is what CLIP's own preprocessing does to a picture.
        interpolation: 'bicubic' or 'bilinear', antialiased where it shrinks, as PIL and torchvision do.

    Returns: `(n, 3, height, width)`, clamped to [0, 1].

    Raises:
        ValueError: another mode or interpolation, or 'shortest' to what is no square.
    """
    out = image.new_empty(len(boxes), image.shape[0], *size)
    for index, crops in crop_groups(image, boxes, size, resize_mode, interpolation):
        out[index] = crops
    return out


def crop_groups(
    image: Tensor, boxes: Tensor, size: tuple[int, int], resize_mode: str, interpolation: str, most: int = 256
) -> Iterator[tuple[Tensor, Tensor]]:
    """What `crop_boxes` gives, at most `most` crops at a time: (indices of the boxes, their crops), each box once."""
    if resize_mode not in RESIZE_MODES:
        raise ValueError(f"resize_mode is one of {', '.join(RESIZE_MODES)}, got {resize_mode!r}")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation is one of {', '.join(INTERPOLATIONS)}, got {interpolation!r}")
    if resize_mode == "shortest" and size[0] != size[1]:
        raise ValueError(f"resize_mode 'shortest' needs a square, not {size}; use 'squash'")
    support = INTERPOLATIONS[interpolation]
    # Sizes decide the shapes of what follows, so they are wanted on the host.
    rows, columns = _axes(boxes.detach().cpu().reshape(-1, 4).double(), image, size, resize_mode, support)
    if resize_mode == "squash" and image.device.type in _ONE_BY_ONE:
        for index in torch.arange(len(rows.start)).split(most):
            yield index, _one_by_one(image, rows, columns, index, size, interpolation)
        return
    picture = image.movedim(0, 1).contiguous()  # (H, 3, W): both products then run on memory as it lies
    sides = torch.stack([rows.window, columns.window], 1).clamp(min=16).log2().ceil()
    for bucket in sides.unique(dim=0):
        members = (sides == bucket).all(1).nonzero()[:, 0]
        height, width = (int(2**side) for side in bucket.tolist())
        step = max(1, min(most, _ELEMENTS // (len(image) * width * max(height, size[0]))))
        for index in members.split(step):
            yield index.to(image.device), _resample(picture, rows, columns, index, (height, width), size, support)


class _Axis(NamedTuple):
    """Along one axis, for each box: where its crop lies and how output pixels map to it. All `(n,)` on the host."""

    start: Tensor  # first pixel of the window: of the part of the crop that the output sees
    window: Tensor  # its length
    inside: Tensor  # crop's first pixel less the window's, 0 or negative
    length: Tensor  # of the crop
    scale: Tensor  # pixels of the crop for one of the output
    shift: Tensor  # output pixels cut off before the first


def _axes(boxes: Tensor, image: Tensor, size: tuple[int, int], mode: str, support: float) -> tuple[_Axis, _Axis]:
    x1, y1, x2, y2 = boxes.unbind(1)
    spans = []
    for low, high, limit in ((y1, y2, image.shape[-2]), (x1, x2, image.shape[-1])):
        first = low.floor().clamp(0, limit - 1)
        spans.append((first, torch.maximum(high.ceil().clamp(max=limit), first + 1) - first))
    shorter = torch.minimum(spans[0][1], spans[1][1])
    axes = []
    for (first, length), side in zip(spans, size):
        # torchvision's Resize(side) and CenterCrop(side): the longer side is rounded down, the rest halved.
        resized = (side * length / shorter).floor() if mode == "shortest" else torch.full_like(length, side)
        shift = ((resized - side) / 2).round()
        scale = length / resized
        reach = support * scale.clamp(min=1)
        begin = (scale * (shift + 0.5) - reach).floor().clamp(min=0)
        end = torch.minimum((scale * (shift + side - 0.5) + reach).ceil(), length)
        axes.append(_Axis(first + begin, end - begin, -begin, length, scale, shift))
    return axes[0], axes[1]


def _one_by_one(
    image: Tensor, rows: _Axis, columns: _Axis, index: Tensor, size: tuple[int, int], interpolation: str
) -> Tensor:
    """`(n, 3, *size)` of the boxes `index`, squashed: their windows are their crops."""
    wide = image.to(torch.promote_types(image.dtype, torch.float32))
    crops = wide.new_empty(len(index), len(image), *size)
    spans = torch.stack([values[index] for axis in (rows, columns) for values in (axis.start, axis.window)], 1)
    for crop, (top, height, left, width) in zip(crops, spans.long().tolist()):
        part = wide[None, :, top : top + height, left : left + width]
        crop.copy_(F.interpolate(part, size, mode=interpolation, antialias=True)[0])
    return crops.clamp_(0, 1).to(image.dtype)


def _resample(
    picture: Tensor,
    rows: _Axis,
    columns: _Axis,
    index: Tensor,
    bucket: tuple[int, int],
    size: tuple[int, int],
    support: float,
) -> Tensor:
    """`(n, 3, *size)` of the boxes `index`, whose windows fit into `bucket` (height, width)."""
    device, channels = picture.device, picture.shape[1]
    places, weights = [], []
    for axis, length, out, limit in zip((rows, columns), bucket, size, (picture.shape[0], picture.shape[2])):
        part = torch.stack([values[index] for values in axis])
        part = part.to(device, torch.promote_types(picture.dtype, torch.float32))
        places.append((part[0, :, None].long() + torch.arange(length, device=device)).clamp(max=limit - 1))
        taps = int((2 * support * axis.scale[index].max().clamp(min=1)).ceil()) + 1
        weights.append(_weights(part, length, out, taps, support).to(picture.dtype))
    channel = torch.arange(channels, device=device)[:, None]
    windows = picture[places[0][:, :, None, None], channel, places[1][:, None, None, :]]  # (n, h, 3, w)
    with torch.autocast(device.type, enabled=False):  # a student's mixed precision is no business of the teacher's
        crops = torch.bmm(weights[0], windows.flatten(2))
        crops = torch.bmm(crops.view(len(index), -1, bucket[1]), weights[1].transpose(1, 2))
    return crops.view(len(index), size[0], channels, size[1]).movedim(2, 1).clamp_(0, 1)


def _weights(axis: Tensor, length: int, out: int, taps: int, support: float) -> Tensor:
    """`(n, out, length)` filter weights, each row with sum 1: what each window pixel gives to each output pixel."""
    # Few of them are not 0, so they are computed packed, `taps` an output pixel, and then spread.
    _, _, inside, whole, scale, shift = axis.unbind(0)
    stretch = scale.clamp(min=1)[:, None]  # wider than a pixel where it shrinks: this is the antialiasing
    steps = torch.arange(out, device=axis.device, dtype=axis.dtype) + 0.5
    centre = scale[:, None] * (shift[:, None] + steps)
    cell = (centre - support * stretch).floor()[..., None] + torch.arange(taps, device=axis.device)
    distance = ((cell + 0.5 - centre[..., None]) / stretch[..., None]).abs()
    if support == 1:
        value = (1 - distance).clamp(min=0)
    else:  # Keys' cubic with a = -1/2
        near = (1.5 * distance - 2.5) * distance**2 + 1
        far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
        value = torch.where(distance < 1, near, far) * (distance < 2)
    value = value * ((cell >= 0) & (cell < whole[:, None, None]))
    value = value / value.sum(-1, keepdim=True)
    spread = value.new_zeros(len(value), out, length)
    place = (cell + inside[:, None, None]).long().clamp(0, length - 1)
    return spread.scatter_add_(2, place, value)
