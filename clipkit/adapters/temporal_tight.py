"""A transformer over a sentence and the frames of a video together (CLIP4Clip's tightTransf, section 3.3)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._clip_blocks import QuickGELU, ResidualAttentionBlock, additive
from .temporal import changes, frame_mask, positions_of


class TightTransformer(nn.Module):
    """One logit for each pair of sentence and video: `[text; frames] + positions` through CLIP's blocks, token 0 of the
    last through a pooler (layer norm, linear, QuickGELU) and one linear layer. No logit scale and no normalisation.

    All N·M pairs are computed, in batches, without waste and without approximation:

    - queries, keys and values of the first block depend on the sentence or the video alone, and so does what frames say
      to each other there; they are computed once for each, and the sentence joins by its share of the softmax;
    - in the last block only token 0 is computed.

    Dropout (training only) is drawn once for each sentence and each video, not for each pair.

    Args:
        dim: D.
        layers: blocks, at least 2.
        heads: default one for each 64 dimensions.
        max_frames: positions are one more, for the sentence; 76 where they start as CLIP's 77 text positions.
        eps, quick_gelu: see `ResidualAttentionBlock`.
        dropout: of the embedded tokens.
        chunk: pairs at a time; memory is O(chunk · F · D).
        contrast: `changes(frames)` are added to the frames, see `SeqLSTM`.
    """

    pools = False
    cosine = False

    def __init__(
        self,
        dim: int,
        layers: int = 4,
        heads: int | None = None,
        max_frames: int = 76,
        eps: float = 1e-12,
        quick_gelu: bool = True,
        dropout: float = 0.1,
        chunk: int = 1024,
        contrast: bool = False,
    ) -> None:
        super().__init__()
        self.contrast = contrast
        if layers < 2 or chunk < 1:
            raise ValueError(f"TightTransformer needs 2 layers or more and a positive chunk, got {layers} and {chunk}")
        self.positions = nn.Parameter(torch.randn(max_frames + 1, dim) * 0.02)
        self.dropout = nn.Dropout(dropout)
        heads = heads or max(dim // 64, 1)
        self.blocks = nn.ModuleList(ResidualAttentionBlock(dim, heads, eps, quick_gelu) for _ in range(layers))
        self.pool_norm = nn.LayerNorm(dim, eps=eps)
        self.pool = nn.Linear(dim, dim)
        self.activation = QuickGELU()
        self.score = nn.Linear(dim, 1)
        self.chunk = chunk
        for layer in (self.pool, self.score):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def similarity(self, text: Tensor, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits `(N, M)` of `text` `(N, D)` and `frames` `(M, F, D)`."""
        mask = frame_mask(frames, mask)
        positions = positions_of(self.positions, 1 + frames.shape[1])
        frames = frames + changes(frames, mask) if self.contrast else frames
        text = self.dropout(text + positions[0])
        frames = self.dropout(frames + positions[1:])
        first: Any = self.blocks[0]
        sentences, videos = _Sentences(first, text), _Videos(first, frames, mask)
        columns = max(min(self.chunk, len(frames)), 1)
        rows = max(self.chunk // columns, 1)
        out = []
        for n in range(0, len(text), rows):
            line = [self._pairs(sentences, videos, slice(n, n + rows), slice(m, m + columns))
                    for m in range(0, len(frames), columns)]  # fmt: skip
            out.append(torch.cat(line, dim=1) if line else text.new_zeros(min(rows, len(text) - n), 0))
        return torch.cat(out) if out else text.new_zeros(0, len(frames))

    def _pairs(self, sentences: _Sentences, videos: _Videos, n: slice, m: slice) -> Tensor:
        """Logits of a block of pairs."""
        first: Any = self.blocks[0]
        x = _first_attention(first, sentences, videos, n, m)
        shape, mask = x.shape[:2], videos.mask[m]
        x = first.feedforward(x).flatten(0, 1)
        whole = F.pad(mask, (1, 0), value=True).expand(shape[0], -1, -1).flatten(0, 1)
        for block in self.blocks[1:-1]:
            x = block(x, whole)
        token = self.blocks[-1](x, whole, tokens=1)[:, 0]
        return self.score(self.activation(self.pool(self.pool_norm(token)))).view(shape)


class _Sentences:
    """What the first block computes of sentences alone: `token` (N, D); `query`, `key`, `value` (N, H, d)."""

    def __init__(self, block: ResidualAttentionBlock, token: Tensor) -> None:
        self.token = token
        parts = block.attn.project(block.ln_1(token)[:, None], "qkv")
        self.query, self.key, self.value = (part[:, :, 0] for part in parts)


class _Videos:
    """What the first block computes of videos alone: `tokens` (M, F, D); `query`, `key`, `value` (M, H, F, d); `bias`
    (M, 1, F); what frames say to frames, `context` (M, H, F, d) and its softmax's log sum `log_total` (M, H, F)."""

    def __init__(self, block: ResidualAttentionBlock, tokens: Tensor, mask: Tensor) -> None:
        self.tokens, self.mask = tokens, mask
        self.query, self.key, self.value = block.attn.project(block.ln_1(tokens), "qkv")
        self.bias = additive(mask, self.query.dtype)[:, None]
        scores = self.query @ self.key.transpose(-1, -2) * self.query.shape[-1] ** -0.5 + self.bias[:, :, None]
        self.log_total = scores.logsumexp(-1)
        self.context = scores.softmax(-1) @ self.value


def _first_attention(block: ResidualAttentionBlock, s: _Sentences, v: _Videos, n: slice, m: slice) -> Tensor:
    """Tokens of all pairs after the attention of the first block, `(n, m, 1 + F, D)`."""
    scale = s.query.shape[-1] ** -0.5
    # Frames: the softmax over [sentence; frames] is that over the frames, diluted by the sentence's share.
    to_text = torch.einsum("nhd,mhfd->nmhf", s.key[n], v.query[m]) * scale
    share = torch.sigmoid(to_text - v.log_total[m])[..., None]
    context = v.context[m] + share * (s.value[n, None, :, None] - v.context[m])
    # The sentence: over itself and the frames.
    own = (s.query[n] * s.key[n]).sum(-1) * scale
    to_frames = torch.einsum("nhd,mhfd->nmhf", s.query[n], v.key[m]) * scale + v.bias[m]
    weights = torch.cat((own[:, None, :, None].expand(*to_frames.shape[:3], 1), to_frames), dim=-1).softmax(-1)
    of_text = weights[..., :1] * s.value[n, None] + torch.einsum("nmhf,mhfd->nmhd", weights[..., 1:], v.value[m])
    attended = block.attn.merge(torch.cat((of_text[..., None, :], context), dim=-2))
    tokens = torch.cat((s.token[n, None, None].expand(-1, *v.tokens[m].shape[:1], -1, -1),
                        v.tokens[m].expand(len(s.token[n]), -1, -1, -1)), dim=2)  # fmt: skip
    return tokens + attended
