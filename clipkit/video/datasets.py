"""Videos with sentences as a data set: from embeddings that were computed once, or from the frames themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.utils.data import Dataset

from clipkit.backbone.options import clip_options
from clipkit.data.bad_files import read_on_bad
from clipkit.data.narrated_sets import NarratedSet
from clipkit.data.padding import spread
from clipkit.data.video import DEFAULT_BACKEND, VideoError
from clipkit.data.video_sets import CaptionedVideo, VideoSet, read_video_set
from clipkit.embed.captions import embed_captions
from clipkit.embed.encoder import load_frozen
from clipkit.embed.frame_source import FrameSource
from clipkit.embed.frame_store import FrameStore, caption_id
from clipkit.embed.videos import embed_frames
from clipkit.engine.registry import DATASETS, FUNCTIONS
from clipkit.errors import ClipkitError, one_line

_Set = TypeVar("_Set", VideoSet, NarratedSet)


@DATASETS.register_module()
class VideoTexts(Dataset):
    """One sample is a video with some of its sentences (in tests all): a pass over the data decodes each video once,
    however many sentences it has.

    Args:
        data, root, split, videos: see `clipkit.data.video_sets.read_video_set`.
        clip: a name, or `dict(name=..., pretrained=..., precision=...)`, the frozen CLIP of the store; without a store
            only its preprocessing is used.
        store: folder of embeddings: made at the start by `clip`, or completed, or refused where something else made it.
            None: samples are raw frames and strings, read anew in each pass.
        sampling: `dict(fps=1.0)`, `dict(uniform=12)` or `dict(segments=12)`: frames that are read, and stored.
        short_side, backend, timeout: of `clipkit.data.read_video`.
        max_frames: of a longer video so many are taken, spread evenly.
        sentences: drawn at random of each video in training; None takes all.
        tokens: sentences with all their tokens, for token-wise heads.
        strings: sentences as strings beside stored frames too, for a text tower that trains.
        precision: belongs into `clip`; read here until 1.0.
        dtype, workers: of the store, see `embed_frames`.
        on_bad: 'raise' where videos or sentences are missing or cannot be read, or 'skip' to leave them out and say so.
        test_mode: all sentences.

    Raises:
        ClipkitError: files are missing or cannot be read; one line that counts them and names the first ones.
    """

    def __init__(
        self,
        data: str,
        root: str,
        split: str = "train",
        videos: str | None = None,
        *,
        on_bad: str = "raise",
        **options: Any,
    ) -> None:
        found = found_or_refused(lambda: read_video_set(data, root, split, videos), f"{root} {split}", on_bad)
        self._load(found.videos, on_bad=on_bad, **options)

    def _load(
        self,
        videos: Sequence[CaptionedVideo],
        *,
        clip: str | Mapping[str, Any],
        store: str | None = None,
        sampling: Mapping[str, Any] | None = None,
        short_side: int | None = None,
        backend: str = DEFAULT_BACKEND,
        timeout: float = 30.0,
        max_frames: int = 12,
        sentences: int | None = 1,
        tokens: bool = False,
        strings: bool = False,
        precision: str | None = None,
        dtype: str = "fp16",
        workers: int = 2,
        on_bad: str = "raise",
        test_mode: bool = False,
        about: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        if max_frames < 1 or (sentences is not None and sentences < 1):
            raise ClipkitError("max_frames and sentences are at least 1; sentences=None takes all")
        self.videos, self.max_frames, self.sentences = list(videos), max_frames, sentences
        self.test_mode, self.on_bad = test_mode, read_on_bad(on_bad)
        self.about = list(about) if about is not None else [{}] * len(self.videos)
        self.source = FrameSource(dict(sampling or {"fps": 1.0}), short_side, backend, timeout)
        wanted = clip_options(clip, precision=precision)
        computed = wanted.get("precision", "fp32") if store else "fp32"
        encoder, made_by = load_frozen(wanted["name"], wanted.get("pretrained"), computed, _device(store))
        self.store: FrameStore | None = None
        self.skipped: set[int] = set()
        if store is None:
            self.prepare = SimpleNamespace(preprocess=encoder.preprocess, image_size=encoder.image_size)
            return
        self.strings = strings
        if not strings:
            texts = [text for video in self.videos for text in video.captions]
            embed_captions(store, texts, encoder, made_by, tokens=tokens, dtype=dtype)
        broken = embed_frames(store, self.videos, self.source, encoder, made_by, dtype=dtype, workers=workers)
        if broken:
            first = next(iter(broken.values()))
            message = f"{len(broken)} of {len(self.videos)} videos cannot be read, such as {first}"
            if on_bad == "raise":
                raise ClipkitError(f"{message}. Repair them, or leave them out with on_bad=skip")
            print_log(f"left out: {message}", "current")
        self.store = FrameStore(store, tokens, self.videos)
        kept = [i for i, video in enumerate(self.videos) if self.store.count(video.id)]
        self.videos, self.about = [self.videos[i] for i in kept], [self.about[i] for i in kept]
        if not self.videos:
            raise ClipkitError(f"{store}: not one of the videos can be read")

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`frames` `(F, D)` float32 or `(F, 3, h, w)` uint8, `texts`, their ids `caption` (k,), `video` (), `name`."""
        index, frames = self._readable(int(index))
        captions = self.videos[index].captions
        if not self.test_mode and self.sentences is not None and self.sentences < len(captions):
            chosen = np.random.choice(len(captions), self.sentences, replace=False)
            captions = tuple(captions[i] for i in chosen)
        return {
            "frames": frames,
            "texts": [self._text(text) for text in captions],
            "video": torch.tensor(index),
            "caption": torch.tensor([equal_text_id(text) for text in captions]),
            "name": self.videos[index].id,
            **self.about[index],
        }

    def _readable(self, index: int) -> tuple[int, Tensor]:
        """This video, or where it cannot be read and may be skipped: in training the next that can, in tests no frames,
        which `RetrievalMetric` leaves out."""
        count = len(self.videos)
        for place in [(index + step) % count for step in range(1 if self.test_mode else count)]:
            frames = self._frames(place)
            if frames is not None:
                return place, frames
        if self.test_mode:
            return index, torch.zeros(0, 3, *self.prepare.image_size, dtype=torch.uint8)
        raise ClipkitError(f"not one of {count} videos can be read, such as {self.videos[index].path}")

    def _frames(self, index: int) -> Tensor | None:
        video = self.videos[index]
        if self.store is not None:
            rows = self.store[video.id].embeddings
            return torch.from_numpy(rows[spread(len(rows), self.max_frames)])
        if index in self.skipped:
            return None
        try:
            frames, _ = self.source.read(video, self.prepare, self.max_frames)
        except VideoError as error:
            if self.on_bad == "raise":
                raise ClipkitError(f"{error}; repair it, or leave it out with on_bad=skip") from None
            self.skipped.add(index)
            print(f"skipped: {one_line(error)}", file=sys.stderr)
            return None
        return frames[spread(len(frames), self.max_frames)]

    def _text(self, text: str) -> Any:
        return text if self.store is None or self.strings else torch.from_numpy(self.store.caption(text))


def found_or_refused(read: Callable[[], _Set], what: str, on_bad: str) -> _Set:
    """What `read` gives, a set with `videos` and `problems`.

    Raises:
        ClipkitError: a file or folder is missing; there are problems, and `on_bad` is 'raise'.
    """
    try:
        found = read()
    except FileNotFoundError as error:
        hint = "say where the data lie by --cfg-options variables.…=PATH, see the config's header"
        raise ClipkitError(f"{error}; {hint}") from None
    if found.problems:
        message = f"{what}: {found.problems.summary()}"
        if on_bad == "raise":
            raise ClipkitError(f"{message}. Repair this, or go on without them by on_bad=skip")
        print_log(f"left out or unlike the paper: {message}", "current")
    return found


def equal_text_id(text: str) -> int:
    """A number that texts have in common which CLIP reads alike: letters' case does not count."""
    return int(caption_id(text.lower())[:15], 16)


@FUNCTIONS.register_module()
def collate_lists(samples: Sequence[Any]) -> dict[str, list[Any]]:
    """A batch as a dict of lists: videos differ in frames and in sentences. Items may be lists of samples."""
    flat = [sample for item in samples for sample in (item if isinstance(item, list) else [item])]
    return {key: [sample[key] for sample in flat] for key in flat[0]}


def _device(store: str | None) -> str:
    from clipkit.device import own_device

    return "cpu" if store is None else own_device()
