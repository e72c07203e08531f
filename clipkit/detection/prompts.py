"""What is looked for by words: a list of names, or a sentence in which phrases name things."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from clipkit.errors import ClipkitError, shown

SEPARATOR = ". "  # between the names of a list, as GLIP writes them


class Prompt(NamedTuple):
    """A text, and which of its characters are which phrase.

    Attributes:
        text: the whole.
        spans: of each phrase its ranges `(start, end)` of characters.
        listed: the phrases are names of a list, which say nothing about each other.
    """

    text: str
    spans: tuple[tuple[tuple[int, int], ...], ...]
    listed: bool = False

    @property
    def phrases(self) -> tuple[str, ...]:
        """The words of each phrase."""
        return tuple(" ".join(self.text[start:end] for start, end in ranges) for ranges in self.spans)

    def pieces(self) -> list[tuple[str, tuple[int, ...]]]:
        """The text cut where a phrase begins or ends: each piece, and the phrases that it belongs to."""
        cuts = sorted({0, len(self.text), *(place for ranges in self.spans for one in ranges for place in one)})
        return [
            (
                self.text[start:end],
                tuple(i for i, ranges in enumerate(self.spans) if any(a <= start and end <= b for a, b in ranges)),
            )
            for start, end in pairwise(cuts)
        ]


def list_prompt(names: Sequence[str]) -> Prompt:
    """Names, as a list of phrases."""
    spans, start = [], 0
    for name in names:
        spans.append(((start, start + len(name)),))
        start += len(name) + len(SEPARATOR)
    return Prompt(SEPARATOR.join(names), tuple(spans), listed=True)


def read_sentence(text: str) -> Prompt:
    """A sentence, its phrases in brackets: `[a man] left of [the red car]`; where no bracket is, they are guessed: runs
    of words between those that only join ("of", "on", "riding", …).

    Raises:
        ClipkitError: brackets that do not match or hold nothing, or a sentence without a phrase.
    """
    found = list(re.finditer(r"\[([^\[\]]*)\]", text))
    bare = re.sub(r"[\[\]]", "", text)
    if len(found) * 2 != len(re.findall(r"[\[\]]", text)) or any(not match[1].strip() for match in found):
        raise ClipkitError(f"{shown(text)}: write a phrase as [a man], each bracket closed and none empty")
    # Each bracket before a place in `text` moved it by one.
    spans = [(match.start(1) - 2 * i - 1, match.end(1) - 2 * i - 1) for i, match in enumerate(found)] or _guess(bare)
    if not spans:
        raise ClipkitError(f"{shown(text)}: has no phrase; write it in brackets: [a man] left of [the red car]")
    return Prompt(bare, tuple((span,) for span in spans))


_DETERMINERS = frozenset(
    ("a", "an", "the", "this", "that", "these", "those", "his", "her", "its", "their", "my", "your", "our", "some",
     "any", "each", "every")
)  # fmt: skip
_JOINING = frozenset(
    ("of", "on", "in", "at", "by", "with", "and", "or", "is", "are", "was", "were", "to", "from", "under", "above",
     "below", "over", "near", "behind", "beside", "between", "next", "inside", "outside", "there", "which", "who",
     "while", "as", "into", "onto", "through", "around", "along", "against", "for")
)  # fmt: skip
_SIDES = frozenset(("left", "right", "top", "bottom", "front", "back", "side"))


def _guess(text: str) -> list[tuple[int, int]]:
    """Where phrases probably are."""
    words = list(re.finditer(r"[\w'-]+|[.,;:!?]", text))
    spans: list[tuple[int, int]] = []
    run: list[re.Match] = []

    def end() -> None:
        if any(word[0].lower() not in _DETERMINERS for word in run):
            spans.append((run[0].start(), run[-1].end()))
        run.clear()

    for i, match in enumerate(words):
        word = match[0].lower()
        of = i + 1 < len(words) and words[i + 1][0].lower() == "of"
        named = any(other[0].lower() not in _DETERMINERS for other in run)
        # "a man riding a bike", but "a running dog" and "a red ring"
        does = named and re.search(r"[aeiouy].*ing$", word) is not None
        if does or not word[0].isalnum() or word in _JOINING or (word in _SIDES and of):
            end()
        else:
            if word in _DETERMINERS and named:
                end()
            run.append(match)
    end()
    return spans
