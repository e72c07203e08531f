"""How the frames of a video reach an encoder: which ones, and what its preprocessing makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clipkit.data.video import DEFAULT_BACKEND, Fps, Segments, Uniform, stream_video
from clipkit.data.video_sets import CaptionedVideo
from clipkit.errors import ClipkitError

SAMPLINGS = {"fps": Fps, "uniform": Uniform, "segments": Segments}
IMAGES = 64  # frames in a pass of CLIP


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
    backend: str = DEFAULT_BACKEND
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
