"""Dense prediction on images larger than what the network was trained on."""

from collections.abc import Callable

import torch
from torch import Tensor

Size = int | tuple[int, int]


def _pair(value: Size, name: str) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))
    if min(pair) < 1:
        raise ValueError(f"{name} must be at least 1 pixel, got {value}")
    return pair


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of the windows along one side; the last window ends at the border instead of passing it.

    >>> window_starts(10, 4, 3)
    [0, 3, 6]
    >>> window_starts(11, 4, 3)
    [0, 3, 6, 7]
    """
    window = min(window, length)
    count = max(length - window + stride - 1, 0) // stride + 1
    return [min(i * stride, length - window) for i in range(count)]


def whole_image(predict: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """`predict` on the images (B, C, H, W) as they are -> logits (B, K, H, W)."""
    return predict(images)


def sliding_window(
    predict: Callable[[Tensor], Tensor], images: Tensor, window: Size, stride: Size, batch_size: int = 8
) -> Tensor:
    """Logits of overlapping windows, averaged: each pixel's sum over its windows / the number of its windows.

    Windows lie at multiples of `stride`; the last of a row or column is moved back to end at the border, as in
    mmsegmentation (LSeg pads instead, see `multi_scale`). They go through `predict` in batches, and are added in place
    into one map of the size of the result: memory is that map plus one batch, however many windows there are.

    Args:
        predict: (N, C, h, w) -> (N, K, h, w).
        images: (B, C, H, W).
        window: pixels, one number or (height, width); an image that is smaller gives one window of its own size.
        stride: pixels, one number or (height, width); must not exceed `window`.
        batch_size: windows in one call of `predict`.

    Returns:
        (B, K, H, W) in the dtype that `predict` gives.

    Raises:
        ValueError: when the stride leaves gaps between windows, or `predict` changes the window's size.
    """
    win_h, win_w = _pair(window, "window")
    step_h, step_w = _pair(stride, "stride")
    if step_h > win_h or step_w > win_w:
        raise ValueError(
            f"stride {stride} is larger than window {window}: pixels between windows would get no prediction"
        )
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    batch, _, height, width = images.shape
    win_h, win_w = min(win_h, height), min(win_w, width)
    places = [
        (b, y, x)
        for b in range(batch)
        for y in window_starts(height, win_h, step_h)
        for x in window_starts(width, win_w, step_w)
    ]
    total: Tensor | None = None
    counts = torch.zeros(1, 1, height, width, device=images.device)
    for start in range(0, len(places), batch_size):
        chunk = places[start : start + batch_size]
        logits = predict(torch.stack([images[b, :, y : y + win_h, x : x + win_w] for b, y, x in chunk]))
        if logits.shape[-2:] != (win_h, win_w):
            raise ValueError(f"predict turned a window of {(win_h, win_w)} into {tuple(logits.shape[-2:])}")
        if total is None:
            total = logits.new_zeros(batch, logits.shape[1], height, width)
        for (b, y, x), piece in zip(chunk, logits):
            total[b, :, y : y + win_h, x : x + win_w] += piece
            if b == 0:
                counts[:, :, y : y + win_h, x : x + win_w] += 1
    assert total is not None
    return total.div_(counts.to(total.dtype))
