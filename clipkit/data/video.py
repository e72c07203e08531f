"""Reading videos from strangers: frames with their times, equal from every backend, and one line for whatever is wrong.

>>> read_video("film.mp4", Uniform(12), short_side=224).frames.shape
(12, 224, 398, 3)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from clipkit.data._video_backends import BACKENDS, DEFAULT_BACKEND, MODULES, lacking
from clipkit.data._video_film import FRAMES, LIMITS, SECONDS
from clipkit.data._video_process import ReaderFailed, Refused, borrow
from clipkit.data._video_sampling import Fps, Indices, Sampling, Segments, Uniform, to_json
from clipkit.data.bad_files import read_on_bad
from clipkit.errors import ClipkitError, did_you_mean, one_line
from clipkit.safe import is_text

__all__ = [
    "VIDEO_SUFFIXES",
    "BackendMissing",
    "Fps",
    "Indices",
    "Segments",
    "Uniform",
    "VideoError",
    "VideoFrames",
    "VideoInfo",
    "VideoReader",
    "probe_video",
    "read_video",
    "stream_video",
]

VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv", ".ts", ".3gp", ".3g2", ".asf",
    ".divx", ".f4v", ".gif", ".m2ts", ".m2v", ".mts", ".mxf", ".ogv", ".qt", ".vob",
)  # fmt: skip
FOLDER_FPS = 25.0


class VideoError(ClipkitError):
    """A video that cannot be read: missing, empty, broken, or its decoder hangs. One line."""


class BackendMissing(ClipkitError):
    """The package of a backend is not installed: no video is to blame, so nothing skips over it. One line."""


@dataclass(frozen=True)
class VideoFrames:
    """Some frames of a video.

    Attributes:
        frames: `(T, H, W, 3)` uint8 RGB, turned as the video's metadata says.
        timestamps: `(T,)` float64 seconds from the video's first frame.
        indices: `(T,)` int64, each frame's place in the order of display.
        duration: of the whole video, see `VideoInfo`.
    """

    frames: np.ndarray
    timestamps: np.ndarray
    indices: np.ndarray
    duration: float

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class VideoInfo:
    """What a video is.

    Attributes:
        fps: frames a second on average, 0.0 where there is one frame.
        frames: how many.
        duration: seconds from the first frame to the end of the last.
        size: (height, width) in pixels, turned as the metadata says.
    """

    fps: float
    frames: int
    duration: float
    size: tuple[int, int]


def read_video(
    path: str | Path,
    sampling: Sampling,
    *,
    short_side: int | None = None,
    backend: str = DEFAULT_BACKEND,
    timeout: float = 30.0,
    folder_fps: float = FOLDER_FPS,
) -> VideoFrames:
    """Reads the frames that `sampling` chooses.

    All decoding happens in a process of its own, so that no video can take this one down; it may be called in
    data-loader workers. Backends agree in indices and timestamps; pixels differ by rounding of colours and resizing.
    Frames and times are those that a player shows: the default one of several streams, without what an edit list hides,
    on one clock where streams were joined, turned and mirrored as the metadata says.

    A film has at most 3,000,000 frames and lasts at most a day, for a few bytes of a header can claim any number; the
    variables CLIPKIT_FILM_FRAMES and CLIPKIT_FILM_SECONDS of the environment set other limits.

    Args:
        path: a video file, or a folder of pictures (frames in the order of their names).
        sampling: `Uniform`, `Fps`, `Segments` or `Indices`.
        short_side: pixels; the frames keep their proportions.
        backend: decord, pyav, torchcodec or opencv (default: decord where it is installed, else pyav). Of a file that
            it would show wrongly, or not at all, PyAV reads the frames in its place.
        timeout: seconds without any decoded frame after which the reader is killed.
        folder_fps: of a folder without `timestamps.txt` (one second a line).

    Raises:
        VideoError: one line that names the file.
        BackendMissing: `backend` or PyAV is not installed.
    """
    (whole,) = stream_video(
        path, sampling, short_side=short_side, backend=backend, timeout=timeout, batch=None, folder_fps=folder_fps
    )
    return whole


def stream_video(
    path: str | Path,
    sampling: Sampling,
    *,
    short_side: int | None = None,
    backend: str = DEFAULT_BACKEND,
    timeout: float = 30.0,
    batch: int | None = 32,
    folder_fps: float = FOLDER_FPS,
) -> Iterator[VideoFrames]:
    """As `read_video`, `batch` frames at a time: memory does not grow with the film."""
    job = _job(path, short_side, backend, timeout, folder_fps, to_json(sampling))
    try:
        with borrow() as reader:
            reader.ask(job)
            about = reader.message() or {}
            indices, times = np.array(about["indices"], dtype=np.int64), np.array(about["times"])
            step = _at_once(path, about["size"], len(indices), batch)
            for start in range(0, len(indices), step):
                part = slice(start, start + step)
                frames = np.empty((len(indices[part]), *about["size"], 3), dtype=np.uint8)
                for frame in frames:
                    reader.message()
                    reader.fill(frame)
                yield VideoFrames(frames, times[part], indices[part], about["duration"])
    except (ReaderFailed, Refused, MemoryError) as error:
        raise _failed(path, error) from None


def _at_once(path: str | Path, size: tuple[int, int], count: int, batch: int | None) -> int:
    """How many frames are handed over at a time: fewer than `batch` where they are so large that a quarter of this
    machine's memory would not hold them."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 1 << 33
    fit = max(1, memory // 4 // (size[0] * size[1] * 3))
    if batch is None and count > 2 * fit:
        raise VideoError(
            f"{path}: {count} frames of {size[1]}x{size[0]} pixels take half of this machine's memory; ask for fewer "
            "or smaller ones (short_side), or stream"
        )
    return count if batch is None else min(batch, fit)


def probe_video(
    path: str | Path, *, backend: str = DEFAULT_BACKEND, timeout: float = 30.0, folder_fps: float = FOLDER_FPS
) -> VideoInfo:
    """Rate, number of frames, duration and size, from the frames themselves rather than from the header.

    Raises:
        VideoError: as `read_video`.
    """
    try:
        with borrow() as reader:
            reader.ask(_job(path, None, backend, timeout, folder_fps, None))
            about = reader.message() or {}
    except (ReaderFailed, Refused) as error:
        raise _failed(path, error) from None
    return VideoInfo(about["fps"], about["count"], about["duration"], tuple(about["size"]))


class VideoReader:
    """`read_video` for a data set, with its answer to broken files.

    Args:
        sampling, options: as `read_video`; `sampling` may also be given with each call.
        on_bad: 'skip' returns None for a file that cannot be read, says so once on stderr and does not try it again
            (mmengine's data sets then take another sample); 'raise' raises.
        broken: the name of `on_bad` before, see `clipkit.data.bad_files`.
    """

    def __init__(self, sampling: Sampling, *, on_bad: str = "skip", broken: str | None = None, **options: Any) -> None:
        self.sampling, self.on_bad, self.options = sampling, read_on_bad(on_bad, broken), options
        self.skipped: dict[str, str] = {}
        """Files that could not be read in this process, with their line."""

    def __call__(self, path: str | Path, sampling: Sampling | None = None) -> VideoFrames | None:
        if str(path) in self.skipped:
            return None
        try:
            return read_video(path, sampling or self.sampling, **self.options)
        except VideoError as error:
            if self.on_bad == "raise":
                raise
            self.skipped[str(path)] = str(error)
            print(f"skipped: {one_line(error)}", file=sys.stderr)
            return None


def _job(
    path: str | Path, short_side: int | None, backend: str, timeout: float, folder_fps: float, sampling: Any
) -> dict[str, Any]:
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is unknown; {did_you_mean(backend, BACKENDS)}")
    if short_side is not None and short_side < 1:
        raise ValueError(f"short_side is at least 1 pixel, got {short_side}")
    if not (timeout > 0 and folder_fps > 0):
        raise ValueError(f"timeout and folder_fps must be positive, got {timeout} and {folder_fps}")
    place = Path(path)
    if not (place.is_file() or place.is_dir()):  # a pipe would be waited for
        raise VideoError(f"{path}: {'is a pipe or a device, and no file' if place.exists() else 'no such video'}")
    if place.is_file() and not place.stat().st_size:
        raise VideoError(f"{path}: is empty; copy or download it again")
    if place.is_file() and _is_playlist(place):
        raise VideoError(f"{path}: is a text or a playlist, which names other files or addresses, and no film")
    if place.is_file() and find_spec(MODULES[backend].partition(".")[0]) is None:
        raise BackendMissing(f"{path}: {lacking(backend)}")
    if place.is_file() and find_spec("av") is None:
        raise BackendMissing(f"{path}: av is not installed, which tells what a film shows: pip install av")
    return {
        "path": str(place.absolute()),
        "backend": backend,
        "short_side": short_side,
        "sampling": sampling,
        "folder_fps": folder_fps,
        "timeout": timeout,
        "most": _limit(FRAMES),
        "longest": _limit(SECONDS),
    }


# ffmpeg goes by content, whatever the name ends in: HLS, concat, DASH and Smooth Streaming, SDP.
_LISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"<Smooth", b"[playlist]", b"v=0")


def _is_playlist(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(2048)
    return is_text(path) or head.lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(_LISTS) or b"c=IN IP" in head


def _limit(variable: str) -> float:
    text = os.environ.get(variable, "")
    try:
        limit = float(text or LIMITS[variable])
    except ValueError:
        limit = 0.0
    if not limit > 0:
        raise ClipkitError(f"{variable}={text!r}: must be a positive number (default {LIMITS[variable]:,.0f})")
    return limit


def _failed(path: str | Path, error: Exception) -> VideoError:
    if isinstance(error, MemoryError):
        return VideoError(f"{path}: its frames do not fit into memory; ask for fewer or smaller ones, or stream")
    return VideoError(f"{path}: {' '.join(str(error).split())}")
