"""ViLD's losses and scores as plain functions (Gu et al., "Open-vocabulary Object Detection via Vision and Language
Knowledge Distillation", ICLR 2022, arXiv:2104.13921, section 3). Class columns first, background always last.

L_image, eq. 3 with its weight, is `clipkit.adapters.L1DistillLoss`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

NOVEL = ("zero", "low", "exclude")
LOW = -1e11  # DetPro's; softmax makes it 0 in any precision


def cosine_logits(embedding: Tensor, rows: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """`scale * cos(e_i, t_k)`: (n, D) and unit rows (K, D) -> (n, K), at least float32.

    Half precision would move logits of 100 by 0.4, so the product leaves whatever autocast the caller is in.
    """
    with torch.autocast(embedding.device.type, enabled=False):
        dtype = torch.promote_types(embedding.dtype, torch.float32)
        return scale * F.normalize(embedding.to(dtype), dim=-1) @ rows.to(dtype).T


def hide_novel(logits: Tensor, base: Tensor, novel: str = "zero") -> Tensor:
    """Takes the novel classes out of the competition of training.

    Args:
        logits: (n, K + 1), background last.
        base: (K,) bool.
        novel: 'zero' multiplies their logits by 0 (the authors' release: they stay as constants of e^0 in the sum),
            'low' sets them to -1e11 (DetPro), 'exclude' to minus infinity (ovdet).
    """
    if novel not in NOVEL:
        raise ValueError(f"novel='{novel}' is unknown; known: {', '.join(NOVEL)}")
    kept = torch.cat([base, base.new_ones(1)])
    return logits.masked_fill(~kept, {"zero": 0.0, "low": LOW, "exclude": -torch.inf}[novel])


def text_loss(
    logits: Tensor,
    labels: Tensor,
    base: Tensor,
    novel: str = "zero",
    background_weight: float = 1.0,
    weights: Tensor | None = None,
    divisor: float | Tensor | None = None,
) -> Tensor:
    """`L = 1/N sum_i w_i b_i * -log softmax_k(z_ik)[y_i]` (eq. 2), N = the number of regions with `w_i > 0`.

    Args:
        logits: (n, K + 1), scaled cosines; background last.
        labels: (n,) in 0..K; K is background.
        base, novel: see `hide_novel`. With 'exclude', a region whose label is novel costs nothing.
        background_weight: `b_i` of background regions; 1 in the authors' release, below 1 in BARON and F-ViT. It does
            not enter N.
        weights: (n,) of the regions, 0 for padding; None: all 1.
        divisor: N, where the caller knows better (a mean over ranks).

    Returns:
        0-d; 0 with a gradient when no region counts.
    """
    background = len(base)
    weights = logits.new_ones(len(labels)) if weights is None else weights.to(logits.dtype)
    count = (weights > 0).sum() if divisor is None else divisor
    weights = torch.where(labels == background, background_weight * weights, weights)
    hidden = hide_novel(logits, base, novel)
    if novel == "exclude":
        allowed = torch.cat([base, base.new_ones(1)])[labels]
        weights, labels = weights * allowed, torch.where(allowed, labels, background)
    each = F.cross_entropy(hidden, labels, reduction="none")
    return (weights * each).sum() / torch.as_tensor(count).clamp(min=1).to(each)


def log_probabilities(logits: Tensor, background: Tensor | None = None) -> Tensor:
    """`log softmax`, (n, K) -> (n, K); `background` (n,) or (n, 1) competes and is dropped."""
    if background is None:
        return logits.log_softmax(-1)
    return torch.cat([logits, background.reshape(-1, 1)], -1).log_softmax(-1)[:, :-1]


def ensemble_scores(
    text: Tensor, image: Tensor, base: Tensor, base_weight: float = 2 / 3, novel_weight: float = 2 / 3
) -> Tensor:
    """The geometric mean of two heads (eq. 5): `p_text^a * p_image^(1 - a)`, a = `base_weight` for base classes and
    `1 - novel_weight` for novel ones: each head leads where it was taught.

    Args:
        text, image: (n, K), log probabilities.
        base: (K,) bool.

    Returns:
        (n, K) scores; they do not sum to 1.
    """
    by_text = torch.where(base, base_weight * text, (1 - novel_weight) * text)
    by_image = torch.where(base, (1 - base_weight) * image, novel_weight * image)
    return (by_text + by_image).exp()
