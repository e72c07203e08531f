"""Five ways to decode, behind one face: `times` (N,) seconds from the first frame, `size` (height, width) of what comes
out, and `frame(index)`. They run in the reader process, see `_video_child`.

An index is a frame's place in the order of display. Frames are cheapest in ascending order. What `_video_film` says of
a file is the truth; a backend that cannot show that raises `Unfit`, and PyAV reads the file in its place.
"""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from clipkit.data._video_film import (
    PROGRESS,
    Film,
    Refused,
    check_length,
    decoded_frames,
    from_first,
    is_mirrored,
    look,
    open_stream,
    upright,
    without_jumps,
)


class Backend(Protocol):
    """One open video. `last`: seconds that its last frame is shown, 0.0 where nothing says so."""

    times: np.ndarray
    size: tuple[int, int]
    last: float

    def frame(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""


def scaled(size: tuple[int, int], short_side: int | None) -> tuple[int, int]:
    """(height, width) with that short side and the same proportions, to the nearest pixel."""
    if short_side is None:
        return size
    height, width = (max(1, round(side * short_side / min(size))) for side in size)
    return height, width


def are_usable(times: np.ndarray) -> bool:
    """False where the container has no timestamps for its frames, as AVI: they come as zeros, or as 2**63 ticks."""
    return bool(np.isfinite(times).all() and times[-1] < 1e8 and (np.diff(times) > 0).all())


def steady(count: int, fps: float) -> np.ndarray:
    """Timestamps of a container that has none: its rate is all there is."""
    if not fps > 0:
        raise Refused("has neither timestamps nor a frame rate")
    return np.arange(count) / fps


class Unfit(Exception):
    """What of a file a backend would show wrongly."""


class Decord:
    """decord: indexes the packets when it opens, resizes while it converts colours, turns as the metadata says.

    Its seeks take the order of the packets for that of display, and miss by frames where a group of pictures is open
    (x265's habit), in AVI and in ASF. It reads on from the start there.
    """

    def __init__(self, film: Film, short_side: int | None) -> None:
        if film.container & {"mpegts", "mpeg"}:
            raise Unfit("an MPEG stream, of which it loses the first frames")
        _refuse(film, film.hides and "frames that an edit list hides", film.in_pieces and "fragments that it skips")
        self._path, self._last = film.path, np.zeros(0, np.uint8)
        self._options: dict[str, int] = {}
        reader = self._open()
        self.times = from_first(reader.get_frame_timestamp(np.arange(len(reader)))[:, 0])
        self._seeks = film.in_order and bool(film.container & {"mp4", "matroska"})
        if not are_usable(self.times):
            self.times = steady(len(reader), reader.get_avg_fps())
        height, width = reader[0].shape[:2]
        self.size = scaled((height, width), short_side)
        if self.size != (height, width):
            self._options = {"height": self.size[0], "width": self.size[1]}
        self._reader, self._next = reader if self._seeks and not self._options else self._open(), 0

    def frame(self, index: int) -> np.ndarray:
        if self._seeks:
            picture = self._reader[index].asnumpy()
        elif index == self._next - 1:
            return self._last
        else:
            if index < self._next:
                self._reader, self._next = self._open(), 0
            for self._next in range(self._next + 1, index + 2):  # noqa: B020
                picture = self._reader.next()
                PROGRESS.report()
            picture = picture.asnumpy()
        height, width = self.size
        # decord takes the padding of narrow rows (16, 24, 48, 72 pixels, …) for more channels.
        self._last = picture.reshape(height, -1)[:, : 3 * width].reshape(height, width, 3)
        return self._last

    def _open(self) -> Any:
        import decord

        # One thread: a data loader has a worker a core, and decord's own threads have hung (dmlc/decord#220).
        return decord.VideoReader(self._path, num_threads=1, **self._options)


def _refuse(film: Film, *also: str | bool) -> None:
    """What no backend but PyAV shows as players do."""
    undecided = film.pts is None and "avi" not in film.container
    for what in (
        film.streams > 1 and "one of several video streams",
        film.joined and "streams that were joined",
        is_mirrored(film.matrix) and "mirrored pictures",
        undecided and "packets that do not tell its frames",
        *also,
    ):
        if what:
            raise Unfit(str(what))


class PyAV:
    """PyAV: FFmpeg's own demuxer and decoder; seeks to the key frame before the one that is asked for."""

    _container: Any = None
    _last: Any = None

    def __init__(self, film: Film, short_side: int | None, most: float) -> None:
        self._film, self.last = film, film.last
        # The clocks of MPEG streams and Ogg lead seeks astray.
        self._seeks = film.pts is not None and not film.may_jump
        self._pts = film.pts if film.pts is not None else np.arange(self._count(most))
        self._keys = np.flatnonzero(film.is_key) if self._seeks else np.array([0])
        if film.times is not None:
            self.times = film.times
        first = next(self._restart())
        shape = (first.height, first.width)
        self._is_turned = bool(film.matrix[1] or film.matrix[2])
        self.size = scaled(shape[::-1] if self._is_turned else shape, short_side)
        self._rewind(0)

    def frame(self, index: int) -> np.ndarray:
        if not self._before < index <= self._at:
            key = (
                int(self._keys[max(0, int(np.searchsorted(self._keys, index, side="right")) - 1)]) if self._seeks else 0
            )
            if index <= self._before or key > self._at:
                self._rewind(key)
            self._decode_to(index)
            if self._at > index and self._seeks:  # the container's seeks are late: from the start, now and always
                self._seeks = False
                self._rewind(0)
                self._decode_to(index)
        return self._convert(self._last)

    def _count(self, most: float) -> int:
        """Decodes everything, and sets `times`."""
        seconds = []
        for frame in self._restart():
            PROGRESS.report()
            seconds.append(frame.time)
            check_length(len(seconds), most)
        if "avi" in self._film.container or None in seconds:
            self.times = _places(self._film, steady(len(seconds), float(self._stream.average_rate or 0)))
        else:
            self.times = without_jumps(np.array(seconds))
        return len(seconds)

    def _rewind(self, key: int) -> None:
        self._frames = self._restart()
        if key:
            self._container.seek(int(self._pts[key]), stream=self._stream, backward=True)
        # `_last` stands for the frames after `_before` up to `_at`: those between cannot be decoded.
        self._last, self._before, self._at = None, key - 1, key - 1

    def _decode_to(self, index: int) -> None:
        for frame in self._frames:
            PROGRESS.report()
            if self._film.pts is not None and frame.pts is None:
                continue
            self._last, self._before = frame, self._at
            self._at = self._at + 1 if self._film.pts is None else int(np.searchsorted(self._pts, frame.pts))
            if self._at >= index:
                return
        if self._last is None:
            raise Refused(f"has no frame that can be decoded from number {index} on")
        self._at = len(self._pts) - 1

    def _restart(self) -> Any:
        """Opens anew, for not every container can be put back to its start; frames from there."""
        if self._container is not None:
            self._container.close()
        self._container, self._stream = open_stream(self._film.path, self._film.stream)
        return decoded_frames(self._container, self._stream)

    def _convert(self, frame: Any) -> np.ndarray:
        height, width = self.size[::-1] if self._is_turned else self.size
        picture = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
        return upright(picture, self._film.matrix)


class TorchCodec:
    """torchcodec: exact seeks after a scan of the file; turns as the metadata says."""

    def __init__(self, film: Film, short_side: int | None) -> None:
        from torchcodec.decoders import VideoDecoder

        _refuse(film, film.times is None and "packets that do not tell its frames")
        assert film.times is not None
        if film.container & {"mpegts", "mpeg"}:
            raise Unfit("an MPEG stream, of which it loses the last frames")
        self._decoder = VideoDecoder(film.path, dimension_order="NHWC", seek_mode="exact", stream_index=film.stream)
        self.times = film.times if len(self._decoder) == len(film.times) else np.zeros(len(self._decoder))
        height, width = self._decoder.get_frame_at(0).data.shape[:2]
        self._whole, self.size = (height, width), scaled((height, width), short_side)

    def frame(self, index: int) -> np.ndarray:
        picture = self._decoder.get_frame_at(index).data.numpy()
        return picture if self.size == self._whole else _resize(picture, self.size)


class OpenCV:
    """OpenCV: its seeks and frame counts are estimates, so it reads from the start and counts, without converting what
    is not asked for. Decodes everything twice; correct, and slow."""

    def __init__(self, film: Film, short_side: int | None) -> None:
        import cv2

        _refuse(
            film, film.woven and "woven fields", not film.is_plain and "colours that it makes others of",
            any("\ud800" <= letter <= "\udfff" for letter in film.path) and "a name that is no UTF-8",
        )  # fmt: skip
        self._cv2, self._path = cv2, film.path
        capture = self._open()
        times = []
        while capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            PROGRESS.report()
        self.times = from_first(times)
        if not are_usable(self.times):
            self.times = steady(len(times), capture.get(cv2.CAP_PROP_FPS))
        self._capture, self._next = self._open(), 0
        first = self._capture.read()[1]
        self.size = scaled(first.shape[:2], short_side)
        self._keep(first)

    def frame(self, index: int) -> np.ndarray:
        if index != self._next - 1:
            if index < self._next:
                self._capture, self._next = self._open(), 0
            while self._next <= index:
                if not self._capture.grab():
                    raise Refused(f"ends before frame {index}, though it did not the first time")
                self._next += 1
                PROGRESS.report()
            self._keep(self._capture.retrieve()[1], self._next)
        return self._picture

    def _open(self) -> Any:
        capture = self._cv2.VideoCapture(self._path, self._cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise Refused("cannot be opened as a video")
        return capture

    def _keep(self, picture: np.ndarray, count: int = 1) -> None:
        if picture.shape[:2] != self.size:
            picture = self._cv2.resize(picture, self.size[::-1], interpolation=self._cv2.INTER_AREA)
        self._picture, self._next = np.ascontiguousarray(picture[..., ::-1]), count


class FrameFolder:
    """A folder of pictures in the order of their names, 2 before 10. Their times: `timestamps.txt` in the folder (one
    second a line), else a steady rate."""

    last = 0.0

    def __init__(self, path: str, short_side: int | None, fps: float) -> None:
        from clipkit.data.images import IMAGE_SUFFIXES

        files = [file for file in Path(path).iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
        self._files = sorted(files, key=lambda file: [int(w) if w.isdecimal() else w for w in _DIGITS.split(file.name)])
        self.times = from_first(self._times(Path(path) / "timestamps.txt", fps))
        self.size: tuple[int, int] = (0, 0)
        self._short_side = short_side
        self.size = self.frame(0).shape[:2]

    def frame(self, index: int) -> np.ndarray:
        from clipkit.data.images import read_image

        picture = read_image(self._files[index])
        size = scaled(picture.shape[:2], self._short_side)
        if self.size not in ((0, 0), size):
            raise Refused(f"holds pictures of different sizes ({self._files[index].name} is another)")
        return picture if size == picture.shape[:2] else _resize(picture, size)

    def _times(self, file: Path, fps: float) -> Any:
        if not file.is_file():
            return np.arange(len(self._files)) / fps
        try:
            times = np.array(file.read_text().split(), dtype=np.float64)
        except ValueError as error:
            raise Refused(f"has a timestamps.txt that is not one number a line ({error})") from None
        if len(times) != len(self._files) or (np.diff(times) < 0).any():
            raise Refused(f"has {len(self._files)} pictures, and a timestamps.txt without as many rising times")
        return times


class UntilItFails:
    """A backend that is left for PyAV at the first frame that it cannot decode."""

    def __init__(self, video: Backend, film: Film, short_side: int | None, most: float) -> None:
        self.times, self.size, self.last = video.times, video.size, video.last
        self._video, self._else = video, (film, short_side, most)

    def frame(self, index: int) -> np.ndarray:
        try:
            return self._video.frame(index)
        except Exception:  # decoders raise what they like
            if isinstance(self._video, PyAV):
                raise
            self._video = PyAV(*self._else)
            return self._video.frame(index)


_CLOCK = 2e-3  # seconds: containers and backends round to milliseconds
_DIGITS = re.compile(r"(\d+)")


def _resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR))


BACKENDS: dict[str, Any] = {"decord": Decord, "pyav": PyAV, "torchcodec": TorchCodec, "opencv": OpenCV}
MODULES = {"decord": "decord", "pyav": "av", "torchcodec": "torchcodec.decoders", "opencv": "cv2"}
DEFAULT_BACKEND = "decord" if find_spec("decord") else "pyav"  # decord has no wheel for macOS, nor for Linux on ARM
PACKAGES = {**MODULES, "torchcodec": "torchcodec", "opencv": "opencv-python-headless"}
"""What to install for each."""


def lacking(backend: str, module: str | None = None) -> str:
    """The line for a backend without its package."""
    module = module or MODULES[backend].partition(".")[0]
    return f"{module} is not installed, which the backend {backend} needs: pip install {PACKAGES[backend]}"


def load(backend: str) -> None:
    """Imports what the backend needs.

    Raises:
        Refused: it is not installed.
    """
    try:
        import_module(MODULES[backend])
    except ModuleNotFoundError as error:
        raise Refused(lacking(backend, error.name)) from None


def open_video(path: str, backend: str, short_side: int | None, folder_fps: float, most: float) -> Backend:
    """Opens a file with the named backend, or with PyAV where that one would show it wrongly; a folder as frames.

    Raises:
        Refused: one line for the user; any other exception is the backend's own.
    """
    if Path(path).is_dir():
        return FrameFolder(path, short_side, folder_fps)
    film = look(path, most)
    if backend != "pyav":
        try:
            video: Backend = BACKENDS[backend](film, short_side)
            _compare(video, film)
            return UntilItFails(video, film, short_side, most)
        except Exception:  # decoders raise what they like, and may lack what PyAV's FFmpeg has
            pass
    return PyAV(film, short_side, most)


def _places(film: Film, times: np.ndarray) -> np.ndarray:
    """`times` of a steady rate, or those of the packets, where AVI has empty places for pictures that stay on show."""
    chunks = film.chunks
    return chunks if chunks is not None and len(chunks) == len(times) and (np.diff(chunks) > 0).all() else times


def _compare(video: Backend, film: Film) -> None:
    """Holds a backend to the frames that are shown, and takes their times."""
    video.last = film.last
    if film.times is None:
        video.times = _places(film, video.times)
        return
    if len(video.times) != len(film.times) or np.abs(video.times - film.times).max() > _CLOCK:
        raise Unfit("other frames than a player shows")
    video.times = film.times
