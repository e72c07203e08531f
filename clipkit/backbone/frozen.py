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

    Another module that holds it does not save it: its weights are a name's and never change. `clip.state_dict()` itself
    is whole, and a state dict of the other module is loaded strictly with or without them: what a file holds is read.

    >>> clip = FrozenCLIP.from_pretrained("ViT-B-16-quickgelu", "openai")
    >>> seen = clip.features(images, layers=(3, 7, 11))   # images: (B, 3, H, W) float RGB in [0, 1], any size
    >>> scores = clip.logit_scale * clip.encode_image(images) @ clip.encode_text(["a cat", "a dog"]).T
    """

    save_with_parent = False
    """Set to True, `parent.state_dict()` holds the weights too: for a checkpoint that must stand alone."""

    def __init__(self, model: Any, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        self.requires_grad_(False)
        self.eval()
        self._absent = ""  # below which name a file that is being loaded holds nothing of this module
        self.register_load_state_dict_post_hook(_do_not_miss)

    def train(self, mode: bool = True) -> FrozenCLIP:
        """Stays in eval mode whatever is asked."""
        super().train(False)
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The weights; nothing where a parent collects them, unless `save_with_parent`."""
        collected = kwargs.get("destination")
        return collected if collected is not None and not self.save_with_parent else super().state_dict(*args, **kwargs)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        self._absent = "" if any(key.startswith(prefix) for key in state_dict) else prefix
        super()._load_from_state_dict(state_dict, prefix, *args)

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


def _do_not_miss(clip: FrozenCLIP, incompatible: Any) -> None:
    if clip._absent:
        incompatible.missing_keys[:] = [k for k in incompatible.missing_keys if not k.startswith(clip._absent)]
