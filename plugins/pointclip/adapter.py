"""PointCLIP's inter-view adapter (Zhang et al., CVPR 2022, section 3.3)."""

import torch
from torch import Tensor, nn


class InterViewAdapter(nn.Module):
    """All views of a cloud make one feature, from which each view is adapted: with r = `ratio`,
    r · f_v(g(w_1 x_1, …, w_V x_V)) + (1 - r) · x_v, where w are learned. Layers and order are the released code's.

    Args:
        dim: D of the embeddings.
        views: V.
        ratio: share of what is adapted.
        init: of w.
        dropout: before each of the layers that gather.
    """

    def __init__(self, dim: int, views: int, ratio: float = 0.6, init: float = 0.5, dropout: float = 0.075) -> None:
        super().__init__()
        self.ratio = ratio
        self.fusion = nn.Parameter(torch.full((views,), init))
        self.norm_in = nn.BatchNorm1d(dim)
        self.dropout = nn.Dropout(dropout)
        self.gather, self.norm = nn.Linear(dim * views, dim), nn.BatchNorm1d(dim)
        self.spread = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim * views), nn.ReLU())

    def forward(self, views: Tensor) -> Tensor:
        """Embeddings as CLIP gives them, not normalised, `(B, V, D)` -> `(B, V, D)`."""
        fused = self.norm_in((views * self.fusion[:, None]).flatten(0, 1)).view_as(views)
        whole = self.gather(self.dropout(fused).flatten(1))
        adapted = self.spread(self.dropout(self.norm(whole).relu())).view_as(views)
        return self.ratio * adapted + (1 - self.ratio) * views
