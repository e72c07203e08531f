"""Pairs of a window of a film and of what is said in it, which overlap and do not share their ends (VideoCLIP, Xu et
al. 2021, section 3.2): speech is late or early, so that a sentence's own seconds often miss what it tells."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class TimedText(NamedTuple):
    """A sentence, and the seconds of its film in which it is said."""

    start: float
    end: float
    text: str


class Pair(NamedTuple):
    """Seconds `start` to `end` of a film, whole ones, and the `text` of its sentences from `first` to before `last`.
    `centre` is the second around which the window grew, of an aligned pair the middle."""

    start: int
    end: int
    text: str
    first: int
    last: int
    centre: float


class OverlappedPairs:
    """Draws pairs of a film.

    A sentence is chosen, and others before and behind it are added at random until there are m words. A second between
    the first one's start and the last one's end is chosen, and a window grows around it by single seconds, to the left
    or the right at random, until it is l seconds long or the film ends on both sides. m and l are uniform.

    A pair depends on the seed, the epoch, the film and its number alone: not on the worker that draws it, nor on what
    was drawn before, so that a run that was killed goes on with the pairs it would have had.

    Args:
        seconds: least and most l.
        words: least and most m; the paper counts tokens.
        pairs: of a film in an epoch.
        seed: of the run.
        aligned: the window has the ends of its sentences, whatever `seconds` says: what the paper compares with.

    Raises:
        ValueError: bounds that are no bounds, or less than one pair.

    Examples:
        >>> said = [TimedText(2.0, 5.5, "cut the onions"), TimedText(7.0, 9.0, "and fry them")]
        >>> pair = OverlappedPairs(seconds=(3, 8), words=(2, 6))("a film", said, 60.0, epoch=0)[0]
        >>> pair.start <= pair.centre <= pair.end
        True
    """

    def __init__(
        self,
        seconds: tuple[int, int] = (3, 32),
        words: tuple[int, int] = (8, 64),
        pairs: int = 16,
        seed: int = 0,
        aligned: bool = False,
    ) -> None:
        for name, (least, most) in (("seconds", seconds), ("words", words)):
            if not 1 <= least <= most:
                raise ValueError(f"{name} are the least and the most, at least 1, got {least} and {most}")
        if pairs < 1:
            raise ValueError(f"pairs is at least 1, got {pairs}")
        self.seconds, self.words, self.pairs, self.seed, self.aligned = seconds, words, pairs, seed, aligned

    def __call__(self, film: str, said: Sequence[TimedText], duration: float, epoch: int) -> list[Pair]:
        """The pairs of an epoch.

        Args:
            film: its name; equal names draw alike.
            said: sentences in the order of their starts, at least one.
            duration: of the film in seconds.
            epoch: from 0.

        Raises:
            ValueError: nothing is said, or the film has no length.
        """
        if not said or not duration > 0:
            raise ValueError(f"{film}: pairs need a sentence and a length, got {len(said)} and {duration:g} s")
        return [self._pair(film, said, math.ceil(duration), epoch, k) for k in range(self.pairs)]

    def _pair(self, film: str, said: Sequence[TimedText], length: int, epoch: int, k: int) -> Pair:
        name = int.from_bytes(hashlib.sha256(film.encode()).digest()[:8], "big")
        random = np.random.default_rng([self.seed, epoch, name, k])
        first, last = self._sentences(said, random)
        text = " ".join(one.text for one in said[first:last])
        low, high = math.floor(said[first].start), math.ceil(max(one.end for one in said[first:last]))
        if self.aligned:
            start = min(max(low, 0), length - 1)
            end = max(min(high, length), start + 1)
            return Pair(start, end, text, first, last, (start + end) / 2)
        centre = min(max(int(random.integers(low, max(low, high), endpoint=True)), 0), length - 1)
        size = min(int(random.integers(*self.seconds, endpoint=True)), length)
        # The side on which a coin lets the window grow matters only where the film ends, and there the rest goes to the
        # other one: the coins' sum is enough.
        before = min(max(int(random.binomial(size, 0.5)), centre + size - length), centre)
        return Pair(centre - before, centre - before + size, text, first, last, centre)

    def _sentences(self, said: Sequence[TimedText], random: np.random.Generator) -> tuple[int, int]:
        first = int(random.integers(len(said)))
        last, wanted = first + 1, int(random.integers(*self.words, endpoint=True))
        count = len(said[first].text.split())
        while count < wanted and last - first < len(said):
            if first == 0 or (last < len(said) and random.random() < 0.5):
                count += len(said[last].text.split())
                last += 1
            else:
                first -= 1
                count += len(said[first].text.split())
        return first, last
