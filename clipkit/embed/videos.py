"""Videos and sentences -> the stores that `clipkit.embed.frame_store` reads: the work of `clipkit frames`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clipkit.backbone import ClipModel, FrozenCLIP
from clipkit.data.video import Fps, Segments, Uniform, VideoError, stream_video
from clipkit.data.video_sets import CaptionedVideo
from clipkit.embed.frame_store import DTYPES, FORMAT, caption_id, name_of, record_id
from clipkit.errors import ClipkitError, one_line
from clipkit.precision import PRECISIONS, autocast_dtype
from clipkit.shapes.tiny import FOLDER as TINY
from clipkit.store import Store, StoreError

SAMPLINGS = {"fps": Fps, "uniform": Uniform, "segments": Segments}
SHARD, VIDEOS, IMAGES = 32, 4, 64  # videos a kill can cost, read at once; frames in a pass of CLIP
CAPTIONS = 256


def make_sampling(options: Mapping[str, Any]) -> Any:
    """`{'fps': 1.0}`, `{'uniform': 12}` or `{'segments': 12}` -> a sampling of `clipkit.data.read_video`."""
    if len(options) != 1 or not set(options) <= set(SAMPLINGS):
        known = ", ".join(SAMPLINGS)
        raise ClipkitError(f"sampling={dict(options)}: give one of {known}, for instance dict(fps=1.0)")
    ((kind, value),) = options.items()
    return SAMPLINGS[kind](value)


@dataclass(frozen=True)
class FrameSource:
    """How frames are read: the sampling, and what `clipkit.data.read_video` takes beside it. A video's `span` can be
    honoured by fps alone."""

    sampling: Mapping[str, Any]
    short_side: int | None = None
    backend: str = "decord"
    timeout: float = 30.0

    def stream(self, video: CaptionedVideo, clip: Any, most: int | None = None) -> Iterator[tuple[Tensor, np.ndarray]]:
        """Frames as `prepare_frames` gives them and their seconds `(F,)`, a few at a time: a whole film in its own
        size does not fit into memory.

        Args:
            clip: see `prepare_frames`.
            most: of the frames of an fps sampling so many, spread evenly.

        Raises:
            VideoError: the file cannot be read, or ends before the span.
            ClipkitError: a span, and another sampling than fps.
        """
        sampling = make_sampling(self.sampling)
        if video.span is not None:
            if not isinstance(sampling, Fps):
                raise ClipkitError(f"{video.path}: only a piece of it is wanted, which needs sampling=dict(fps=…)")
            sampling = replace(sampling, span=video.span)
        if isinstance(sampling, Fps):
            sampling = replace(sampling, most=most)
        options: dict[str, Any] = {"backend": self.backend, "timeout": self.timeout, "batch": IMAGES}
        for part in stream_video(video.path, sampling, short_side=self.short_side, **options):
            yield prepare_frames(clip, part.frames), part.timestamps

    def read(self, video: CaptionedVideo, clip: Any, most: int | None = None) -> tuple[Tensor, np.ndarray]:
        """All that `stream` gives."""
        frames, times = zip(*self.stream(video, clip, most))
        return torch.cat(frames), np.concatenate(times)


def prepare_frames(clip: Any, frames: np.ndarray) -> Tensor:
    """`(F, H, W, 3)` uint8 -> `(F, 3, h, w)` uint8 RGB, by the model's own resize and crop, which work on bytes. Of
    the model only `preprocess` and `image_size` are used."""
    if frames.shape[1:3] == clip.image_size:  # nothing to resize or crop
        return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
    preprocess = clip.preprocess
    return torch.stack([(preprocess(Image.fromarray(frame)) * 255).round().byte() for frame in frames])


def as_pixels(frames: Tensor) -> Tensor:
    """What `prepare_frames` gives as float RGB in [0, 1]."""
    return frames.float().div_(255)


def local_name(name: str) -> str:
    """The name of a CLIP for open_clip; `tiny_clip` is the shipped one."""
    return f"local-dir:{TINY}" if name in ("tiny_clip", "tiny_shapes") else name


def load_frozen(
    name: str, pretrained: str | None = None, precision: str = "fp32", device: torch.device | str = "cpu"
) -> tuple[FrozenCLIP, dict[str, Any]]:
    """The encoder, and the part of a store's key that it makes. `weights` there is the hash in float32, whatever
    precision it computes in."""
    device = torch.device(device)
    dtype = autocast_dtype(precision, device)
    chosen = next(key for key, value in PRECISIONS.items() if value == dtype)
    name = local_name(name)
    clip = FrozenCLIP.from_pretrained(name, pretrained, device=device)
    weights = clip.weights_hash
    if dtype is not None:
        clip = FrozenCLIP.from_pretrained(name, pretrained, precision=chosen, device=device)
    cfg = clip.preprocess_cfg
    preprocessing = {key: cfg[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in cfg}
    return clip, {
        "weights": weights,
        "precision": chosen,
        "preprocessing": {"size": list(clip.image_size), **preprocessing},
    }


# ---- computing ----------------------------------------------------------------------------------------------------


def embed_frames(
    out: str | Path,
    videos: Sequence[CaptionedVideo],
    source: FrameSource,
    clip: ClipModel,
    made_by: Mapping[str, Any],
    *,
    dtype: str = "fp16",
    workers: int = 4,
    broken: str = "skip",
    progress: bool = True,
) -> dict[str, str]:
    """Computes what the store `out/frames` lacks of `videos`; each is decoded once, whatever it has of sentences.

    Args:
        clip, made_by: of `load_frozen`.
        dtype: on disk, 'fp16' or 'fp32'.
        workers: videos that are decoded at a time.
        broken: 'skip' gives a video that cannot be read no frames; 'stop' raises at the first.

    Returns: id -> what is wrong with it, of videos that have no frames now; empty on all ranks but the first.

    Raises:
        StoreError: the store was made by something else.
        ClipkitError: embeddings that are not finite; a broken video, where it is to stop.
    """
    store = Store(Path(out) / "frames", frames_key(made_by, source, dtype), shard_size=SHARD, batch_size=VIDEOS)
    ids = {_own_id(store, record_id(video)): video for video in videos}
    with ThreadPoolExecutor(workers) as pool:
        work = _Work(ids, source, clip, dtype, broken, pool)
        store.build(
            list(ids), work, desc="embedding", unit="video", ahead=work.ahead, note=work.speed, progress=progress
        )
    if os.environ.get("RANK", "0") != "0":
        return {}
    empty = [video for key, video in ids.items() if not store.count(key)]
    earlier = f"could not be read when it was embedded; repair the file, or delete {store.folder} to try all again"
    return {video.id: work.problems.get(video.id, f"{video.path}: {earlier}") for video in empty}


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


@torch.no_grad()
def embed_captions(
    out: str | Path,
    captions: Iterable[str],
    clip: ClipModel,
    made_by: Mapping[str, Any],
    *,
    tokens: bool = False,
    dtype: str = "fp16",
    progress: bool = True,
) -> None:
    """Computes what the store `out/captions` (`out/tokens` for tokens) lacks of `captions`; equal ones once.

    Args:
        tokens: one row a token, the last one the end of text's; else the sentence's row alone. They are the same row.
    """
    kind = "tokens" if tokens else "captions"
    made = {key: made_by[key] for key in ("weights", "precision")}
    key = {"kind": kind, "format": FORMAT, **made, "normalized": False, "dtype": dtype}
    store = Store(Path(out) / kind, key, shard_size=CAPTIONS, batch_size=CAPTIONS)
    text_of = {caption_id(text): text for text in captions}

    def compute(ids: list[str]) -> list[dict[str, np.ndarray]]:
        if missing := [key for key in ids if key not in text_of]:
            raise StoreError(
                f"{store.folder}: {len(missing)} sentences of a run that was stopped are not among these; delete this "
                "folder, sentences are soon embedded again"
            )
        texts = [text_of[key] for key in ids]
        rows = [row.float().cpu().numpy() for row in sentence_rows(clip, texts, tokens)]
        return [{"embeddings": np.atleast_2d(row).astype(DTYPES[dtype])} for row in rows]

    store.build(list(text_of), compute, desc="sentences", unit="sentence", progress=progress)


def sentence_rows(clip: ClipModel, texts: list[str], tokens: bool) -> list[Tensor]:
    """Of each sentence `(D,)`, or with `tokens` `(L, D)`, up to the end of text. Not normalised."""
    if not tokens:
        return list(clip.encode_text(texts, normalize=False))
    ends = clip.eot_index(clip.tokenize(texts))
    if ends is None:
        raise ClipkitError(
            f"{clip.name}: its sentences do not end in a token of their own, so words of sentences cannot be used: "
            "take another head than wti, without tokens=True, or another CLIP"
        )
    return [row[: end + 1] for row, end in zip(clip.text_tokens(texts), ends.tolist())]


class _Work:
    """What `Store.build` calls: ids of videos -> their records. Decodes the next videos while it computes."""

    def __init__(
        self,
        ids: dict[str, CaptionedVideo],
        source: FrameSource,
        clip: ClipModel,
        dtype: str,
        broken: str,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.ids, self.source, self.clip, self.broken, self.pool = ids, source, clip, broken, pool
        self.type = DTYPES[dtype]
        self.reading: dict[str, Future[tuple[Tensor, np.ndarray] | str]] = {}
        self.problems: dict[str, str] = {}
        self.frames, self.begun = 0, time.monotonic()

    def ahead(self, ids: list[str]) -> None:
        """Starts to decode these videos, and forgets others."""
        self.reading = {key: self.reading.get(key) or self.pool.submit(self._read, key) for key in ids}

    def speed(self) -> str:
        return f"{self.frames / (time.monotonic() - self.begun):.0f} frames/s"

    def _read(self, key: str) -> tuple[Tensor, np.ndarray] | str:
        if key not in self.ids:  # begun by a run that was stopped; its file has changed since, or is no longer listed
            return ""
        try:
            return self.source.read(self.ids[key], self.clip)
        except (VideoError, OSError) as error:
            return one_line(error)

    @torch.no_grad()
    def __call__(self, ids: list[str]) -> list[dict[str, np.ndarray]]:
        read = [self.reading.pop(key).result() for key in ids]
        for key, found in zip(ids, read):
            if isinstance(found, str) and key in self.ids:
                if self.broken == "stop":
                    raise ClipkitError(found)
                self.problems[name_of(key)] = found
                print(f"\nskipped: {one_line(found)}", file=sys.stderr)
        size = (0, 3, *self.clip.image_size)
        pixels = [torch.zeros(size, dtype=torch.uint8) if isinstance(found, str) else found[0] for found in read]
        times = [np.zeros(0) if isinstance(found, str) else found[1] for found in read]
        parts = [
            self.clip.encode_image(as_pixels(part.to(self.clip.device)), normalize=False).float().cpu()
            for part in torch.cat(pixels).split(IMAGES)
        ]
        rows = torch.cat(parts)
        if not rows.isfinite().all():
            raise ClipkitError("CLIP's embeddings are not finite numbers; use precision bf16 or fp32")
        self.frames += len(rows)
        return [
            {"embeddings": own.numpy().astype(self.type), "timestamps": seconds.astype(np.float64)}
            for own, seconds in zip(rows.split([len(part) for part in pixels]), times)
        ]
