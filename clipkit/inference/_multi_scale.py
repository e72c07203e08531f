"""Testing at several scales and mirrored, around the sliding window: the protocol of LSeg (Li et al., ICLR 2022), which
is that of PyTorch-Encoding."""

from collections.abc import Callable, Sequence
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from ._sliding import Size, _pair, sliding_window


def multi_scale(
    predict: Callable[[Tensor], Tensor],
    images: Tensor,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    base_size: int | None = None,
    window: Size | None = None,
    stride: Size | None = None,
    batch_size: int = 8,
    pad_value: float | Sequence[float] = 0.0,
    align_corners: bool = True,
) -> Tensor:
    """Sum over scales and mirrorings of the logits, each brought to the images' size.

    At scale s the image's long side becomes ceil(base_size * s). It is padded at the right and at the bottom until
    windows at multiples of `stride` fill it; each pixel's logits are the mean over its windows; then they are resized
    to the image. LSeg's numbers are `scales=(0.5, 0.75, 1, 1.25, 1.5, 1.75), flip=True, base_size=520, window=480`.
    Raw logits are summed, no probabilities. A window and its mirror image go through `predict` in one batch.

    Args:
        predict: (N, C, h, w) -> (N, K, h, w); text that it needs should be encoded before, once.
        images: (B, C, H, W).
        scales: factors of `base_size`.
        flip: also predict mirrored images.
        base_size: pixels of the long side at scale 1; None: the image's own.
        window: pixels, one number or (height, width); None: each scaled image as a whole, unpadded.
        stride: pixels; None: two thirds of the window, as LSeg has it.
        batch_size: images in one call of `predict`; with `flip` at least a pair. Unused without a window.
        pad_value: of the padding, one number or one a channel, in the units of `images`. LSeg pads with black,
            which is -mean / std where images are normalised.
        align_corners: of the resizing of images and logits; LSeg's is True.

    Returns:
        (B, K, H, W).

    Raises:
        ValueError: no scales, or as in `sliding_window`.
    """
    size = images.shape[-2:]
    total: Tensor | None = None
    for scaled, padded in scaled_images(images, scales, base_size, window, stride, pad_value, align_corners):
        run = _with_mirror(predict) if flip else predict
        if window is None:
            logits = run(padded)
            if logits.shape[-2:] != scaled:
                raise ValueError(f"predict turned an image of {scaled} into {tuple(logits.shape[-2:])}")
        else:
            pairs = max(batch_size // 2, 1) if flip else batch_size
            logits = sliding_window(run, padded, window, default_stride(window, stride), pairs)
        logits = resize(logits[..., : scaled[0], : scaled[1]], size, align_corners)
        total = logits.clone() if total is None else total.add_(logits)
    assert total is not None
    return total


def scaled_images(
    images: Tensor,
    scales: Sequence[float],
    base_size: int | None,
    window: Size | None,
    stride: Size | None,
    pad_value: float | Sequence[float],
    align_corners: bool,
):
    """For each scale: (height, width) of the scaled images, and the images, padded to whole windows."""
    if not scales:
        raise ValueError("multi_scale needs at least one scale")
    for scale in scales:
        size = scaled_size((images.shape[-2], images.shape[-1]), scale, base_size)
        scaled = resize(images, size, align_corners)
        if window is not None:
            scaled = _pad(scaled, _pair(window, "window"), _pair(default_stride(window, stride), "stride"), pad_value)
        yield size, scaled


def scaled_size(size: tuple[int, int], scale: float, base_size: int | None = None) -> tuple[int, int]:
    """(height, width) whose long side is ceil(base_size * scale), the short one in proportion, rounded half up.

    >>> scaled_size((512, 683), 1.25, 520)
    (487, 650)
    """
    height, width = size
    long = ceil((base_size or max(size)) * scale)
    short = max(int(min(size) * long / max(size) + 0.5), 1)
    return (long, short) if height > width else (short, long)


def default_stride(window: Size, stride: Size | None) -> Size:
    """`stride`, or two thirds of the window."""
    if stride is not None:
        return stride
    high, wide = _pair(window, "window")
    return max(high * 2 // 3, 1), max(wide * 2 // 3, 1)


def resize(x: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """Bilinear, to (H, W)."""
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=align_corners)


def _with_mirror(predict: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def both(x: Tensor) -> Tensor:
        plain, mirrored = predict(torch.cat([x, x.flip(-1)])).chunk(2)
        return plain + mirrored.flip(-1)

    return both


def _pad(x: Tensor, window: tuple[int, int], stride: tuple[int, int], value: float | Sequence[float]) -> Tensor:
    """`x` at the top left of a canvas that is a whole number of strides plus one window."""
    size = [max(ceil((n - w) / s), 0) * s + w for n, w, s in zip(x.shape[-2:], window, stride)]
    fill = torch.as_tensor(value, dtype=x.dtype, device=x.device).reshape(-1, 1, 1)
    canvas = fill.expand(*x.shape[:-2], *size).clone()
    canvas[..., : x.shape[-2], : x.shape[-1]] = x
    return canvas
