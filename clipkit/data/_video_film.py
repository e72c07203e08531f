"""What a player shows of a video file: which of its streams, which frames, and when. PyAV finds it from the packets,
without decoding them, and every backend is held to it. Runs in the reader process, see `_video_child`.

Players show the stream that is marked as default, else the largest one; leave out the frames that an edit list hides
(the lead-in of a clip that was cut without encoding it anew); and where clocks start again, as in MPEG streams that
were joined end to end, go on without a gap.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

_JUMP = 10.0  # seconds forward that FFmpeg takes for another clock, where containers may change clocks
_MAY_JUMP = 0x200  # FFmpeg's AVFMT_TS_DISCONT: MPEG streams, Ogg
_NONE = -(1 << 63)
_COVER = 1  # how FFmpeg prefers the picture of a sound file or film
FRAMES, SECONDS = "CLIPKIT_FILM_FRAMES", "CLIPKIT_FILM_SECONDS"
"""Variables of the environment that say how much of a film is read, and what they are by default."""
LIMITS = {FRAMES: 3_000_000, SECONDS: 86_400.0}
# Of `colours`: what OpenCV shows as the others do. It converts HDR and wide gamuts, and of some others makes noise.
_PLAIN = {1, 2, 4, 5, 6, 7}, {1, 2, 4, 5, 6, 7, 8, 11, 12, 13}, {0, 1, 2, 5, 6, 7, 9}
_PIXELS = 16384 * 8704  # of a frame: more than any camera's, and half a gigabyte in colours


class Refused(Exception):
    """What is wrong with a file, in the words that the user will read after its name."""


@dataclass
class Progress:
    """`report` is called for each packet and frame on the way to a frame that is wanted; the reader process puts its
    own here, so that a long way is not taken for a hang."""

    report: Callable[[], None] = lambda: None


PROGRESS = Progress()


@dataclass(frozen=True)
class Film:
    """One file.

    Attributes:
        container: FFmpeg's names of its format.
        stream: index of the stream that is shown; `streams`: how many of video there are.
        pts: `(N,)` int64 ticks of `base` seconds, those of the frames that are shown, in the order of display; None
            where only decoding tells.
        is_key: `(N,)` bool.
        in_order: each key frame is as late in the order of display as in the file.
        hides: an edit list leaves out frames; `woven`: fields are woven into its frames.
        in_pieces: an MP4 whose frames its fragments list, and not its header.
        colours: (primaries, transfer, matrix) as H.273 numbers them.
        may_jump: the container may change clocks; `joined`: this one does.
        matrix: (a, b, c, d) of the display matrix: column x and row y are shown at column ax + cy and row bx + dy.
        last: seconds that the last frame is shown; 0.0 where nothing says so.
        chunks: of AVI, `(M,)` seconds of its packets; None elsewhere.
    """

    path: str
    container: frozenset[str]
    stream: int
    streams: int
    base: float
    pts: np.ndarray | None
    is_key: np.ndarray
    in_order: bool
    hides: bool
    woven: bool
    in_pieces: bool
    colours: tuple[int, int, int]
    may_jump: bool
    joined: bool
    matrix: tuple[int, int, int, int]
    last: float
    chunks: np.ndarray | None = None

    @property
    def is_plain(self) -> bool:
        """Whether its colours are those of usual television: no HDR, no wide gamut, no rare coding."""
        return all(number in known for number, known in zip(self.colours, _PLAIN))

    @property
    def times(self) -> np.ndarray | None:
        """`(N,)` seconds from the first frame on show."""
        return None if self.pts is None else from_first(self.pts * self.base)


def from_first(seconds: Any) -> np.ndarray:
    """Timestamps in display order, the first at 0. Containers may start anywhere."""
    times = np.sort(np.asarray(seconds, dtype=np.float64))
    if not len(times):
        raise Refused("holds no video frames")
    return times - times[0]


def open_stream(path: str, index: int | None = None) -> tuple[Any, Any]:
    """The container, and its video stream `index`; None: the one that `ffmpeg` takes."""
    import av

    try:
        container: Any = av.open(path)
    except av.error.InvalidDataError:
        raise Refused(
            "is no film that FFmpeg knows, or lacks its index, as where a recording or a download was cut short; copy "
            "or download it again"
        ) from None
    streams = container.streams.video
    if index is None:
        stream = max(streams, key=_preference, default=None)
        if stream is None:
            raise Refused("holds no video stream")
        if _preference(stream) == _COVER:
            raise Refused("holds a cover picture, and no video stream")
    else:
        stream = next(own for own in streams if own.index == index)
    stream.codec_context.thread_count = 1
    return container, stream


def _preference(stream: Any) -> int:
    """FFmpeg's own (`map_auto_video`): covers last, the default stream first, then the largest."""
    from av.stream import Disposition

    if stream.disposition & Disposition.attached_pic:
        return _COVER
    size = (stream.codec_context.width or 0) * (stream.codec_context.height or 0)
    return size + 5_000_000 * bool(stream.disposition & Disposition.default)


def look(path: str, most: float) -> Film:
    """Reads all packets of the file, and decodes one frame.

    Args:
        most: frames that a film may have.

    Raises:
        Refused: no video stream, no frame that can be decoded, too many frames or too large ones.
    """
    container, stream = open_stream(path)
    with container:
        width, height = stream.codec_context.width or 0, stream.codec_context.height or 0
        if width * height > _PIXELS:
            raise Refused(f"has frames of {width}x{height} pixels, and {_PIXELS:,} are read; make them smaller first")
        dts, pts, keys = array("q"), array("q"), array("b")
        hidden, last, latest = 0, 0, _NONE
        for packet in container.demux(stream):
            PROGRESS.report()
            if packet.size and packet.is_discard:
                hidden += 1
            elif packet.size:
                dts.append(_NONE if packet.dts is None else packet.dts)
                pts.append(_NONE if packet.pts is None else packet.pts)
                keys.append(packet.is_keyframe)
                if pts[-1] >= latest:
                    latest, last = pts[-1], packet.duration or 0
                check_length(len(pts), most)
        base, container_name = float(stream.time_base or 0), container.format.name
        may_jump = int(container.format.flags) & _MAY_JUMP
        index, streams, in_header = stream.index, len(container.streams.video), stream.frames
    matrix, is_woven, colours = _first_frame(path, index)
    ticks, decoded = np.array(pts, dtype=np.int64), np.array(dts, dtype=np.int64)
    steps = np.diff(decoded[decoded != _NONE]) * base
    joined = bool((steps < 0).any() or (may_jump and (steps > _JUMP).any()))
    is_key = np.array(keys, dtype=bool)
    # AVI has no timestamps, and FFmpeg's guesses are not to be trusted. Where a film begins within a group of pictures
    # the first ones cannot be decoded; where fields are woven, a packet may hold half a frame.
    told = len(ticks) and not (container_name == "avi" or joined or is_woven or not is_key[0] or (ticks == _NONE).any())
    order = np.argsort(ticks, kind="stable")
    in_order = bool((ticks[order] == ticks)[is_key].all())
    return Film(
        path, frozenset(container_name.split(",")), index, streams, base, ticks[order] if told else None,
        is_key[order], in_order, bool(hidden), is_woven, not in_header and "mp4" in container_name, colours,
        bool(may_jump), joined, matrix, last * base if told else 0.0,
        from_first(decoded * base) if container_name == "avi" and len(decoded) and (decoded != _NONE).all() else None,
    )  # fmt: skip


def check_length(frames: int, most: float, seconds: float = 0.0, longest: float = np.inf) -> None:
    """Refuses a film beyond the limits, which a few bytes of a header can pass."""
    if frames > most:
        raise Refused(f"has more than {most:,.0f} frames, which {FRAMES} limits; set it higher to read it")
    if seconds > longest:
        raise Refused(
            f"lasts {seconds:,.0f} seconds, and {SECONDS} limits a film to {longest:,.0f}; set it higher to read it"
        )


def _first_frame(path: str, index: int) -> tuple[tuple[int, int, int, int], bool, tuple[int, int, int]]:
    """The display matrix's four signs, whether fields are woven, and how colours are coded."""
    container, stream = open_stream(path, index)
    with container:
        frame = next(decoded_frames(container, stream), None)
        if frame is None:
            raise Refused("holds no frame that can be decoded")
        colours = int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace)
        return _matrix(frame), bool(frame.interlaced_frame), colours


def decoded_frames(container: Any, stream: Any) -> Iterator[Any]:
    """The frames from here on. A packet that cannot be decoded, as where a film was cut short, is passed over, as
    players do."""
    from av.error import InvalidDataError

    for packet in container.demux(stream):
        PROGRESS.report()
        try:
            yield from packet.decode()
        except InvalidDataError:
            continue


def _matrix(frame: Any) -> tuple[int, int, int, int]:
    found = next((bytes(data) for data in frame.side_data if data.type.name == "DISPLAYMATRIX"), b"")
    if len(found) != 36:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = struct.unpack("<9i", found)
    # Players turn by quarters; the larger pair says which.
    a, b, c, d = (a, 0, 0, d) if abs(a) + abs(d) >= abs(b) + abs(c) else (0, b, c, 0)
    return _sign(a), _sign(b), _sign(c), _sign(d)


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def upright(picture: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """(H, W, 3) turned and mirrored as a display matrix says."""
    a, b, c, d = matrix
    if b or c:
        picture, a, d = picture.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def is_mirrored(matrix: tuple[int, int, int, int]) -> bool:
    """True if no turn alone does what the matrix says."""
    a, b, c, d = matrix
    return a * d - b * c < 0


def without_jumps(seconds: np.ndarray) -> np.ndarray:
    """`(N,)` seconds of decoded frames in their order -> the same on one clock: a step back, or of more than ten
    seconds, is another clock's, and lasts as a usual step does. (FFmpeg's command does so to MPEG streams.)"""
    steps = np.diff(seconds)
    wrong = (steps <= 0) | (steps > _JUMP)
    steps[wrong] = usual_step(steps[~wrong])
    return np.concatenate([np.zeros(1), np.cumsum(steps)])


def usual_step(steps: np.ndarray) -> float:
    """The lower median: of two steps the shorter. 0.0 of none."""
    return float(np.sort(steps)[(len(steps) - 1) // 2]) if len(steps) else 0.0


def end_of(times: np.ndarray, told: float) -> float:
    """Seconds until the end of the last frame, which lasts as the container says (`told`; 0.0: it does not), or as a
    usual step where that is more: Matroska tells every frame the same. Steps of more than a second are pauses, which
    say nothing of the last frame where the container does."""
    usual = usual_step(np.diff(times))
    return float(times[-1]) + (told if told > usual or (told and usual > 1) else usual)
