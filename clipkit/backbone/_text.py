"""The text tower: open_clip keeps it at the root of `CLIP` and under `.text` of `CustomTextCLIP`; here it is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class MissingText(nn.Module):
    """Stands where a text tower could not be built, so that the visual side works; says why when text is used."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason
        self.context_length = 0

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        raise ValueError(self.reason)


class TextTower:
    """A view of the text side of an open_clip model; holds no weights of its own.

    Attributes:
        adapters: modules that run after block i, under the key `text_i`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.text = getattr(model, "text", model)
        self.adapters: Mapping[str, nn.Module] = {}

    @property
    def native(self) -> bool:
        """Whether this is open_clip's own transformer (and not a Hugging Face tower or CoCa's)."""
        return (
            hasattr(self.text, "token_embedding")
            and getattr(self.text, "cls_emb", None) is None
            and not getattr(self.text, "use_pad_mask", False)
        )

    def require_text(self) -> None:
        """Says in one line why there is no text tower, where there is none."""
        if isinstance(self.text, MissingText):
            raise ValueError(self.text.reason)

    def require_native(self, what: str) -> None:
        """Refuses in one line what only open_clip's own text transformer can do."""
        self.require_text()
        if not self.native:
            raise ValueError(
                f"{what} needs open_clip's own text transformer; this model has {type(self.text).__name__}"
            )

    @property
    def blocks(self) -> nn.ModuleList:
        self.require_native("text_blocks")
        return self.text.transformer.resblocks

    def embed(self, ids: Tensor) -> Tensor:
        """Token embeddings `(N, L, W)` without positions."""
        self.require_native("embed_tokens")
        return self.text.token_embedding(ids).to(self.text.transformer.get_cast_dtype())

    def run(self, embeddings: Tensor) -> Tensor:
        """`(N, L, W)` token embeddings through positions, blocks and final norm."""
        text, length = self.text, embeddings.shape[1]
        table = text.positional_embedding
        if length > table.shape[0]:
            raise ValueError(f"{length} tokens, but this text tower has positions for {table.shape[0]}")
        dtype = text.transformer.get_cast_dtype()
        x = embeddings.to(dtype) + table[:length].to(dtype)
        mask = text.attn_mask
        mask = None if mask is None else mask[:length, :length]
        for i, block in enumerate(text.transformer.resblocks):
            if text.transformer.grad_checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, attn_mask=mask, use_reentrant=False)
            else:
                x = block(x, attn_mask=mask)
            if f"text_{i}" in self.adapters:
                x = self.adapters[f"text_{i}"](x)
        return text.ln_final(x)

    def project(self, x: Tensor) -> Tensor:
        """To the shared space, `(…, W)` to `(…, D)`."""
        projection = self.text.text_projection
        if projection is None:
            return x
        return projection(x) if isinstance(projection, nn.Linear) else x @ projection

    def eot(self, ids: Tensor) -> Tensor | None:
        """Index of the token whose state is the sentence's, `(N,)`; None where the tower pools the first or last."""
        kind = self.pool_type
        if kind == "argmax":
            return ids.argmax(dim=-1)
        if kind == "eos":
            eos: Any = getattr(self.model, "text_eos_id", None) or getattr(self.text, "eos_id", None)
            return ids.eq(eos).int().argmax(dim=-1)
        return None

    @property
    def pool_type(self) -> str:
        return getattr(self.model, "text_pool_type", None) or self.text.pool_type

    def pool(self, x: Tensor, eot_index: Tensor | None) -> Tensor:
        """One state a sentence, `(N, L, W)` to `(N, W)`."""
        kind = self.pool_type
        if kind in ("first", "last"):
            return x[:, 0] if kind == "first" else x[:, -1]
        if kind not in ("argmax", "eos"):
            raise ValueError(f"text pool_type={kind!r} gives no sentence embedding")
        if eot_index is None:
            raise ValueError("eot_index is needed: this text tower reads the state at the end-of-text token")
        return x[torch.arange(x.shape[0], device=x.device), eot_index.to(x.device)]

    def encode(self, ids: Tensor) -> Tensor:
        """Token ids `(N, L)` to embeddings `(N, D)`, not normalised: open_clip's own path unless adapters sit in it."""
        self.require_text()
        if any(key.startswith("text_") for key in self.adapters):
            return self.project(self.pool(self.run(self.embed(ids)), self.eot(ids)))
        return self.model.encode_text(ids, normalize=False)
