"""Spectrograms of sounds, computed once and kept on disk: what a tower trains on without reading a file again.

On disk a `clipkit.store` with a record a sound: `windows` (W, bands, frames) in float16.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from clipkit.data.audio import AudioError, read_audio
from clipkit.embed._work import Work
from clipkit.errors import ClipkitError
from clipkit.nn import LogMel
from clipkit.store import Store, hash_file

SHARD, BATCH = 512, 64
_DIGITS = 16


class Sounds(Protocol):
    """What is made into spectrograms: `read` gives `(N,)` float32 in ±1, at the rate of the spectrogram."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> np.ndarray: ...

    def identify(self, index: int) -> str: ...


class SoundFiles:
    """Sounds and films on disk, each known by its content.

    Args:
        paths: of the files.
        rate: samples a second that they are resampled to.
    """

    def __init__(self, paths: Sequence[Path], rate: int) -> None:
        self.paths, self.rate = list(paths), rate

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> np.ndarray:
        """Raises AudioError."""
        return read_audio(self.paths[index], self.rate).samples[0]

    def identify(self, index: int) -> str:
        """Changes with the file."""
        try:
            return hash_file(self.paths[index])[: 2 * _DIGITS]
        except OSError as error:
            raise AudioError(f"{self.paths[index]}: cannot be opened ({error.strerror})") from None


def windows(wave: np.ndarray, length: int, most: int = 64) -> np.ndarray:
    """`(N,)` -> `(W, length)`: as few windows as cover the sound, evenly spread, the last of which ends where it does;
    a shorter sound is followed by silence. Of a sound with more than `most` windows that many are kept, evenly
    spread."""
    count = min(max(-(-len(wave) // length), 1), most)
    padded = np.pad(wave, (0, max(length - len(wave), 0)))
    starts = np.linspace(0, len(padded) - length, count).round().astype(int)
    return np.stack([padded[start : start + length] for start in starts])


class Spectrograms:
    """Of a set of sounds, by index: `(W, bands, frames)` float32. Each process opens the store for itself."""

    def __init__(self, store: Store, ids: Sequence[str]) -> None:
        self.store, self.ids = store, list(ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(np.array(self.store[self.ids[index]]["windows"], np.float32))


def embed_sounds(
    sounds: Sounds,
    spectrogram: LogMel,
    seconds: float,
    folder: str | Path,
    *,
    workers: int = 2,
    progress: bool = True,
) -> Spectrograms:
    """Computes what `folder` lacks; a killed run goes on where it stopped. Equal sounds have one record.

    Args:
        spectrogram: see `clipkit.nn.LogMel`.
        seconds: of a window, see `windows`.

    Raises:
        ClipkitError: no sound, or one that cannot be read.
        StoreError: the folder holds something else.
    """
    if len(sounds) == 0:
        raise ClipkitError("spectrograms of no sounds are asked for")
    key = {"kind": "spectrograms", **spectrogram.settings, "seconds": seconds, "format": 1}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    store = Store(Path(folder) / f"sounds-{digest[:_DIGITS]}", key, shard_size=SHARD, batch_size=BATCH)
    with ThreadPoolExecutor(workers) as pool:
        keys = list(pool.map(sounds.identify, range(len(sounds))))
        ids: list[str] = []
        while ids != (ids := [store.free_id(key) for key in keys]):  # see `image_features`
            work = _Sounds(sounds, ids, spectrogram, round(seconds * spectrogram.rate), pool)
            store.build(dict.fromkeys(ids), work, desc="listening", unit="sound", ahead=work.ahead, progress=progress)
    return Spectrograms(store, ids)


class _Sounds(Work[np.ndarray]):
    def __init__(
        self, sounds: Sounds, ids: Sequence[str], spectrogram: LogMel, length: int, pool: ThreadPoolExecutor
    ) -> None:
        super().__init__(pool)
        self.sounds, self.spectrogram, self.length = sounds, spectrogram, length
        self.place = {identifier: index for index, identifier in enumerate(ids)}

    def read(self, key: str) -> np.ndarray | None:
        # None: begun by a run that was stopped, and not in this set, or no longer.
        return windows(self.sounds.read(self.place[key]), self.length) if key in self.place else None

    def embed(self, ids: list[str], items: list[np.ndarray | None]) -> list[dict[str, np.ndarray]]:
        waves = [np.zeros((0, self.length), np.float32) if item is None else item for item in items]
        found = self.checked(self.spectrogram(torch.from_numpy(np.concatenate(waves)))).half().numpy()
        ends = np.cumsum([len(wave) for wave in waves])
        return [{"windows": found[end - len(wave) : end]} for end, wave in zip(ends, waves)]
