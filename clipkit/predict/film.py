"""A film of what a model sees in a film."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from clipkit.data import Fps, probe_video, stream_video
from clipkit.errors import ClipkitError
from clipkit.files import writing
from clipkit.predict.predictor import ImagePredictor

CRF = "20"  # of x264: hardly to be told from the frames


def predict_film(
    predictor: ImagePredictor,
    source: str | Path,
    target: Path,
    labels: Any = None,
    *,
    fps: float | None = None,
    draw: Callable[[Any], Image.Image] = lambda result: result.plot(),
    batch_size: int = 8,
) -> int:
    """Writes the pictures of a film's frames as a film (MP4); returns their number. Memory does not grow with it.

    Args:
        fps: frames a second that are looked at, and of the new film; default: all of them.
        draw: a frame's result -> its picture.

    Raises:
        ClipkitError, VideoError: the film cannot be read, or PyAV is missing.
    """
    rate = min(fps or 1000.0, probe_video(source).fps or 1.0)  # one frame has no rate
    parts = stream_video(source, Fps(rate))
    frames = (frame for part in parts for frame in part.frames)
    results = predictor.each(frames, labels, batch_size)
    bar = tqdm(results, desc=Path(source).name, unit="frame", delay=2)
    return write_mp4((np.asarray(draw(result)) for result in bar), target, rate)


def write_mp4(pictures: Iterator[np.ndarray], path: Path, fps: float) -> int:
    """Writes pictures (H, W, 3) uint8 as H.264 in MP4, whole or not at all; returns their number. All get the first
    one's size, one line or column less where that is odd; what is larger is cut, what is smaller stands on white."""
    try:
        import av
    except ModuleNotFoundError:
        raise ClipkitError('films need PyAV, which is not installed: pip install "openclipkit[media]"') from None
    first = next(pictures)
    height, width = (side - side % 2 for side in first.shape[:2])  # H.264 halves the colours' resolution
    count = 0
    with writing(path) as partial, av.open(str(partial), "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options={"crf": CRF})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for picture in chain([first], pictures):
            frame = np.full((height, width, 3), 255, np.uint8)
            part = picture[:height, :width]
            frame[: part.shape[0], : part.shape[1]] = part
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            count += 1
        container.mux(stream.encode())
    return count
