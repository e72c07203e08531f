"""A third modality joins the two of a CLIP: one contrastive objective for each pair of modalities that is present."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from .contrastive import ContrastiveLoss, LogitScale

PAIRS = ("audio-image", "audio-text", "image-text")


class PairsLoss(nn.Module):
    """`ContrastiveLoss` of each pair of modalities whose two sides are given (AudioCLIP: Guzhov et al., ICASSP 2022),

        L = 1/n sum over the n pairs that are present of L_pair,

    each over the items that have both sides, with a learned scale of its own, clamped as `LogitScale` does.

    Args:
        pairs: which ones count, of 'audio-image', 'audio-text', 'image-text' or of other names with one dash.
        scale: of each pair at start; the original's is 100.
        reduction: 'mean', as above; 'compat' is the released code's sum of cross entropies, both ways, over n!: with
            one, two and three pairs 2, 1 and 1/3 times the sum of L_pair.
        chunk, gather: see `ContrastiveLoss`. Ranks must have the same pairs present.

    Raises:
        ValueError: an unknown reduction, or a pair without two names.

    Examples:
        >>> sounds, images = torch.randn(8, 16, requires_grad=True), torch.randn(8, 16)
        >>> losses = PairsLoss()({"audio": sounds, "image": images, "text": None})
        >>> sum(losses.values()).backward()
        >>> sorted(losses), sounds.grad.shape
        (['audio-image'], torch.Size([8, 16]))
    """

    def __init__(
        self,
        pairs: Sequence[str] = PAIRS,
        scale: float = 100.0,
        reduction: str = "mean",
        chunk: int | None = None,
        gather: bool = True,
    ) -> None:
        super().__init__()
        if reduction not in ("mean", "compat"):
            raise ValueError(f"reduction is 'mean' or 'compat', got {reduction!r}")
        if wrong := [pair for pair in pairs if len(set(pair.split("-"))) != 2 or pair.count("-") != 1]:
            raise ValueError(f"a pair is two names with a dash between, e.g. audio-image, got {wrong[0]!r}")
        self.reduction = reduction
        self.loss = ContrastiveLoss(chunk=chunk, gather=gather)
        self.scales = nn.ModuleDict({pair: LogitScale(scale) for pair in pairs})

    def forward(
        self, embeddings: Mapping[str, Tensor | None], present: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Each pair's part of the loss; L is their sum. Empty where no pair is present.

        Args:
            embeddings: name of the modality -> `(B, D)`, or None where no item has it.
            present: name -> `(B,)` bool, which items have it; all, where it says nothing.
        """
        found = {}
        for pair, scale in self.scales.items():
            first, second = pair.split("-")
            x, y = embeddings.get(first), embeddings.get(second)
            if x is None or y is None:
                continue
            masks = [present[name] for name in (first, second) if present and name in present]
            if masks:
                both = masks[0] if len(masks) == 1 else masks[0] & masks[1]
                x, y = x[both], y[both]
                if not len(x):
                    continue
            found[pair] = self.loss(x, y, scale())
        n = len(found)
        factor = 2 / math.factorial(n) if self.reduction == "compat" else 1 / max(n, 1)
        return {pair: factor * value for pair, value in found.items()}
