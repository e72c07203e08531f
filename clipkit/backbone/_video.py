"""Time inside the image tower: 3D patches, shifted tokens, joint attention over the frames of a video."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TemporalConv(nn.Module):
    """A tower's first convolution with a kernel of 3 frames (CLIP4Clip's 3D linear projection, Luo et al. 2022, section
    3.2): `y_t = w_0 * x_(t-1) + w_1 * x_t + w_2 * x_(t+1)`, frames outside the video being zero.

    `w_1` starts as the 2D kernel and the others as zero, so that it equals the 2D layer bit for bit at the start.

    Args:
        conv: the 2D convolution that it replaces.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        zeros = torch.zeros_like(conv.weight)
        weight = torch.stack((zeros, conv.weight.detach(), zeros), dim=2)
        self.weight = nn.Parameter(weight, requires_grad=conv.weight.requires_grad)
        self.bias = conv.bias
        self.options = {key: getattr(conv, key) for key in ("stride", "padding", "dilation", "groups")}
        self.frames = 1

    def forward(self, x: Tensor) -> Tensor:
        """`(videos · frames, 3, H, W)`, the frames of a video in a row."""
        out = F.conv2d(x, self.weight[:, :, 1], self.bias, **self.options)
        if self.frames == 1:
            return out
        videos = x.unflatten(0, (-1, self.frames))
        earlier = self._conv(videos[:, :-1], 0)
        later = self._conv(videos[:, 1:], 2)
        out = out.unflatten(0, (-1, self.frames))
        return (out + pad_frames(earlier, 1, 0) + pad_frames(later, 0, 1)).flatten(0, 1)

    def _conv(self, videos: Tensor, tap: int) -> Tensor:
        flat = F.conv2d(videos.flatten(0, 1), self.weight[:, :, tap], **self.options)
        return flat.unflatten(0, videos.shape[:2])


def inflate(visual: nn.Module) -> TemporalConv:
    """Replaces the convolution of `visual` that sees the pixels by a `TemporalConv`.

    Raises:
        ValueError: there is none, or it is replaced already.
    """
    for name, module in visual.named_modules():
        if isinstance(module, TemporalConv):
            raise ValueError("the patch layer has 3 frames already")
        if isinstance(module, nn.Conv2d):
            parent, _, leaf = name.rpartition(".")
            owner: Any = visual.get_submodule(parent)
            conv = TemporalConv(module)
            if leaf.isdigit():
                owner[int(leaf)] = conv
            else:
                setattr(owner, leaf, conv)
            return conv
    raise ValueError("this image tower has no convolution over pixels")


def shift_tokens(x: Tensor, frames: int, prefix: int, divisor: int) -> Tensor:
    """TSM on tokens (Lin et al. 2019; ActionCLIP, section 3.3): of the patches' channels the first 1/divisor come from
    the next frame, the second 1/divisor from the previous one; zero where there is none. `prefix` tokens stay.

    Args:
        x: `(videos · frames, prefix + n, C)`.
    """
    fold = x.shape[-1] // divisor
    tokens = x.unflatten(0, (-1, frames))
    patches = tokens[:, :, prefix:]
    shifted = torch.cat(
        (
            pad_frames(patches[:, 1:, :, :fold], 0, 1),
            pad_frames(patches[:, :-1, :, fold : 2 * fold], 1, 0),
            patches[..., 2 * fold :],
        ),
        dim=-1,
    )
    return torch.cat((tokens[:, :, :prefix], shifted), dim=2).flatten(0, 1)


def add_time(x: Tensor, frames: int, prefix: int, table: Tensor) -> Tensor:
    """`table` `(T, C)`, row t added to the patches of frame t.

    Raises:
        ValueError: it has fewer rows than frames.
    """
    if frames > len(table):
        raise ValueError(f"videos of {frames} frames, and the time embedding has {len(table)}: join_frames(frames=…)")
    patches = x[:, prefix:].unflatten(0, (-1, frames)) + table[:frames, None].to(x.dtype)
    return torch.cat((x[:, :prefix], patches.flatten(0, 1)), dim=1)


def join_frames(x: Tensor, frames: int, prefix: int) -> Tensor:
    """`(videos · frames, prefix + n, C)` to `(videos, prefix + frames · n, C)`: one sequence, with the first frame's
    class token."""
    tokens = x.unflatten(0, (-1, frames))
    return torch.cat((tokens[:, 0, :prefix], tokens[:, :, prefix:].flatten(1, 2)), dim=1)


def pad_frames(x: Tensor, before: int, after: int) -> Tensor:
    """Zero frames before and after, along dimension 1."""
    return F.pad(x, (*(0, 0) * (x.ndim - 2), before, after))
