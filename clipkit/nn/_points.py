"""Drawn pixels instead of all for a dense loss (as PointRend, Kirillov et al., CVPR 2020, section 3.3, but blindly)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def _neighbours(position: Tensor, size_in: int, size_out: int, align_corners: bool) -> tuple[Tensor, Tensor, Tensor]:
    """For pixels of the large side: the two cells of the small side and the weight of the second
    (bilinear, as `torch.nn.functional.interpolate`)."""
    if align_corners:
        cell = position * ((size_in - 1) / max(size_out - 1, 1))
    else:
        cell = ((position + 0.5) * (size_in / size_out) - 0.5).clamp(0, size_in - 1)
    low = cell.floor().long()
    return low, (low + 1).clamp(max=size_in - 1), cell - low


def draw_points(
    embedding: Tensor,
    target: Tensor,
    points: int,
    balance: float = 0.0,
    ignore_index: int = 255,
    normalize: bool = True,
    align_corners: bool = False,
) -> tuple[Tensor, Tensor]:
    """Unit embeddings interpolated at randomly drawn pixels, and those pixels' targets.

    Rows equal `interpolate(normalize(embedding), size of target)` at the pixels drawn, but only the cells that are
    needed are normalised: with 100 classes the full-size logits cost more than the network.

    Args:
        embedding: (B, D, h, w), not normalised; or logits, with `normalize=False`.
        target: (B, H, W) class ids.
        points: pixels drawn for each image, with replacement.
        balance: a pixel is drawn with a probability proportional to (area of its class in its image)^-balance:
            0 is uniform (the expected gradient is that of all pixels), 1 gives each class of an image the same share.
        ignore_index: pixels of this id are not drawn, unless an image has no others.
        normalize: bring the cells to unit length before they are interpolated.
        align_corners: of the interpolation, see `torch.nn.functional.interpolate`.

    Returns:
        rows (B * points, D) float32 and targets (B * points,).

    Raises:
        ValueError: when `points` < 1.
    """
    if points < 1:
        raise ValueError(f"points must be at least 1, got {points}")
    batch, dim, h, w = embedding.shape
    height, width = target.shape[-2:]
    flat = target.flatten(1)
    if balance == 0 and not bool((flat == ignore_index).any()):
        chosen = torch.randint(height * width, (batch, points), device=target.device)
    else:
        place = flat - flat.min()  # ignored pixels may have a negative id
        area = flat.new_zeros(batch, int(place.max()) + 1).scatter_add_(1, place, torch.ones_like(place)).float()
        weight = area.clamp(min=1).pow(-balance).gather(1, place).masked_fill_(flat == ignore_index, 0.0)
        weight[weight.sum(1) == 0] = 1.0
        chosen = torch.multinomial(weight, points, replacement=True)
    x0, x1, wx = _neighbours(chosen % width, w, width, align_corners)
    y0, y1, wy = _neighbours(chosen // width, h, height, align_corners)
    start = torch.arange(batch, device=target.device)[:, None] * h
    cells = torch.stack([(start + y0) * w + x0, (start + y0) * w + x1, (start + y1) * w + x0, (start + y1) * w + x1])
    weights = torch.stack([(1 - wx) * (1 - wy), wx * (1 - wy), (1 - wx) * wy, wx * wy])
    rows = embedding.permute(0, 2, 3, 1).reshape(-1, dim).index_select(0, cells.flatten())
    rows = F.normalize(rows.float(), dim=1) if normalize else rows.float()
    return (rows.view(4, batch * points, dim) * weights.view(4, -1, 1)).sum(0), flat.gather(1, chosen).flatten()
