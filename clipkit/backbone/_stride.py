"""A finer grid from the same weights: convolutions at a smaller stride, what follows them dilated ("à trous")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd

import torch.nn.functional as F
from torch import Tensor, nn


def check_stride(stride: int, native: int) -> None:
    """Refuses a stride that is no divisor of the native one."""
    if stride < 1 or native % stride:
        known = ", ".join(str(i) for i in range(1, native + 1) if native % i == 0)
        raise ValueError(f"stride={stride}: this tower's is {native}; it takes {known}")


def at_stride(layers: Sequence[nn.Module], images: Tensor, stride: int) -> Tensor:
    """`images` `(B, 3, H, W)` through a stem at a smaller stride: `(B, C, h, w)`.

    The last convolutions lose their strides and those after them are dilated by what was lost, so that a value whose
    place the native map has too is the native value. A single patch convolution of P pixels gives
    `(H - P) // stride + 1` rows, the first one at the place of the native first (Amir et al., arXiv:2112.05814, 3).

    Args:
        layers: convolutions, and what works at each position alone; sequences of them.
        stride: a divisor of their product of strides.

    Raises:
        ValueError: a layer of another kind.
    """
    x, left, dilation = images, stride, 1
    for layer in _flat(layers):
        if not isinstance(layer, nn.Conv2d):
            x = layer(x)
            continue
        native = layer.stride[0]
        step = gcd(native, left)
        x = F.conv2d(
            x,
            layer.weight,
            layer.bias,
            step,
            [side * dilation for side in layer.padding],  # type: ignore[operator]
            [each * dilation for each in layer.dilation],
            layer.groups,
        )
        left //= step
        dilation *= native // step
    return x


def _flat(layers: Sequence[nn.Module]) -> Iterator[nn.Module]:
    for layer in layers:
        if isinstance(layer, nn.Sequential):
            yield from _flat(list(layer))
            continue
        plain = type(layer) is nn.Conv2d and len(set(layer.stride)) == 1 and not isinstance(layer.padding, str)
        if not plain and (hasattr(layer, "kernel_size") or next(layer.children(), None) is not None):
            raise ValueError(f"stride=: this tower's stem has a {type(layer).__name__}; only convolutions are served")
        yield layer
