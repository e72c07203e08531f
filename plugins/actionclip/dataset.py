"""Videos with actions as mmengine samples: several views of raw frames, or of a store's embeddings."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from clipkit_plugins.actionclip.views import test_crops, train_transform
from mmengine.logging import print_log
from torch import Tensor
from torch.utils.data import Dataset

from clipkit.backbone.options import clip_options
from clipkit.data.action_sets import ActionVideo, first_shots, read_action_set
from clipkit.data.bad_files import read_on_bad
from clipkit.data.video import DEFAULT_BACKEND, Segments, VideoReader
from clipkit.embed.encoder import load_frozen
from clipkit.embed.frame_store import FrameStore
from clipkit.engine.registry import DATASETS
from clipkit.errors import ClipkitError


@DATASETS.register_module()
class ActionVideos(Dataset):
    """Each sample: `frames`, `(V, F, 3, size, size)` uint8 RGB or `(V, F, D)` embeddings of V views; `label`, 0-d;
    `name`; `readable`, False for a test video that cannot be read, whose frames are black and which counts as wrong.

    Args:
        set, root, split, videos, labels: see `clipkit.data.action_sets`.
        segments: F; one frame of each of F equal segments (TSN), in training a random one.
        train: random frames and augmentation, one view; else the middle frames and crops.
        clips, crops: a test video's views are clips · crops: evenly shifted frames, and 1 or 3 crops.
        size: pixels a side.
        randaugment: (operations, magnitude) or None.
        flip: mirror half of the training videos; not where left and right are the label.
        shots: that many videos of each class, drawn by `seed`: few-shot training. None: all.
        store: folder of `clipkit frames`: embeddings in place of pixels, without augmentation and crops.
        clip: a name, or `dict(name=..., pretrained=...)`, which must have made the store.
        on_bad: 'skip' names a video that cannot be read and goes on; 'raise' raises at the first.
        broken: the name of `on_bad` before; read until 1.0.
        backend, timeout: of `clipkit.data.read_video`.

    Raises:
        ClipkitError: nothing to read, or options that do not go together.
    """

    def __init__(
        self,
        set: str,
        root: str,
        split: str = "train",
        videos: str | None = None,
        labels: str | None = None,
        segments: int = 8,
        train: bool = False,
        clips: int = 1,
        crops: int = 1,
        size: int = 224,
        randaugment: tuple[int, int] | None = (2, 9),
        flip: bool = True,
        shots: int | None = None,
        seed: int = 0,
        store: str | None = None,
        clip: str | Mapping[str, Any] | None = None,
        on_bad: str = "skip",
        backend: str = DEFAULT_BACKEND,
        timeout: float = 30.0,
        test_mode: bool = False,
        broken: str | None = None,
    ) -> None:
        on_bad = read_on_bad(on_bad, broken)
        if train and (clips, crops) != (1, 1):
            raise ClipkitError("training takes one view: clips and crops are for testing")
        if store is not None and crops != 1:
            raise ClipkitError("a store of embeddings has no crops: leave crops at 1")
        found = read_action_set(set, root, split, videos, labels)
        self.videos: list[ActionVideo] = found.videos if shots is None else first_shots(found.videos, shots, seed)
        self.problems = found.problems
        self.metainfo = {"classes": tuple(found.classes)}
        self.segments, self.train, self.clips, self.crops, self.size = segments, train, clips, crops, size
        self.transform = train_transform(size, randaugment, flip)
        # Frames come no larger than the crops need: decoding to 340 × 256 is what makes an epoch bearable.
        options: dict[str, Any] = {"short_side": size * 256 // 224, "backend": backend, "timeout": timeout}
        self.reader = VideoReader(Segments(segments * clips), on_bad=on_bad, **options)
        self.store = None if store is None else FrameStore(store)
        if self.store is not None and clip is not None:
            wanted = clip_options(clip)
            _, made_by = load_frozen(wanted["name"], wanted.get("pretrained"))
            if self.store.key["weights"] != made_by["weights"]:
                raise ClipkitError(f"{store}: holds embeddings of another CLIP than {wanted['name']}")
        if self.store is not None and (lost := [v.id for v in self.videos if v.id not in self.store]):
            raise ClipkitError(f"{store}: lacks {len(lost)} of {len(self.videos)} videos, such as {lost[0]}")
        if self.store is not None and (empty := [v.id for v in self.videos if not self.store.count(v.id)]):
            line = f"{store}: {len(empty)} videos could not be read when they were embedded, such as {empty[0]}"
            if on_bad == "raise":
                raise ClipkitError(line)
            print_log(line, "current")

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The sample; in training another one where the video cannot be read."""
        for attempt in range(len(self.videos) + 1):
            video = self.videos[index]
            frames = self._from_store(video) if self.store is not None else self._from_file(video)
            if frames is not None or not self.train:
                break
            # A random one, and from there all in turn: random ones alone may miss those that can be read.
            index = (index + 1) % len(self.videos) if attempt else int(np.random.randint(len(self.videos)))
        else:
            raise ClipkitError("not one video can be read; the lines above say why")
        readable = frames is not None
        if frames is None:
            frames = self._blank(video)
        return {"frames": frames, "label": torch.tensor(video.label), "name": video.id, "readable": readable}

    def choose(self, count: int) -> np.ndarray:
        """Places of the frames of all views among `count`, `(clips, F)`."""
        if self.train:
            return Segments(self.segments, _jitter()).choose(np.arange(count), count)[None]
        return self._clips(Segments(self.segments * self.clips).choose(np.arange(count), count))

    def _clips(self, frames: np.ndarray) -> np.ndarray:
        """`(F · clips, …)` in order of time to `(clips, F, …)`: clip c has frame c of each segment."""
        return np.moveaxis(frames.reshape(self.segments, self.clips, *frames.shape[1:]), 1, 0)

    def _blank(self, video: ActionVideo) -> Tensor:
        if self.store is not None:
            return torch.zeros(1, self.segments, self.store[video.id].embeddings.shape[1])
        return torch.zeros(1, self.segments, 3, self.size, self.size, dtype=torch.uint8)

    def _from_store(self, video: ActionVideo) -> Tensor | None:
        assert self.store is not None
        rows = self.store[video.id].embeddings
        return torch.from_numpy(rows[self.choose(len(rows))]) if len(rows) else None

    def _from_file(self, video: ActionVideo) -> Tensor | None:
        if self.train:
            read = self.reader(video.path, Segments(self.segments, _jitter()))
            return None if read is None else self.transform(_pixels(read.frames))[None]
        read = self.reader(video.path)
        if read is None:
            return None
        return torch.cat([test_crops(_pixels(clip), self.size, self.crops) for clip in self._clips(read.frames)])


def _pixels(frames: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)


def _jitter() -> int:
    return int(np.random.randint(2**31))
