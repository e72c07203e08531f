"""The sound of a file, block by block: PyAV decodes, blocks are put on the file's clock. Runs in the reader process,
see `_video_child`.

A film's sound is on the film's clock, whose zero is its first picture. What is silent on that clock (a track that
begins late, a pause between packets) becomes zeros; where clocks start again, sound goes on without a gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from clipkit.data._video_film import Refused, check_length, decoded_frames

LEAST_RATE, MOST_RATE = 1_000, 768_000  # samples a second; resampling makes a filter for every phase between two rates
_SCALE = {"u8": 2**7, "s16": 2**15, "s32": 2**31, "s64": 2**63, "flt": 1, "dbl": 1}
_ROUNDING = 0.05  # seconds: containers round their clocks
_JUMP = 10.0  # seconds that FFmpeg takes for another clock, see `_video_film`


class SoundTrack:
    """The track that `ffmpeg` takes: the default one, else the one with most channels.

    Attributes:
        rate: samples a second; channels: how many.
    """

    def __init__(self, path: str, longest: float) -> None:
        import av
        from av.stream import Disposition

        self._container: Any = av.open(path)
        stream = max(
            self._container.streams.audio,
            key=lambda own: (bool(own.disposition & Disposition.default), own.channels),
            default=None,
        )
        if stream is None:
            raise Refused("holds no sound")
        stream.codec_context.thread_count = 1
        self._stream, self._longest = stream, longest
        self.rate, self.channels = int(stream.rate or 0), int(stream.channels)
        if not LEAST_RATE <= self.rate <= MOST_RATE or not self.channels:
            raise Refused(
                f"has {self.channels} channels of {self.rate} samples a second; at least one is needed, and "
                f"{LEAST_RATE} to {MOST_RATE} samples"
            )
        pictures: list[Any] = [s for s in self._container.streams.video if not s.disposition & Disposition.attached_pic]
        starts = [float(s.start_time * s.time_base) for s in pictures if s.start_time is not None]
        self._zero = min(starts, default=None)

    def blocks(self, first: int, last: float) -> Iterator[np.ndarray]:
        """`(channels, n)` float32, samples `first` to `last` of the clock, in order."""
        place = 0
        for block in self._on_clock():
            end = place + block.shape[1]
            if place >= last:
                return
            if end > first:
                yield block[:, max(first - place, 0) : int(min(last - place, block.shape[1]))]
            place = end

    def _on_clock(self) -> Iterator[np.ndarray]:
        place, zero = 0, self._zero
        for frame in decoded_frames(self._container, self._stream):
            if frame.sample_rate != self.rate or frame.layout.nb_channels != self.channels:
                raise Refused(f"changes its rate or its channels after {place / self.rate:.1f} seconds")
            block = _floats(frame, self.channels)
            if frame.time is not None:
                zero = frame.time if zero is None else zero
                gap = round((frame.time - zero) * self.rate) - place
                if place and abs(gap) > _JUMP * self.rate:
                    zero += gap / self.rate
                elif not place and gap < 0:
                    block = block[:, -gap:]
                elif gap > (_ROUNDING * self.rate if place else 0):
                    check_length(0, 1, (place + gap) / self.rate, self._longest)
                    for start in range(0, gap, self.rate):
                        yield np.zeros((self.channels, min(self.rate, gap - start)), np.float32)
                    place += gap
            place += block.shape[1]
            check_length(0, 1, place / self.rate, self._longest)
            yield block


def _floats(frame: Any, channels: int) -> np.ndarray:
    """(channels, n) float32; whole numbers are divided by what full scale is, as exact as 24 bits are."""
    kind = frame.format.name.removesuffix("p")
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, channels).T
    if kind not in _SCALE:
        raise Refused(f"has samples of an unknown kind ({kind})")
    found = (samples.astype(np.float64) - (2**7 if kind == "u8" else 0)) / _SCALE[kind]
    if not np.isfinite(found).all():
        raise Refused("holds samples that are no numbers")
    return found.astype(np.float32)
