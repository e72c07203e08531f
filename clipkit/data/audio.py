"""Reading the sound of files from strangers (wav, flac, ogg, mp3, films), resampled; one line for whatever is wrong.

>>> read_audio("rain.wav", 16000).samples.shape
(1, 80000)
"""

from __future__ import annotations

import math
import os
import wave
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from clipkit.data._audio_stream import LEAST_RATE, MOST_RATE
from clipkit.data._video_film import SECONDS
from clipkit.data._video_process import ReaderFailed, Refused, borrow
from clipkit.data.video import VIDEO_SUFFIXES, BackendMissing, _is_playlist, _limit
from clipkit.errors import ClipkitError
from clipkit.files import writing

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".wma", ".au")
_ZEROS = 24  # crossings of zero on each side of the filter
_BETA = 9.0  # of its Kaiser window: -90 dB
_PASS = 0.94  # of the lower rate's half, beyond which the filter falls
_BLOCK = 4096  # samples at a time


class AudioError(ClipkitError):
    """A file whose sound cannot be read: missing, without sound, broken, or its decoder hangs. One line."""


@dataclass(frozen=True)
class Audio:
    """Sound.

    Attributes:
        samples: `(C, N)` float32, full scale is ±1.
        rate: samples a second.
    """

    samples: np.ndarray
    rate: int

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.samples.shape[1] / self.rate


def read_audio(
    path: str | Path,
    rate: int | None = None,
    *,
    start: float = 0.0,
    seconds: float | None = None,
    mono: bool = True,
    timeout: float = 30.0,
) -> Audio:
    """Reads the sound of a file, or of a film, whose clock begins with its first picture.

    Decoding happens in a process of its own, as `read_video`'s; the limit CLIPKIT_FILM_SECONDS (a day) is the same.

    Args:
        rate: samples a second to resample to, see `resample`; None keeps the file's.
        start: seconds of the clock at which to begin, to the nearest of the file's own samples.
        seconds: how many at most; None reads to the end.
        mono: the mean over channels.
        timeout: seconds without anything decoded after which the reader is killed.

    Raises:
        AudioError: one line that names the file.
        BackendMissing: PyAV is not installed.
        ValueError: a rate beyond 1,000 to 768,000, or times that are negative.
    """
    if rate is not None and not LEAST_RATE <= rate <= MOST_RATE:
        raise ValueError(f"rate is {LEAST_RATE} to {MOST_RATE} samples a second, got {rate}")
    if start < 0 or (seconds is not None and seconds <= 0) or timeout <= 0:
        raise ValueError(f"start is not negative, seconds and timeout are positive, got {start}, {seconds}, {timeout}")
    _check_file(path)
    job = {
        "path": str(Path(path).absolute()), "backend": "pyav", "sound": True, "start": start, "seconds": seconds,
        "timeout": timeout, "longest": _limit(SECONDS),
    }  # fmt: skip
    blocks = []
    try:
        with borrow() as reader:
            reader.ask(job)
            about = reader.message() or {}
            channels, room = about["channels"], _room()
            while count := (reader.message() or {})["samples"]:
                room -= 4 * channels * count
                if room < 0:
                    raise AudioError(
                        f"{path}: its sound takes an eighth of this machine's memory; read less of it (seconds=)"
                    )
                block = np.empty((channels, count), np.float32)
                reader.fill(block)
                blocks.append(block.mean(0, keepdims=True) if mono else block)
    except (ReaderFailed, Refused) as error:
        raise AudioError(f"{path}: {' '.join(str(error).split())}") from None
    if not blocks:
        raise AudioError(f"{path}: has no sound {f'from second {start:g} on' if start else 'in it'}")
    samples = np.concatenate(blocks, 1)
    return Audio(resample(samples, about["rate"], rate or about["rate"]), rate or about["rate"])


def resample(samples: np.ndarray, old: int, new: int) -> np.ndarray:
    """`(C, N)` at `old` samples a second -> `(C, ⌈N · new / old⌉)` float32 at `new`: sample k is the sound at k / new
    seconds, by a Kaiser-windowed sinc (24 crossings, -90 dB) that passes 94 % of the lower rate's half. Around what is
    given there is silence. Equal rates give the samples themselves.
    """
    if old == new or not samples.shape[1]:
        return samples.astype(np.float32, copy=False)
    common = math.gcd(old, new)
    up, down = new // common, old // common
    cut = _PASS * min(up / down, 1.0)  # in halves of the old rate
    margin = math.ceil(_ZEROS / cut)
    taps = np.arange(-margin, margin + 2)
    count = -(-samples.shape[1] * up // down)
    padded = np.pad(samples.astype(np.float32, copy=False), ((0, 0), (margin, margin + 2)))
    around = np.lib.stride_tricks.sliding_window_view(padded, len(taps), axis=1)
    found = np.empty((len(samples), count), np.float32)
    for begin in range(0, count, _BLOCK):
        place = np.arange(begin, min(begin + _BLOCK, count)) * down
        phases, which = np.unique(place % up, return_inverse=True)
        filters = _sinc(taps - phases[:, None] / up, cut)
        found[:, begin : begin + _BLOCK] = np.einsum("cnk,nk->cn", around[:, place // up], filters[which])
    return found


def _sinc(away: np.ndarray, cut: float) -> np.ndarray:
    """The filter's value so many old samples from its middle."""
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (away * cut / _ZEROS) ** 2, 0, None))) / np.i0(_BETA)
    return cut * np.sinc(cut * away) * window * (np.abs(away) * cut <= _ZEROS)


def write_wave(path: str | Path, samples: np.ndarray, rate: int) -> None:
    """Writes `(C, N)` or `(N,)` in ±1 as a WAV file of 16 bits, whole or not at all; what is louder is cut."""
    rows = np.atleast_2d(samples)
    whole = (rows.astype(np.float64) * 2**15).round().clip(-(2**15), 2**15 - 1).astype("<i2")
    with writing(Path(path)) as partial, wave.open(str(partial), "wb") as file:
        file.setnchannels(len(whole))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(whole.T).tobytes())


def has_sound_suffix(path: str | Path) -> bool:
    """Whether a file may have sound, by its ending."""
    return Path(path).suffix.lower() in (*AUDIO_SUFFIXES, *VIDEO_SUFFIXES)


def _check_file(path: str | Path) -> None:
    place = Path(path)
    if not place.is_file():  # a pipe would be waited for
        raise AudioError(f"{path}: {'is a folder, a pipe or a device' if place.exists() else 'no such file'}")
    if not place.stat().st_size:
        raise AudioError(f"{path}: is empty; copy or download it again")
    if _is_playlist(place):
        raise AudioError(f"{path}: is a text or a playlist, which names other files or addresses, and no sound")
    if find_spec("av") is None:
        raise BackendMissing(f"{path}: av is not installed, which reads sound: pip install av")


def _room() -> int:
    """Bytes that sound may take: an eighth of this machine's memory."""
    known = hasattr(os, "sysconf")
    return (os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if known else 1 << 33) // 8
