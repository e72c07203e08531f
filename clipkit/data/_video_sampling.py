"""Which frames of a video to read: from the frames' timestamps alone, so that every backend chooses the same."""

from __future__ import annotations

import math
import operator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

# Seconds: Matroska writes whole milliseconds. An odd number, for frames of NTSC rates start whole fractions of a
# millisecond after the tick, and backends must not disagree over those that meet the limit.
_ROUNDING = 0.77e-3


class Sampling(Protocol):
    """Chooses frames."""

    def choose(self, times: np.ndarray, duration: float) -> np.ndarray:
        """`(N,)` timestamps in seconds, ascending from 0 -> `(T,)` int64 indices of frames, T at least 1."""


@dataclass(frozen=True)
class Uniform:
    """`n` frames spread evenly from the first to the last; all frames where there are fewer than `n`.

    The choice is symmetric in time: of a video played backwards it takes the same frames in reverse. (Only the middle
    one of an odd `n` has no mirror image where the number of frames is even.)
    """

    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", _at_least_one(self.n, "Uniform(n)"))

    def choose(self, times: np.ndarray, duration: float) -> np.ndarray:
        last, n = len(times) - 1, min(self.n, len(times))
        if n == 1:
            return np.array([last // 2])
        place = np.arange(n)
        early = place * last // (n - 1)
        return np.where(2 * place < n - 1, early, (last - early)[::-1])


@dataclass(frozen=True)
class Fps:
    """The frame on show at 0, 1/rate, 2/rate, … seconds (one that starts within a millisecond counts), up to the end;
    each frame once, so that a still of an hour is one picture.

    Of a `span` (start, end) in seconds those that begin in it; where it lies between two, the frame on show at its
    middle. At `most` so many, spread evenly.
    """

    rate: float
    span: tuple[float, float] | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        if not (0 < self.rate < math.inf):
            raise ValueError(f"Fps(rate) needs a positive number of frames a second, got {self.rate}")
        if self.span is not None and not 0 <= self.span[0] < self.span[1]:
            raise ValueError(f"Fps(span) needs 0 <= start < end, got {self.span}")
        object.__setattr__(self, "rate", float(self.rate))
        if self.span is not None:
            object.__setattr__(self, "span", (float(self.span[0]), float(self.span[1])))
        if self.most is not None:
            object.__setattr__(self, "most", _at_least_one(self.most, "Fps(most)"))

    def choose(self, times: np.ndarray, duration: float) -> np.ndarray:
        chosen = self._all(times, duration)
        return chosen if self.most is None else chosen[Uniform(self.most).choose(chosen, 0.0)]

    def _all(self, times: np.ndarray, duration: float) -> np.ndarray:
        # The first tick of each frame and of the end: a frame without one before the next frame's is on show at none.
        # (The ticks themselves would be millions where the video is long and has few frames.)
        ticks = np.ceil((np.append(times, duration) - _ROUNDING) * self.rate)
        ticks[-1] = max(ticks[-1], 1)
        chosen = np.flatnonzero(ticks[:-1] < ticks[1:])
        if self.span is None:
            return chosen
        start, end = self.span
        if start >= duration and start > times[-1]:  # a video of one frame lasts 0 seconds and has it
            raise ValueError(f"has no frame between {start:g} and {end:g} seconds: it ends at {duration:g}")
        inside = chosen[(times[chosen] >= start) & (times[chosen] < end)]
        return inside if len(inside) else _on_show(times, np.array([(start + min(end, duration)) / 2]))


@dataclass(frozen=True)
class Segments:
    """One frame of each of `n` equal segments (TSN, Wang et al., 2016, section 3.1): its middle, or with a seed as
    `jitter` a random one. Frames repeat where the video has fewer than `n`."""

    n: int
    jitter: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", _at_least_one(self.n, "Segments(n)"))
        if self.jitter is not None and self.jitter < 0:
            raise ValueError(f"Segments(jitter) is a seed, a whole number not below 0, got {self.jitter}")

    def choose(self, times: np.ndarray, duration: float) -> np.ndarray:
        within = 0.5 if self.jitter is None else np.random.default_rng(self.jitter).random(self.n)
        return ((np.arange(self.n) + within) * len(times) / self.n).astype(np.int64)


@dataclass(frozen=True)
class Indices:
    """These frames, in this order; 0 is the first."""

    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", tuple(_whole(index, "Indices") for index in self.indices))
        if not self.indices or min(self.indices) < 0:
            raise ValueError("Indices needs at least one frame, and none below 0")

    def choose(self, times: np.ndarray, duration: float) -> np.ndarray:
        if max(self.indices) >= len(times):
            raise ValueError(f"has {len(times)} frames, so there is no frame {max(self.indices)}")
        return np.array(self.indices)


def _on_show(times: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    return np.maximum(np.searchsorted(times, seconds + _ROUNDING, side="right") - 1, 0)


SAMPLINGS = {kind.__name__: kind for kind in (Uniform, Fps, Segments, Indices)}


def to_json(sampling: Any) -> dict[str, Any]:
    """Plain JSON, for the reader process."""
    if type(sampling) not in SAMPLINGS.values():
        raise TypeError(f"sampling must be one of {', '.join(SAMPLINGS)}, got {sampling!r}")
    return {"kind": type(sampling).__name__, **asdict(sampling)}


def from_json(fields: dict[str, Any]) -> Sampling:
    """What `to_json` wrote."""
    fields = dict(fields)
    return SAMPLINGS[fields.pop("kind")](**fields)


def _at_least_one(n: Any, name: str) -> int:
    """A plain int, as JSON has them."""
    if (n := _whole(n, name)) < 1:
        raise ValueError(f"{name} needs at least one frame, got {n}")
    return n


def _whole(number: Any, name: str) -> int:
    try:
        return operator.index(number)
    except TypeError:
        raise ValueError(f"{name} counts whole frames, got {number!r}") from None
