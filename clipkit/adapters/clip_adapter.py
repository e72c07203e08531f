"""CLIP-Adapter: a small residual network on image embeddings."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ClipAdapter(nn.Module):
    """logits = s · norm(f') . W, with

        f' = r · A(f) + (1 - r) · f,    A(f) = ReLU(W2 ReLU(W1 f))

    (Gao et al., "CLIP-Adapter", arXiv:2110.04544, section 3.2, as its released code has it: no bias, and only the image
    side). `W1`, `W2` train; at r = 0 it is the zero-shot classifier.

    Args:
        classifier: `(K, D)` unit rows, from prompts.
        scale: s; the CLIP's `logit_scale`.
        ratio: r, 0.2 in the released code; the paper chooses it for each data set.
        reduction: D over the hidden width.

    Examples:
        >>> classifier = torch.nn.functional.normalize(torch.randn(5, 16), dim=-1)
        >>> ClipAdapter(classifier)(torch.randn(8, 16)).shape
        torch.Size([8, 5])
    """

    classifier: Tensor

    def __init__(self, classifier: Tensor, scale: float = 100.0, ratio: float = 0.2, reduction: int = 4) -> None:
        super().__init__()
        if not 0 <= ratio <= 1:
            raise ValueError(f"ratio is between 0 and 1, got {ratio}")
        dim = classifier.shape[1]
        self.down = nn.Linear(dim, max(dim // reduction, 1), bias=False)
        self.up = nn.Linear(self.down.out_features, dim, bias=False)
        self.scale, self.ratio = scale, ratio
        self.register_buffer("classifier", classifier.detach().clone(), persistent=False)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Image embeddings `(B, D)` as CLIP gives them, **not** normalised -> logits `(B, K)`."""
        adapted = F.relu(self.up(F.relu(self.down(embeddings))))
        mixed = self.ratio * adapted + (1 - self.ratio) * embeddings
        return self.scale * F.normalize(mixed, dim=-1) @ self.classifier.T
