"""CLIP that never changes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from clipkit.backbone.clip import ClipModel


class FrozenCLIP(ClipModel):
    """A frozen CLIP: no weight asks for a gradient, no parent's `.train()` wakes it, no graph is kept unless the input
    itself asks for gradients. `FrozenCLIP(model)` wraps (and freezes in place) an open_clip model; see `ClipModel`.

    >>> clip = FrozenCLIP.from_pretrained("ViT-B-16-quickgelu", "openai")
    >>> seen = clip.features(images, layers=(3, 7, 11))   # images: (B, 3, H, W) float RGB in [0, 1], any size
    >>> scores = clip.logit_scale * clip.encode_image(images) @ clip.encode_text(["a cat", "a dog"]).T
    """

    def __init__(self, model: Any, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> FrozenCLIP:
        """Stays in eval mode whatever is asked."""
        super().train(False)
        return self

    def _graph(self, *inputs: Tensor) -> AbstractContextManager:
        wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
        if wanted:
            self.requires_grad_(False)  # a parent's requires_grad_(True) reaches the weights; undo it
        return torch.set_grad_enabled(wanted)

    def _count_writes(self, tensors: Mapping[str, Tensor]) -> int:
        # torch counts writes in place, whoever does them: a parent that loads a checkpoint, or `clip.model` itself.
        if any(tensor.is_inference() for tensor in tensors.values()):  # built under inference_mode: nothing is counted
            return -1
        return sum(tensor._version for tensor in tensors.values())
