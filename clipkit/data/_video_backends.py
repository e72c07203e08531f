"""Five ways to decode, behind one face: `times` (N,) seconds from the first frame, `size` (height, width) of what comes
out, and `frame(index)`. They run in the reader process, see `_video_child`.

An index is a frame's place in the order of display. Frames are cheapest in ascending order.
"""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np


class Refused(Exception):
    """What is wrong with a file, in the words that the user will read after its name."""


def progress() -> None:
    """Called for each frame that is decoded on the way to one that is wanted; the reader process puts its own here, so
    that a long way is not taken for a hang."""


class Backend(Protocol):
    """One open video."""

    times: np.ndarray
    size: tuple[int, int]

    def frame(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""


def scaled(size: tuple[int, int], short_side: int | None) -> tuple[int, int]:
    """(height, width) with that short side and the same proportions, to the nearest pixel."""
    if short_side is None:
        return size
    height, width = (max(1, round(side * short_side / min(size))) for side in size)
    return height, width


def from_first(seconds: Any) -> np.ndarray:
    """Timestamps in display order, the first at 0. Containers may start anywhere."""
    times = np.sort(np.asarray(seconds, dtype=np.float64))
    if not len(times):
        raise Refused("holds no video frames")
    return times - times[0]


def are_usable(times: np.ndarray) -> bool:
    """False where the container has no timestamps for its frames, as AVI: they come as zeros, or as 2**63 ticks."""
    return bool(np.isfinite(times).all() and times[-1] < 1e8 and (np.diff(times) > 0).all())


def steady(count: int, fps: float) -> np.ndarray:
    """Timestamps of a container that has none: its rate is all there is."""
    if not fps > 0:
        raise Refused("has neither timestamps nor a frame rate")
    return np.arange(count) / fps


class Decord:
    """decord: indexes the packets when it opens, resizes while it converts colours, turns as the metadata says.

    Its seeks take the order of the packets for that of display, and miss by frames where a group of pictures is open
    (x265's habit), in AVI and in ASF. It reads on from the start there, and everywhere if PyAV is not there to tell.
    """

    def __init__(self, path: str, short_side: int | None) -> None:
        if _is_mpeg_stream(path):
            raise Refused("is an MPEG stream, of which decord loses the first frames; read it with pyav or opencv")
        self._path, self._last = path, np.zeros(0, np.uint8)
        self._options: dict[str, int] = {}
        reader = self._open()
        self.times = from_first(reader.get_frame_timestamp(np.arange(len(reader)))[:, 0])
        self._seeks = _can_be_sought(path)
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
                progress()
            picture = picture.asnumpy()
        height, width = self.size
        # decord takes the padding of narrow rows (16, 24, 48, 72 pixels, …) for more channels.
        self._last = picture.reshape(height, -1)[:, : 3 * width].reshape(height, width, 3)
        return self._last

    def _open(self) -> Any:
        import decord

        # One thread: a data loader has a worker a core, and decord's own threads have hung (dmlc/decord#220).
        return decord.VideoReader(self._path, num_threads=1, **self._options)


def _is_mpeg_stream(path: str) -> bool:
    with open(path, "rb") as file:
        head = file.read(189)
    return head[:4] == b"\0\0\1\xba" or (head[:1] == b"G" and head[188:] == b"G")


def _packets(path: str) -> tuple[str, list[tuple[float, bool]]]:
    """Names of the container, and (seconds, is a key frame) of its packets in the file's order, by PyAV; nothing if
    PyAV is not there, cannot read the file, or some packet has no timestamp."""
    try:
        import av

        with av.open(path) as container:
            stream: Any = container.streams.best("video")
            found = [(p.pts * stream.time_base, p.is_keyframe) for p in container.demux(stream) if p.size]
            return container.format.name, [(float(seconds), bool(is_key)) for seconds, is_key in found]
    except Exception:
        return "", []


def _can_be_sought(path: str) -> bool:
    """True if the container has an index, and each key frame is as late in the order of display as in the file."""
    container, packets = _packets(path)
    shown = sorted(seconds for seconds, _ in packets)
    in_order = all(shown[place] == seconds for place, (seconds, is_key) in enumerate(packets) if is_key)
    return bool({*container.split(",")} & {"mp4", "matroska"}) and in_order and bool(packets)


class PyAV:
    """PyAV: FFmpeg's own demuxer and decoder; seeks to the key frame before the one that is asked for."""

    _container: Any = None
    _stream: Any = None
    _last: Any = None

    def __init__(self, path: str, short_side: int | None) -> None:
        import av

        self._av, self._path = av, path
        self._restart()
        packets: list[Any] = [(p.pts, p.is_keyframe) for p in self._container.demux(self._stream) if p.size]
        # AVI has no timestamps, and FFmpeg's guesses are not to be trusted: there frames are counted.
        self._counts = self._container.format.name == "avi" or any(pts is None for pts, _ in packets)
        if self._counts:
            self._pts = np.arange(self._count())
            self.times = steady(len(self._pts), float(self._stream.average_rate or 0))
        else:
            packets.sort()
            self._pts = np.array([pts for pts, _ in packets], dtype=np.int64)
            self.times = from_first(self._pts * float(self._stream.time_base))
        self._keys = np.array([0] if self._counts else [i for i, (_, is_key) in enumerate(packets) if is_key] or [0])
        self._seeks = not self._counts
        first = next(self._restart(), None)
        if first is None:
            raise Refused("holds no frame that can be decoded")
        self._turns = round(first.rotation / 90) % 4
        shape = (first.height, first.width)
        self.size = scaled(shape[::-1] if self._turns % 2 else shape, short_side)
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

    def _count(self) -> int:
        count = 0
        for _ in self._restart():
            progress()
            count += 1
        return count

    def _rewind(self, key: int) -> None:
        self._frames = self._restart()
        if key:
            self._container.seek(int(self._pts[key]), stream=self._stream, backward=True)
        # `_last` stands for the frames after `_before` up to `_at`: those between cannot be decoded.
        self._last, self._before, self._at = None, key - 1, key - 1

    def _decode_to(self, index: int) -> None:
        for frame in self._frames:
            progress()
            if not self._counts and frame.pts is None:
                continue
            self._last, self._before = frame, self._at
            self._at = self._at + 1 if self._counts else int(np.searchsorted(self._pts, frame.pts))
            if self._at >= index:
                return
        if self._last is None:
            raise Refused(f"has no frame that can be decoded from number {index} on")
        self._at = len(self._pts) - 1

    def _restart(self) -> Any:
        """Opens anew, for not every container can be put back to its start; frames from there."""
        if self._container is not None:
            self._container.close()
        self._container = self._av.open(self._path)
        self._stream = self._container.streams.best("video")
        if self._stream is None:
            raise Refused("holds no video stream")
        self._stream.codec_context.thread_count = 1
        return self._container.decode(self._stream)

    def _convert(self, frame: Any) -> np.ndarray:
        height, width = self.size[::-1] if self._turns % 2 else self.size
        picture = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
        return np.ascontiguousarray(np.rot90(picture, self._turns))


class TorchCodec:
    """torchcodec: exact seeks after a scan of the file; turns as the metadata says."""

    def __init__(self, path: str, short_side: int | None) -> None:
        from torchcodec.decoders import VideoDecoder

        self._decoder = VideoDecoder(path, dimension_order="NHWC", seek_mode="exact")
        count = len(self._decoder)
        if not count:
            raise Refused("holds no video frames")
        container, packets = _packets(path)
        seconds = [second for second, _ in packets]
        if len(seconds) != count or container == "avi":  # it tells times only with frames: decode all
            seconds = []
            for start in range(0, count, 16):
                seconds += self._decoder.get_frames_in_range(start, min(start + 16, count)).pts_seconds.tolist()
                progress()
        self.times = from_first(seconds)
        height, width = self._decoder.get_frame_at(0).data.shape[:2]
        self._whole, self.size = (height, width), scaled((height, width), short_side)

    def frame(self, index: int) -> np.ndarray:
        picture = self._decoder.get_frame_at(index).data.numpy()
        return picture if self.size == self._whole else _resize(picture, self.size)


class OpenCV:
    """OpenCV: its seeks and frame counts are estimates, so it reads from the start and counts, without converting what
    is not asked for. Decodes everything twice; correct, and slow."""

    def __init__(self, path: str, short_side: int | None) -> None:
        import cv2

        self._cv2, self._path = cv2, path
        capture = self._open()
        times = []
        while capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            progress()
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
                progress()
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

    def __init__(self, path: str, short_side: int | None, fps: float) -> None:
        from clipkit.data.images import IMAGE_SUFFIXES

        files = [file for file in Path(path).iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
        self._files = sorted(files, key=lambda file: [int(w) if w.isdigit() else w for w in _DIGITS.split(file.name)])
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


_DIGITS = re.compile(r"(\d+)")


def _resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR))


BACKENDS: dict[str, Any] = {"decord": Decord, "pyav": PyAV, "torchcodec": TorchCodec, "opencv": OpenCV}
MODULES = {"decord": "decord", "pyav": "av", "torchcodec": "torchcodec.decoders", "opencv": "cv2"}
DEFAULT_BACKEND = "decord" if find_spec("decord") else "pyav"
"""decord has no wheel for macOS, nor for Linux on ARM."""
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


def open_video(path: str, backend: str, short_side: int | None, folder_fps: float) -> Backend:
    """Opens a file with the named backend, a folder as frames.

    Raises:
        Refused: one line for the user; any other exception is the backend's own.
    """
    if Path(path).is_dir():
        return FrameFolder(path, short_side, folder_fps)
    return BACKENDS[backend](path, short_side)
