"""Which words a text tower has never seen in training.

A tower that was trained on few captions keeps the initial values of the tokens that no caption held: their lengths lie
where a Gaussian's do, and only training moves a token out of there. Nothing can be said of a tower whose tokens were
all trained, nor of one with another tokenizer than CLIP's: such towers are not judged.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from clipkit.backbone import ClipModel
from clipkit.errors import some

LONGER = 1.5
"""A trained token is longer than this times the median; untrained ones of width 80 end at 1.3."""
_SMALL_WORDS = frozenset(["a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"])


@torch.no_grad()
def familiarity(clip: ClipModel, texts: Sequence[str]) -> Tensor | None:
    """How well the tower knows the least known word of each text, `(N,)`: the length of the word's longest token
    embedding over the median of all tokens. Near 1 is a word that training never touched. None: a tower that can't be
    judged."""
    lengths = _token_lengths(clip)
    if lengths is None:
        return None
    median = lengths.median()
    scores = []
    for text in texts:
        words = [word for word in re.findall(r"\w+", text.lower()) if word not in _SMALL_WORDS] or [text]
        scores.append(min(float(_word_length(clip, lengths, word) / median) for word in words))
    return torch.tensor(scores)


def unfamiliar(clip: ClipModel, texts: Sequence[str]) -> list[str]:
    """Those texts that hold a word without meaning to this tower; empty where the tower can't be judged."""
    scores = familiarity(clip, texts)
    return [] if scores is None else [text for text, score in zip(texts, scores.tolist()) if score < LONGER]


def warn_unfamiliar(clip: ClipModel, groups: Iterable[Sequence[str]], who: str, advice: str) -> None:
    """One line on stderr where words mean nothing to this tower.

    Args:
        groups: each label's words, see `Vocabulary.words`.
        who: what to call the tower.
        advice: what to do about it.
    """
    strange = unfamiliar(clip, [word for group in groups for word in group])
    if strange:
        line = f"warning: {who} never saw {some(strange, 6)}: what it answers for them means nothing; {advice}"
        print(line, file=sys.stderr)


def _word_length(clip: ClipModel, lengths: Tensor, word: str) -> Tensor:
    ids = clip.tokenize([word])
    end = clip.eot_index(ids)
    return lengths[ids[0, 1 : int(end[0])]].max() if end is not None and int(end[0]) > 1 else lengths.median()


def _token_lengths(clip: ClipModel) -> Tensor | None:
    """Lengths of all token embeddings, `(V,)`; None where they do not fall into initial values and trained ones."""
    try:
        vocabulary = 1 + int(clip.tokenize(["a"]).max())  # CLIP's end-of-text token is the last of its vocabulary
        embeddings = clip.embed_tokens(torch.arange(vocabulary)[None])[0].float().cpu()
    except (ValueError, IndexError, RuntimeError):  # no tower of open_clip's own kind, or another tokenizer
        return None
    lengths = embeddings.norm(dim=1)
    low, middle, high = lengths.quantile(torch.tensor([0.1, 0.5, 0.9])).tolist()
    # The length of a Gaussian vector of W numbers varies by 1 / sqrt(2 W) of itself; 10 % lie beyond 1.28 of that.
    spread = 2 * 1.2816 / math.sqrt(2 * embeddings.shape[1])
    if middle == 0 or abs((high - low) / middle - spread) > 0.25 * spread:
        return None
    # Two groups with a gap between them, or there is nothing to tell apart: a tower that knows all words, or none.
    trained, between = (
        (lengths > LONGER * middle).sum(),
        ((lengths > 1.35 * middle) & (lengths <= LONGER * middle)).sum(),
    )
    return lengths if trained >= 10 and between <= 0.1 * trained else None
