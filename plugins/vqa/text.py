"""Questions as tokens: words learned here, or the states of a frozen CLIP's text tower; and what each token names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from clipkit.backbone import ClipModel
from clipkit.data.questions import words
from clipkit.text.tokens import TokenBank

# Words that name nothing which can be seen in one place.
_FUNCTION_WORDS = """
a an the is are was were be been being am do does did done has have had can could will would shall should may might
must of in on at to from by with for into onto over under behind between near and or but not no any some all each
every this that these those there here it its he she his her they their them you your we our i my what which who whose
whom where when why how many much more most less than as if so such only very other another same thing things
something anything one ones color colour colors colours shape shapes pattern patterns kind kinds type types sort
number ground place left right top bottom above below middle picture image photo scene see seen shown
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())


class Questions(NamedTuple):
    """`N` questions as tokens, the first of each a query for the whole.

    Attributes:
        tokens: `(N, L, d)`; mask: `(N, L)` bool, False in the padding.
        names: `(4, N, L)` int64, which of `named` a token is about, by its own word and by its phrase: the words beside
            it that may be seen too, with it; of a token between two phrases, both of them; -1: none.
        named: words and phrases that may be seen in a picture.
    """

    tokens: Tensor
    mask: Tensor
    names: Tensor
    named: list[str]


def sinusoids(values: Tensor, dim: int, longest: float) -> Tensor:
    """`(…,)` -> `(…, dim)`: sines and cosines of `dim / 2` wavelengths from 2 π down from `longest` times that, as
    Vaswani et al., section 3.5."""
    rate = torch.exp(-math.log(longest) * torch.arange(dim // 2, device=values.device) / max(dim // 2 - 1, 1))
    angle = values[..., None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class LearnedWords(nn.Module):
    """A vector a word; all words that the vocabulary does not have share one."""

    def __init__(self, dim: int, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self.index = {word: i for i, word in enumerate(vocabulary, 1)}
        self.embedding = nn.Embedding(len(vocabulary) + 1, dim)
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)

    def forward(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, list[list[str]]]:
        """-> tokens `(N, L, d)`, mask `(N, L)`, and of each text the words that its tokens stand for."""
        split = [[word for word, _, _ in words(text)] for text in texts]
        ids = [torch.tensor([self.index.get(word, 0) for word in own], dtype=torch.int64) for own in split]
        padded = pad_sequence(ids, batch_first=True, padding_value=-1).to(self.embedding.weight.device)
        return self.embedding(padded.clamp(min=0)), padded >= 0, split


class ClipWords(nn.Module):
    """The states of a frozen CLIP's text tower, one a token of its own, through LayerNorm and Linear."""

    def __init__(self, dim: int, clip: ClipModel) -> None:
        super().__init__()
        self.bank = TokenBank(clip)
        width = clip.text_positions.shape[1]
        self.norm, self.proj = nn.LayerNorm(width), nn.Linear(width, dim)

    def forward(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, list[list[str]]]:
        """As `LearnedWords`; the start and end of a text stand for ''."""
        found = self.bank.tokens(texts)
        stand_for = []
        for text, spans, mask in zip(texts, found.spans.tolist(), found.mask):
            own = words(text)
            covering = [
                [word for word, a, b in own if a < end and b > start] for start, end in spans[: int(mask.sum())]
            ]
            stand_for.append([*(each[0] if each else "" for each in covering)])
        device = self.proj.weight.device
        return self.proj(self.norm(found.features.to(device))), found.mask.to(device), stand_for


class QuestionTokens(nn.Module):
    """Questions as `Questions`: tokens, where they stand, and before them a learned query.

    Args:
        dim: width of the tokens.
        words: 'learned' or 'clip'.
        vocabulary: words that are learned.
        clip: whose tokens are taken.
    """

    def __init__(self, dim: int, words: str, vocabulary: Sequence[str], clip: ClipModel) -> None:
        super().__init__()
        self.words: nn.Module = LearnedWords(dim, vocabulary) if words == "learned" else ClipWords(dim, clip)
        self.whole = nn.Parameter(torch.randn(dim) * dim**-0.5)

    def forward(self, texts: Sequence[str]) -> Questions:
        """N questions; one without a word is its query alone."""
        tokens, mask, split = self.words(texts)
        places = sinusoids(torch.arange(tokens.shape[1], device=tokens.device).float(), tokens.shape[2], 1000.0)
        tokens = tokens + places * tokens.shape[2] ** -0.5
        about = [list(map(visible, own)) for own in split]
        phrases = [in_phrases(own) for own in about]
        named = sorted({name for own in (*about, *phrases) for name in own if name})
        index = {name: i for i, name in enumerate(named)}
        names = [
            [torch.tensor([-1, *(index.get(name, -1) for name in own)]) for own in rows]
            for rows in (about, phrases, *([*own] for own in zip(*map(between, phrases))))
        ]
        tokens = torch.cat([self.whole.expand(len(texts), 1, -1), tokens], dim=1)
        mask = torch.cat([mask.new_ones(len(texts), 1), mask], dim=1)
        padded = torch.stack([pad_sequence(rows, batch_first=True, padding_value=-1) for rows in names])
        return Questions(tokens, mask, padded.to(mask.device), named)


def visible(word: str) -> str:
    """The word in the singular, as captions have it; '' where it names nothing that has a place in a picture."""
    if word in FUNCTION_WORDS or word.isdigit():
        return ""
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def in_phrases(names: Sequence[str]) -> list[str]:
    """Of each word's name the names of its run: `["", "red", "star", ""]` -> `["", "red star", "red star", ""]`. Tokens
    of one word have its name again and again, which a phrase says once."""
    found: list[str] = []
    for seen, run in groupby(names, bool):
        own = list(run)
        found += [" ".join(dict.fromkeys(own)) if seen else ""] * len(own)
    return found


def between(phrases: Sequence[str]) -> tuple[list[str], list[str]]:
    """Of each word between two phrases, the one before and the one after: `["red star", "", "ring"]` ->
    `["", "red star", ""]` and `["", "ring", ""]`."""
    found: tuple[list[str], list[str]] = ([], [])
    for i, phrase in enumerate(phrases):
        before = next((one for one in reversed(phrases[:i]) if one), "")
        after = next((one for one in phrases[i:] if one), "")
        inside = not phrase and before and after
        found[0].append(before if inside else "")
        found[1].append(after if inside else "")
    return found
