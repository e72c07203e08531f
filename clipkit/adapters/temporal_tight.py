"""A transformer over a sentence and the frames of a video together (CLIP4Clip's tightTransf, section 3.3)."""

from __future__ import annotations

from typing import Any, NamedTuple

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

    Examples:
        >>> TightTransformer(64).similarity(torch.randn(5, 64), torch.randn(3, 12, 64)).shape
        torch.Size([5, 3])
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

    def similarity(
        self, text: Tensor, frames: Tensor, mask: Tensor | None = None, wanted: Tensor | None = None
    ) -> Tensor:
        """Logits `(N, M)` of `text` `(N, D)` and `frames` `(M, F, D)`.

        `wanted` `(N, M)` bool: only pairs where it is True are computed, the others are minus infinity.
        """
        mask = frame_mask(frames, mask)
        positions = positions_of(self.positions, 1 + frames.shape[1])
        frames = frames + changes(frames, mask) if self.contrast else frames
        text = self.dropout(text + positions[0])
        frames = self.dropout(frames + positions[1:])
        first: Any = self.blocks[0]
        sentences, videos = _sentences(first, text), _videos(first, frames, mask)
        if wanted is not None:
            return self._some(sentences, videos, wanted)
        columns = max(min(self.chunk, len(frames)), 1)
        rows = max(self.chunk // columns, 1)
        out = []
        for n in range(0, len(text), rows):
            own = _part(sentences, (slice(n, n + rows), None))
            line = [self._pairs(own, _part(videos, (None, slice(m, m + columns))))
                    for m in range(0, len(frames), columns)]  # fmt: skip
            out.append(torch.cat(line, dim=1) if line else text.new_zeros(min(rows, len(text) - n), 0))
        return torch.cat(out) if out else text.new_zeros(0, len(frames))

    def _some(self, sentences: _Sentences, videos: _Videos, wanted: Tensor) -> Tensor:
        """Logits of the wanted pairs."""
        places = wanted.nonzero(as_tuple=True)
        found = [self._pairs(_part(sentences, i), _part(videos, j))
                 for i, j in zip(*(index.split(self.chunk) for index in places))]  # fmt: skip
        logits = torch.cat(found) if found else sentences.token.new_zeros(0)
        return logits.new_full(wanted.shape, -torch.inf).index_put(places, logits)

    def _pairs(self, sentences: _Sentences, videos: _Videos) -> Tensor:
        """Logits of sentences and videos whose leading dimensions broadcast to those of the pairs."""
        first: Any = self.blocks[0]
        x = _first_attention(first, sentences, videos)
        shape = x.shape[:-2]
        x = first.feedforward(x).flatten(0, -3)
        whole = F.pad(videos.mask, (1, 0), value=True).expand(*shape, -1).flatten(0, -2)
        for block in self.blocks[1:-1]:
            x = block(x, whole)
        token = self.blocks[-1](x, whole, tokens=1)[:, 0]
        return self.score(self.activation(self.pool(self.pool_norm(token)))).view(shape)


class _Sentences(NamedTuple):
    """What the first block computes of N sentences alone."""

    token: Tensor  # (N, D)
    query: Tensor  # (N, H, d), as the next two
    key: Tensor
    value: Tensor


class _Videos(NamedTuple):
    """What the first block computes of M videos alone."""

    mask: Tensor  # (M, F)
    tokens: Tensor  # (M, F, D)
    query: Tensor  # (M, H, F, d), as the next two
    key: Tensor
    value: Tensor
    bias: Tensor  # (M, 1, F)
    context: Tensor  # (M, H, F, d) what frames say to each other
    log_total: Tensor  # (M, H, F) the log sum of its softmax


def _part(of: Any, index: Any) -> Any:
    return type(of)(*(tensor[index] for tensor in of))


def _sentences(block: ResidualAttentionBlock, token: Tensor) -> _Sentences:
    parts = block.attn.project(block.ln_1(token)[:, None], "qkv")
    return _Sentences(token, *(part[:, :, 0] for part in parts))


def _videos(block: ResidualAttentionBlock, tokens: Tensor, mask: Tensor) -> _Videos:
    query, key, value = block.attn.project(block.ln_1(tokens), "qkv")
    bias = additive(mask, query.dtype)[:, None]
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + bias[:, :, None]
    return _Videos(mask, tokens, query, key, value, bias, scores.softmax(-1) @ value, scores.logsumexp(-1))


def _first_attention(block: ResidualAttentionBlock, s: _Sentences, v: _Videos) -> Tensor:
    """Tokens of the pairs after the attention of the first block, `(…, 1 + F, D)`."""
    scale = s.query.shape[-1] ** -0.5
    # Frames: the softmax over [sentence; frames] is that over the frames, diluted by the sentence's share.
    to_text = torch.einsum("...hd,...hfd->...hf", s.key, v.query) * scale
    share = torch.sigmoid(to_text - v.log_total)[..., None]
    context = v.context + share * (s.value[..., None, :] - v.context)
    # The sentence: over itself and the frames.
    own = (s.query * s.key).sum(-1) * scale
    to_frames = torch.einsum("...hd,...hfd->...hf", s.query, v.key) * scale + v.bias
    weights = torch.cat((own[..., None].expand(*to_frames.shape[:-1], 1), to_frames), dim=-1).softmax(-1)
    of_text = weights[..., :1] * s.value + torch.einsum("...hf,...hfd->...hd", weights[..., 1:], v.value)
    attended = block.attn.merge(torch.cat((of_text[..., None, :], context), dim=-2))
    pairs = attended.shape[:-2]
    tokens = (s.token[..., None, :].expand(*pairs, -1, -1), v.tokens.expand(*pairs, -1, -1))
    return torch.cat(tokens, dim=-2) + attended
