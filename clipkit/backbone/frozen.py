"""CLIP that never changes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from clipkit.backbone._build import build
from clipkit.backbone.clip import ClipModel, Tokenizer


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

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        pretrained: str | None = None,
        *,
        precision: str = "fp32",
        dense: str = "maskclip",
        tokenizer: Tokenizer | None = None,
        device: str | torch.device | None = None,
    ) -> FrozenCLIP:
        """Builds a model through open_clip's factory and freezes it.

        Args:
            name: open_clip's model name, `local-dir:/folder`, or `hf-hub:owner/name`.
            pretrained: open_clip's tag, the path of a local weight file, or None for random weights.
            precision: 'fp32', 'bf16' or 'fp16'. Outputs come in this precision.
            dense: the dense variant of `features`.
            tokenizer: `list[str] -> (N, L) int64`, instead of the model's own.
            device: where to put it; default CPU.

        Raises:
            ValueError: unknown name, tag, precision or variant; weights of another activation (QuickGELU or GELU).
            FileNotFoundError: no such file or folder.
        """
        return cls(**build(name, pretrained, precision, device), dense=dense, tokenizer=tokenizer)

    def train(self, mode: bool = True) -> FrozenCLIP:
        """Stays in eval mode whatever is asked."""
        super().train(False)
        return self

    def _graph(self, *inputs: Tensor) -> AbstractContextManager:
        wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
        if wanted:
            self.requires_grad_(False)  # a parent's requires_grad_(True) reaches the weights; undo it
        return torch.set_grad_enabled(wanted)

    def _hash_is_stable(self) -> bool:
        return True

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        # Here and not in `load_state_dict`, which a parent that loads does not call on its children.
        self._hash = None
        super()._load_from_state_dict(*args, **kwargs)
