"""The frames of videos -> the store that `clipkit.embed.frame_store` reads: the work of `clipkit frames`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clipkit.backbone import ClipModel
from clipkit.data.bad_files import read_on_bad
from clipkit.data.video import VideoError
from clipkit.data.video_sets import CaptionedVideo
from clipkit.device import images_at_once
from clipkit.embed._work import Work
from clipkit.embed.crew import Alone, Crew
from clipkit.embed.frame_source import FrameSource, as_pixels
from clipkit.embed.frame_store import DTYPES, FORMAT, record_id
from clipkit.errors import one_line
from clipkit.store import Store

SHARD, VIDEOS = 32, 4  # videos a kill can cost, read at once


def embed_frames(
    out: str | Path,
    videos: Sequence[CaptionedVideo],
    source: FrameSource,
    clip: ClipModel | None,
    made_by: Mapping[str, Any],
    *,
    dtype: str = "fp16",
    workers: int = 4,
    on_bad: str = "skip",
    progress: bool = True,
    broken: str | None = None,
    crew: Crew | None = None,
) -> dict[str, str]:
    """Computes what the store `out/frames` lacks of `videos`; each is decoded once, whatever it has of sentences.

    Args:
        clip, made_by: of `load_frozen`.
        dtype: on disk, 'fp16' or 'fp32'.
        workers: videos that are decoded at a time.
        on_bad: 'skip' gives a video that cannot be read no frames; 'raise' ends at the first.
        broken: the name of `on_bad` before, see `read_on_bad`.
        crew: who works, each with a CLIP of its own; `clip` is then not used. None: this process.

    Returns: id -> what is wrong with it, of videos that have no frames now; empty on all ranks but the first.

    Raises:
        StoreError: the store was made by something else.
        ClipkitError: embeddings that are not finite; a video that cannot be read, where `on_bad` raises.
    """
    on_bad = read_on_bad(on_bad, broken)
    store = Store(Path(out) / "frames", frames_key(made_by, source, dtype), shard_size=SHARD, batch_size=VIDEOS)
    ids = {_own_id(store, record_id(video)): video for video in videos}
    crew = crew or Alone(clip, made_by, workers)
    make = partial(_Videos, source=source, dtype=dtype, on_bad=on_bad)
    done = crew.fill(store, ids, make, desc="embedding", unit="video", progress=progress)
    if not crew.reports:
        return {}
    earlier = f"could not be read when it was embedded; repair the file, or delete {store.folder} to try all again"
    return {
        video.id: done.problems.get(key, f"{video.path}: {earlier}")
        for key, video in ids.items()
        if not store.count(key)
    }


def _own_id(store: Store, identifier: str) -> str:
    """One more try, under an id of its own, where a record is empty: a run that was stopped may have planned it, and a
    later one that did not list the video could only leave it so."""
    return identifier + "~" if identifier in store and not store.count(identifier) else identifier


def frames_key(made_by: Mapping[str, Any], source: FrameSource, dtype: str) -> dict[str, Any]:
    """What the records of a store of frames depend on; each id adds a digest of its file."""
    return {
        "kind": "frames",
        "format": FORMAT,
        **made_by,
        "normalized": False,
        "sampling": dict(source.sampling),
        "short_side": source.short_side,
        "backend": source.backend,
        "dtype": dtype,
    }


class _Videos(Work[tuple[Tensor, np.ndarray]]):
    unit = "frames"

    def __init__(
        self,
        clip: ClipModel,
        ids: Mapping[str, CaptionedVideo],
        pool: ThreadPoolExecutor,
        *,
        source: FrameSource,
        dtype: str,
        on_bad: str,
    ) -> None:
        super().__init__(pool, on_bad)
        self.ids, self.source, self.clip, self.type = ids, source, clip, DTYPES[dtype]

    def read(self, key: str) -> tuple[Tensor, np.ndarray] | str | None:
        if key not in self.ids:  # begun by a run that was stopped; its file has changed since, or is no longer listed
            return None
        try:
            return self.source.read(self.ids[key], self.clip)
        except (VideoError, OSError) as error:
            return one_line(error)

    def embed(self, ids: list[str], items: list[tuple[Tensor, np.ndarray] | None]) -> list[dict[str, np.ndarray]]:
        nothing = torch.zeros((0, 3, *self.clip.image_size), dtype=torch.uint8), np.zeros(0)
        pixels, times = zip(*(nothing if item is None else item for item in items))
        parts = [
            self.clip.encode_image(as_pixels(part.to(self.clip.device)), normalize=False).float().cpu()
            for part in torch.cat(pixels).split(images_at_once(self.clip.device))
        ]
        rows = self.checked(torch.cat(parts))
        return [
            {"embeddings": own.numpy().astype(self.type), "timestamps": seconds.astype(np.float64)}
            for own, seconds in zip(rows.split([len(part) for part in pixels]), times)
        ]
