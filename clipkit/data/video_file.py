"""Writing pictures as a film that every player opens."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from clipkit.errors import ClipkitError
from clipkit.files import writing


def write_video(frames: Iterable[np.ndarray], path: str | Path, fps: float) -> int:
    """Writes frames as H.264 in MP4, whole or not at all; returns how many there were.

    Args:
        frames: `(H, W, 3)` uint8 RGB, all of one size; an odd side loses its last row or column, as the format wants.
        path: ends in .mp4.
        fps: frames a second.

    Raises:
        ClipkitError: PyAV is not installed, has no H.264, or the file cannot be written.
        ValueError: no frames.
    """
    if find_spec("av") is None:
        raise ClipkitError(f"{path}: writing films needs PyAV: pip install 'openclipkit[media]'")
    import av

    count = 0
    with writing(Path(path)) as partial, av.open(str(partial), "w", format="mp4") as container:
        try:
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        except ValueError:  # an ffmpeg of a distribution may come without
            raise ClipkitError(f"{path}: this PyAV writes no H.264: pip install --force-reinstall av") from None
        for frame in frames:
            height, width = (side // 2 * 2 for side in frame.shape[:2])
            if not count:
                stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            even = np.ascontiguousarray(frame[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            count += 1
        if not count:
            raise ValueError(f"{path}: a film needs at least one frame")
        container.mux(stream.encode())
    return count
