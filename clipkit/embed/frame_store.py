"""What a frozen CLIP says of the frames of videos and of sentences, computed once by `clipkit frames`: temporal heads
then train without running CLIP or decoding again. On disk two `clipkit.store`s below one folder,

    frames/    a record a video:    embeddings (F, D), timestamps (F,) float64 seconds
    captions/  a record a sentence: embeddings (1, D); or
    tokens/    a record a sentence: embeddings (L, D), its tokens'; the last row is the end of text's, the sentence's

in float16 or float32, **not** normalised.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clipkit.data.video_sets import CaptionedVideo
from clipkit.store import Store, StoreError

FORMAT = 1
DTYPES = {"fp16": np.float16, "fp32": np.float32}
_DIGITS = 16
_EDGE = 1 << 16


def record_id(video: CaptionedVideo) -> str:
    """The id of a video's record: its own id, and digits that change when its file does: of its size and its first and
    last 64 KiB, since hashing hundreds of gigabytes at each start would take longer than the training."""
    digest = hashlib.sha256()
    try:
        with video.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest.update(str(size).encode())
            for place in (0, max(size - _EDGE, 0)):
                file.seek(place)
                digest.update(file.read(_EDGE))
    except OSError:
        digest.update(b"not to be opened")
    return f"{video.id}@{digest.hexdigest()[:_DIGITS]}"


def name_of(identifier: str) -> str:
    """The video's id in a record's id."""
    return identifier.rstrip("~")[: -_DIGITS - 1]


def caption_id(text: str) -> str:
    """The id of a sentence's record."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Frames(NamedTuple):
    """`embeddings` `(F, D)` float32 and `timestamps` `(F,)` seconds of one video."""

    embeddings: np.ndarray
    timestamps: np.ndarray


class FrameStore:
    """Reads the stores, by the id of a video and by a sentence. Each process opens it for
    itself, so it can be handed to any number of data-loader workers.

    Args:
        folder: the one given to them as `out`.
        tokens: sentences with their tokens.
        videos: whose files, as they are now, are meant; None: what was written last of each id.

    Raises:
        FileNotFoundError: no store there.
    """

    def __init__(
        self, folder: str | Path, tokens: bool = False, videos: Iterable[CaptionedVideo] | None = None
    ) -> None:
        self.folder, self.tokens = Path(folder), tokens
        self._wanted = None if videos is None else {video.id: record_id(video) for video in videos}
        self._process: int | None = None
        self._open()

    @property
    def key(self) -> dict[str, Any]:
        """What made the frames."""
        return self._open()[0].key

    def __getitem__(self, video: str) -> Frames:
        """Raises KeyError where the store does not have it."""
        frames, _ = self._open()
        if video not in self._ids:
            raise KeyError(f"{video} is not in {self.folder}/frames: run `clipkit frames` for it")
        record = frames[self._ids[video]]
        return Frames(
            _column(record, "embeddings", 2, frames).astype(np.float32), _column(record, "timestamps", 1, frames)
        )

    def __contains__(self, video: object) -> bool:
        self._open()
        return video in self._ids

    def __iter__(self) -> Iterator[str]:
        self._open()
        return iter(self._ids)

    def count(self, video: str) -> int:
        """Number of frames, without reading them."""
        frames, _ = self._open()
        return frames.count(self._ids[video])

    def caption(self, text: str) -> np.ndarray:
        """`(D,)` float32; with `tokens`, `(L, D)`, the last row the sentence's."""
        _, captions = self._open()
        if captions is None:
            raise KeyError(f"{self.folder} holds no sentences")
        rows = _column(captions[caption_id(text)], "embeddings", 2, captions).astype(np.float32)
        if not len(rows):
            raise StoreError(
                f"{captions.folder}: holds a sentence without rows; delete it and run `clipkit frames` again"
            )
        return rows if self.tokens else rows[-1]

    def _open(self) -> tuple[Store, Store | None]:
        # Maps must not come along through a fork.
        if self._process != os.getpid():
            frames, sentences = Store(self.folder / "frames"), self.folder / ("tokens" if self.tokens else "captions")
            captions = Store(sentences) if (sentences / "store.json").is_file() else None
            if frames.key.get("kind") != "frames":
                raise StoreError(f"{frames.folder}: holds {frames.key.get('kind')!r}, not frames")
            newest = {name_of(identifier): identifier for identifier in frames}
            wanted = newest if self._wanted is None else self._wanted
            # Where a video was tried again, what came of that.
            newest = {name: key + "~" if key + "~" in frames else key for name, key in wanted.items()}
            self._ids = {name: key for name, key in newest.items() if key in frames}
            self._stores, self._process = (frames, captions), os.getpid()
        return self._stores

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "tokens": self.tokens, "_wanted": self._wanted, "_process": None}


def _column(record: Mapping[str, np.ndarray], name: str, dimensions: int, store: Store) -> np.ndarray:
    """Of a record that somebody else may have written."""
    found = record.get(name)
    if found is None or found.ndim != dimensions or found.dtype.kind not in "iuf":
        raise StoreError(f"{store.folder}: holds no {name}; delete it and run `clipkit frames` again")
    return found
