"""Pictures whose sides are whole numbers of patches, so that a dense map covers all of them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def to_whole_patches(images: Tensor, patch_size: int | None, clamp: bool = True) -> Tensor:
    """`(B, 3, H, W)` stretched by less than one patch to the nearest multiple of `patch_size`. A ViT does not see
    pixels at the right and lower border that fill no patch, and its map would lie askew on the picture. `clamp` keeps
    images in [0, 1]; those that are normalised go without."""
    if patch_size is None or all(side % patch_size == 0 for side in images.shape[-2:]):
        return images
    size = tuple(max(round(side / patch_size), 1) * patch_size for side in images.shape[-2:])
    stretched = F.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True)
    return stretched.clamp(0, 1) if clamp else stretched
