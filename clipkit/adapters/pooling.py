"""One vector for a box or a mask, pooled from a dense feature map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align


def pool_boxes(
    dense: Tensor, boxes: Sequence[Tensor], image_size: tuple[float, float], normalize: bool = True
) -> Tensor:
    """RoIAlign of each box to one vector, as CLIPSelf reads region embeddings (Wu et al. 2024, section 3.2).

    Args:
        dense: `(B, D, h, w)` over the whole image, e.g. `Features.dense`.
        boxes: B tensors `(n_b, 4)`, x1 y1 x2 y2 in pixels of the image.
        image_size: (height, width) in pixels that `dense` covers.
        normalize: unit length for each cell before pooling, so that no cell outweighs another by its norm.

    Returns: `(sum n_b, D)` in the order of the images, not normalised.

    Raises:
        ValueError: another number of box lists than images.
    """
    if len(boxes) != len(dense):
        raise ValueError(f"{len(dense)} feature maps need as many box tensors, got {len(boxes)}")
    if normalize:
        dense = F.normalize(dense, dim=1)
    # At least float32: roi_align has no bfloat16, and half precision moves boxes by whole pixels.
    dtype, dense = dense.dtype, dense.to(torch.promote_types(dense.dtype, torch.float32))
    # Rescaled here and not by roi_align's one `spatial_scale`: a grid may round differently along x and y.
    factor = _grid_factor(dense, image_size)
    rois = [b.reshape(-1, 4).to(dense) * factor for b in boxes]
    pooled = roi_align(dense, rois, output_size=1, spatial_scale=1.0, sampling_ratio=-1, aligned=True)
    return pooled[:, :, 0, 0].to(dtype)


def pool_masks(dense: Tensor, masks: Tensor, normalize: bool = True) -> Tensor:
    """`sum_p m_p f_p / sum_p m_p`, the mean over a mask's cells.

    Args:
        dense: `(B, D, h, w)`.
        masks: `(B, N, H, W)`, bool or weights in [0, 1], over the same field of view at any resolution. They are
            brought to the grid by area, so that an object smaller than a cell keeps its share of it.
        normalize: unit length for each cell before pooling.

    Returns: `(B, N, D)`, not normalised; zeros for an empty mask.
    """
    if masks.ndim != 4 or len(masks) != len(dense):
        raise ValueError(f"masks must be (B, N, H, W) with B = {len(dense)}, got {tuple(masks.shape)}")
    if normalize:
        dense = F.normalize(dense, dim=1)
    weights = masks.to(dense.dtype)
    if weights.shape[1] == 0:
        return dense.new_zeros(len(dense), 0, dense.shape[1])
    if weights.shape[-2:] != dense.shape[-2:]:
        weights = F.interpolate(weights, size=dense.shape[-2:], mode="area")
    total = weights.sum((-2, -1))
    # Dividing first keeps the mean exact for weights of any size; an empty mask divides 0 by 1.
    weights = weights / total.where(total > 0, 1.0)[..., None, None]
    return torch.einsum("bnhw,bdhw->bnd", weights, dense)


def _grid_factor(dense: Tensor, image_size: tuple[float, float]) -> Tensor:
    height, width = image_size
    x, y = dense.shape[-1] / width, dense.shape[-2] / height
    return dense.new_tensor([x, y, x, y])
