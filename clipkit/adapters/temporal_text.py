"""Similarities that look at the sentence's words, or let it say which frames count: query scoring, weighted token-wise
interaction, and VideoCLIP's means of tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .temporal import frame_mask, masked_mean


class QueryScoring(nn.Module):
    """The mean of the frames, weighted by what the sentence thinks of each (Bain et al. 2022, section 3.2),

        w = softmax_f(cos(t, f) / temperature),   similarity = cos(t, sum_f w_f f / |f|).

    It has no parameters and is blind to the order of frames.

    Args:
        temperature: of the softmax over cosines. 0.05 is 5 on CLIP's logits at a scale of 100; a high one is the mean.
        chunk: sentences at a time; memory is O(chunk · M · F).

    Examples:
        >>> QueryScoring().similarity(torch.randn(5, 16), torch.randn(3, 12, 16)).shape
        torch.Size([5, 3])
    """

    pools = False
    cosine = True

    def __init__(self, temperature: float = 0.05, chunk: int = 256) -> None:
        super().__init__()
        if temperature <= 0 or chunk < 1:
            raise ValueError(f"temperature and chunk must be positive, got {temperature} and {chunk}")
        self.temperature = temperature
        self.chunk = chunk

    def similarity(self, text: Tensor, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """Cosines `(N, M)` of `text` `(N, D)` and `frames` `(M, F, D)`; 0 for a video whose mask is empty."""
        mask = frame_mask(frames, mask)
        text, frames = F.normalize(text, dim=-1), F.normalize(frames, dim=-1)
        # |sum w f|² = w'Gw with the videos' Gram matrices: no (N, M, D) tensor of pooled videos is needed.
        gram = frames @ frames.transpose(1, 2)
        out = []
        for rows in text.split(self.chunk):
            scores = torch.einsum("nd,mfd->nmf", rows, frames)
            weights = masked_softmax(scores / self.temperature, mask)
            square = torch.einsum("nmf,mfg,nmg->nm", weights, gram, weights)
            out.append((weights * scores).sum(-1) / square.clamp(min=1e-12).sqrt())
        return torch.cat(out) if out else text.new_zeros(0, len(frames))

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}"


class WeightedTokenInteraction(nn.Module):
    """Each word finds its best frame and each frame its best word, weighted by learned importance (Wang et al. 2022,
    "Disentangled Representation Learning for Text-Video Retrieval", section 3.2),

        similarity = 1/2 [ sum_l a_l max_f cos(t_l, v_f) + sum_f b_f max_l cos(t_l, v_f) ],

    where `a` is the softmax over the sentence's tokens of a small network of them, and `b` that over the frames.

    Args:
        dim: D.
        layers: linear layers of each weight network, with ReLU between; 2 in the paper's best form.
        chunk: sentences at a time; memory is O(chunk · M · L · F).

    Examples:
        >>> words, frames = torch.randn(5, 7, 16), torch.randn(3, 12, 16)
        >>> WeightedTokenInteraction(16).similarity(words, frames).shape
        torch.Size([5, 3])
    """

    pools = False
    cosine = True

    def __init__(self, dim: int, layers: int = 2, chunk: int = 16) -> None:
        super().__init__()
        if layers < 1 or chunk < 1:
            raise ValueError(f"layers and chunk must be positive, got {layers} and {chunk}")
        self.text_weight = _weight_network(dim, layers)
        self.frame_weight = _weight_network(dim, layers)
        self.chunk = chunk

    def similarity(
        self, text: Tensor, frames: Tensor, mask: Tensor | None = None, text_mask: Tensor | None = None
    ) -> Tensor:
        """`(N, M)` in [-1, 1].

        Args:
            text: `(N, L, D)`, one vector a token (`ClipModel.text_tokens`), or `(N, D)` for sentences as one token.
            frames: `(M, F, D)`.
            mask: `(M, F)`, False where padded.
            text_mask: `(N, L)`, False where padded: the tokens behind the end of the text.
        """
        mask = frame_mask(frames, mask)
        text = text[:, None] if text.ndim == 2 else text
        text_mask = frame_mask(text, text_mask)
        a = masked_softmax(self.text_weight(text).squeeze(-1), text_mask)
        b = masked_softmax(self.frame_weight(frames).squeeze(-1), mask)
        text, frames = F.normalize(text, dim=-1), F.normalize(frames, dim=-1)
        out = []
        for words, word_mask, weights in zip(text.split(self.chunk), text_mask.split(self.chunk), a.split(self.chunk)):
            cosines = torch.einsum("nld,mfd->nmlf", words, frames)
            best_frame = cosines.masked_fill(~mask[:, None], -1).amax(-1)
            best_word = cosines.masked_fill(~word_mask[:, None, :, None], -1).amax(-2)
            out.append((torch.einsum("nml,nl->nm", best_frame, weights) + torch.einsum("nmf,mf->nm", best_word, b)) / 2)
        return torch.cat(out) if out else text.new_zeros(0, len(frames))


class MaskedMean(nn.Module):
    """The dot product of two means, of a sentence's tokens without the first one and of the frames, neither brought to
    unit length (VideoCLIP, Xu et al. 2021, section 3.1): where embeddings are long it says so. No parameters.

    CLIP's first token is its start of text, which sees no other; a frozen CLIP's frames have no class token among them.

    Examples:
        >>> MaskedMean().similarity(torch.randn(5, 7, 16), torch.randn(3, 12, 16)).shape
        torch.Size([5, 3])
    """

    pools = False
    cosine = False

    def text(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Tokens `(N, L, D)` -> `(N, D)`."""
        return masked_mean(tokens, mask, skip=1)

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """Frames `(M, F, D)` -> `(M, D)`."""
        return masked_mean(frames, mask)

    def similarity(
        self, text: Tensor, frames: Tensor, mask: Tensor | None = None, text_mask: Tensor | None = None
    ) -> Tensor:
        """`(N, M)` of `text` `(N, L, D)` and `frames` `(M, F, D)`; masks as `WeightedTokenInteraction.similarity`."""
        return self.text(text, text_mask) @ self(frames, mask).T


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last dimension where `mask` is True; a row without True is 0."""
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1).masked_fill(~mask, 0)


def _weight_network(dim: int, layers: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for _ in range(layers - 1):
        parts += [nn.Linear(dim, dim), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(dim, 1))
