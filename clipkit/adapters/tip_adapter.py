"""Tip-Adapter: a few labelled images as a cache that is asked by similarity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TipSearch(NamedTuple):
    """The best of a search: `alpha`, `beta` and their `accuracy` (%) on the data that was searched with."""

    alpha: float
    beta: float
    accuracy: float


class TipAdapter(nn.Module):
    """logits = s · f.W + alpha · sum_j exp(-beta (1 - f.k_j)) v_j

    (Zhang et al., "Tip-Adapter", arXiv:2111.03930, equations 3 to 6): f a normalised image embedding, k_j those of the
    labelled images, v_j their labels as one-hot vectors. Nothing needs to train; Tip-Adapter-F trains the keys.

    Args:
        keys: `(M, D)` embeddings of the labelled images, of any length; or `(V, M, D)` for V augmented views, whose
            normalised mean is the key.
        labels: `(M,)` int64.
        classifier: `(K, D)` unit rows, from prompts.
        scale: s; the CLIP's `logit_scale`.
        alpha: weight of the cache; beta: how quickly its answer falls with distance. See `search`.
        learn_keys: Tip-Adapter-F: the keys become a parameter.

    Examples:
        >>> keys, labels, classifier = torch.randn(10, 16), torch.arange(10) % 5, torch.eye(5, 16)
        >>> TipAdapter(keys, labels, classifier)(torch.randn(8, 16)).shape
        torch.Size([8, 5])
    """

    keys: Tensor
    values: Tensor
    classifier: Tensor

    def __init__(
        self,
        keys: Tensor,
        labels: Tensor,
        classifier: Tensor,
        scale: float = 100.0,
        alpha: float = 1.17,
        beta: float = 1.0,
        learn_keys: bool = False,
    ) -> None:
        super().__init__()
        keys = F.normalize(keys.detach(), dim=-1)
        if keys.ndim == 3:
            keys = F.normalize(keys.mean(0), dim=-1)
        if len(keys) != len(labels) or len(keys) == 0:
            raise ValueError(f"{len(keys)} keys do not fit {len(labels)} labels, or there are none")
        if learn_keys:
            self.keys = nn.Parameter(keys.clone())
        else:
            self.register_buffer("keys", keys.clone())
        self.register_buffer("values", F.one_hot(labels, len(classifier)).to(keys), persistent=False)
        self.register_buffer("classifier", classifier.detach().clone(), persistent=False)
        self.scale, self.alpha, self.beta = scale, alpha, beta

    def forward(self, embeddings: Tensor) -> Tensor:
        """Image embeddings `(B, D)`, of any length -> logits `(B, K)`."""
        images = F.normalize(embeddings, dim=-1)
        return self.scale * images @ self.classifier.T + self.alpha * self._cache(images @ self.keys.T, self.beta)

    def _cache(self, affinity: Tensor, beta: float) -> Tensor:
        return (-beta * (1 - affinity)).exp() @ self.values

    @torch.no_grad()
    def search(
        self,
        embeddings: Tensor,
        labels: Tensor,
        alphas: Iterable[float] = tuple(0.1 + 0.145 * i for i in range(20)),
        betas: Iterable[float] = tuple(0.1 + 0.345 * i for i in range(20)),
    ) -> TipSearch:
        """Sets `alpha` and `beta` to those that are best on **validation** data; the released code searches on the test
        set of ImageNet. Of equally good ones the first. The code's grid is 0.1 to 3 and 0.1 to 7.

        Args:
            embeddings: `(B, D)`; labels: `(B,)` int64.

        Raises:
            ValueError: no examples.
        """
        if len(embeddings) == 0:
            raise ValueError("no validation examples to choose alpha and beta by: give some, or choose them yourself")
        images = F.normalize(embeddings, dim=-1)
        zero_shot, affinity = self.scale * images @ self.classifier.T, images @ self.keys.T
        alphas = list(alphas)
        best = TipSearch(self.alpha, self.beta, -1.0)
        for beta in betas:
            cache = self._cache(affinity, beta)
            for alpha in alphas:
                right = (zero_shot + alpha * cache).argmax(1) == labels
                accuracy = 100 * right.double().mean().item()
                if accuracy > best.accuracy:
                    best = TipSearch(alpha, beta, accuracy)
        self.alpha, self.beta = best.alpha, best.beta
        return best
