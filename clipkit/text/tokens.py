"""Texts as sequences of tokens, for models that let single words meet an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from clipkit.backbone import ClipModel
from clipkit.errors import ClipkitError

KEPT = 65_536  # texts; a caption of 20 tokens is 40 kB at a width of 512


class Tokens(NamedTuple):
    """A batch of texts, each from its start token to its end token, padded to the longest.

    Attributes:
        features: `(B, L, W)` float32 states of the text tower's last block after the final norm, before the projection;
            0 in the padding.
        mask: `(B, L)` bool, False in the padding.
        spans: `(B, L, 2)` int64: `text[start:end]` is what a token stands for; 0, 0 of the start and end tokens.
    """

    features: Tensor
    mask: Tensor
    spans: Tensor

    def covered(self, text: int, start: int, end: int) -> Tensor:
        """`(L,)` bool: the tokens of a text that stand for any of its characters `start` to `end`."""
        return covered(self.spans[text], start, end)


def covered(spans: Tensor, start: int, end: int) -> Tensor:
    """Spans of tokens `(L, 2)` -> `(L,)` bool: those that stand for any of the characters `start` to `end`."""
    return (spans[:, 0] < end) & (spans[:, 1] > start)


class TokenBank:
    """Token features of a frozen text tower, encoded once a string.

    Args:
        clip: a `FrozenCLIP` with open_clip's own text transformer and CLIP's tokenizer.
        batch_size: texts a forward pass.
        kept: texts that are remembered; beyond, the oldest are forgotten.

    >>> features, mask, spans = TokenBank(tiny_clip()).tokens(["a red circle", "grass"])
    """

    def __init__(self, clip: ClipModel, batch_size: int = 256, kept: int = KEPT) -> None:
        self.clip, self.batch_size, self.kept = clip, batch_size, kept
        self._known: dict[str, tuple[Tensor, Tensor]] = {}
        self._weights = ""

    @torch.no_grad()
    def tokens(self, texts: Sequence[str]) -> Tokens:
        """`texts` as `Tokens`, on the CPU.

        Raises:
            ClipkitError: no text, or a text tower whose sentences do not end in a token of their own.
            ValueError: a text tower or a tokenizer of another kind than CLIP's.
        """
        if not texts:
            raise ClipkitError("tokens of no texts are asked for")
        if self._weights != self.clip.weights_hash:
            self._known, self._weights = {}, self.clip.weights_hash
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(missing), self.batch_size):
            self._encode(missing[start : start + self.batch_size])
        features, spans = map(list, zip(*(self._known[text] for text in texts)))
        mask = pad_sequence([torch.ones(len(each), dtype=torch.bool) for each in spans], batch_first=True)
        while len(self._known) > self.kept:
            del self._known[next(iter(self._known))]
        return Tokens(pad_sequence(features, batch_first=True), mask, pad_sequence(spans, batch_first=True))

    def _encode(self, texts: list[str]) -> None:
        # Kept for whoever asks next: not in the half precision of a caller's autocast.
        with torch.autocast(self.clip.device.type, enabled=False):
            rows = token_states(self.clip, texts)
        for text, (row, span) in zip(texts, rows):
            # Copies: a view would keep the whole batch.
            self._known[text] = row.float().cpu().clone(), span.clone()


def token_states(clip: ClipModel, texts: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
    """Of each text the states `(n, W)` of its tokens from start to end, as in `Tokens`, with gradients where the tower
    has them, and their spans `(n, 2)`, on the CPU. Raises as `TokenBank.tokens`."""
    ends = clip.eot_index(clip.tokenize(texts))
    if ends is None:
        raise ClipkitError(f"{clip.name}: its sentences do not end in a token of their own: take another CLIP")
    rows, spans = clip.text_tokens(texts, project=False), clip.token_spans(texts)
    return [(row[: end + 1], span[: end + 1]) for row, span, end in zip(rows, spans, ends.tolist())]
