"""What captions ask of groups: the paper's multi-label loss and our best-group loss."""

import hashlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import get_rank
from torch import Tensor

from clipkit.adapters import pair_contrastive

SHARPNESS = 20.0
_RANKS_APART = 2**24


def best_group(phrases: Tensor, groups: Tensor) -> Tensor:
    """Not the paper's: how well a phrase fits the best group of an image,

        s_kb = (1/20) log( 1/G sum_g exp(20 cos(z_bg, e_k)) ),

    a soft maximum. `phrases` (P, D), `groups` (B, G, D) -> (P, B) within [-1, 1], float32 (float64 stays).
    """
    wide = torch.promote_types(groups.dtype, torch.float32)
    cosines = F.normalize(groups.to(wide), dim=-1) @ F.normalize(phrases.to(wide), dim=-1).T  # (B, G, P)
    return ((SHARPNESS * cosines).exp().mean(1).log() / SHARPNESS).T


def pooled(phrases: Tensor, images: Tensor) -> Tensor:
    """cos(z_b, e_k): `phrases` (P, D), `images` (B, D) -> (P, B)."""
    wide = torch.promote_types(images.dtype, torch.float32)
    return F.normalize(phrases.to(wide), dim=-1) @ F.normalize(images.to(wide), dim=-1).T


def phrase_loss(
    rows: Tensor, phrases: Sequence[Sequence[str]], images: Tensor, scale: Tensor, equal: bool = True
) -> Tensor:
    """Multi-label contrastive loss (section 3.2): both directions, an image's targets uniform over its phrases and a
    phrase's over its images; over all ranks.

    Args:
        rows: embeddings of all phrases of a batch, image after image (P, D).
        phrases: of each of B images.
        images: `(B, D)`, or `(B, G, D)` for `best_group`.
        equal: phrases that read the same belong to the images of both. The paper's are each other's negatives: False.
    """
    first = get_rank() * _RANKS_APART
    video = torch.arange(first, first + len(images), device=rows.device)
    owner = video.repeat_interleave(torch.tensor([len(own) for own in phrases], device=rows.device))
    flat = [phrase for own in phrases for phrase in own]
    ids = [_same(text) for text in flat] if equal else range(first, first + len(flat))
    caption = torch.tensor(list(ids), device=rows.device, dtype=torch.int64)
    how = best_group if images.ndim == 3 else pooled
    with torch.autocast(rows.device.type, enabled=False):
        return pair_contrastive(lambda e, z: scale * how(e, z), [rows], [images], owner, caption, video)


def _same(text: str) -> int:
    """A number that equal texts have on every rank."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:7], "big")
