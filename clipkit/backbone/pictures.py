"""What a CLIP takes for pictures: tensors, PIL pictures, arrays, files, and lists of these."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clipkit.safe import read_image, to_rgb

Picture = str | Path | Image.Image | np.ndarray | Tensor
Pictures = Picture | Sequence[Picture]


def as_batch(images: Pictures, clip: Any) -> Tensor:
    """A batch `(B, 3, H, W)`.

    Args:
        images: a tensor `(B, 3, H, W)`, which stays as it is (uint8 becomes float in [0, 1]); or one or several of:
            paths, PIL pictures, arrays `(H, W, 3)` uint8, tensors `(3, H, W)` of one size.
        clip: whose `preprocess` makes `(3, h, w)` of all but tensors, and to whose device those go.

    Raises:
        ValueError, FileNotFoundError, ClipkitError: no pictures, no such file, or none that can be read.
    """
    if isinstance(images, Tensor):
        return _unit(images)
    single = isinstance(images, (str, Path, Image.Image)) or (isinstance(images, np.ndarray) and images.ndim == 3)
    items: list[Any] = [images] if single else list(images)  # type: ignore[arg-type]
    preprocess = clip.preprocess
    parts = [_unit(one) if isinstance(one, Tensor) else preprocess(Image.fromarray(_pixels(one))) for one in items]
    sizes = {tuple(part.shape) for part in parts}
    if len(sizes) != 1:
        raise ValueError(f"a batch needs pictures of one size, got {sorted(sizes) or 'none'}")
    return torch.stack(parts).to(clip.device)


def as_picture(image: Picture) -> Tensor:
    """One picture `(3, H, W)` float RGB in [0, 1] at its own size; float tensors stay as they are.

    Raises:
        ValueError, FileNotFoundError, ClipkitError: as `as_batch`.
    """
    return _unit(image if isinstance(image, Tensor) else torch.tensor(_pixels(image)).permute(2, 0, 1))


def check_range(images: Tensor) -> None:
    """Refuses float images that surely are none in [0, 1]. What resampling or noise adds is let through.

    Raises:
        ValueError: they lie in 0..255, or are normalised already.
    """
    if not images.numel() or images.is_meta:
        return
    low, high = (float(value) for value in images.detach().aminmax())
    if low < -0.5 or high > 1.5:
        way = "leave out your normalisation: the model does it" if low < 0 else "divide by 255, or give uint8"
        raise ValueError(f"float images must lie in [0, 1], got {low:.3g}..{high:.3g}: {way}")


def _unit(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images


def _pixels(image: str | Path | Image.Image | np.ndarray) -> np.ndarray:
    if isinstance(image, (str, Path)):
        return read_image(image)
    if isinstance(image, Image.Image):
        return to_rgb(image)
    if not isinstance(image, np.ndarray):
        raise ValueError(f"a picture is a path, PIL picture, array or tensor, not {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"a picture's array must be (H, W, 3) uint8 RGB, not {image.shape} {image.dtype}")
    return image
