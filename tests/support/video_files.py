"""Real video files whose frames say their own number, written with PyAV."""

import importlib.util
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np

from clipkit.data._video_backends import BACKENDS

MODULES = {"decord": "decord", "pyav": "av", "opencv": "cv2", "torchcodec": "torchcodec"}
INSTALLED = [name for name in BACKENDS if importlib.util.find_spec(MODULES[name])]
HEIGHT, WIDTH, CELL = 48, 96, 16

RATES = {
    "23.976": Fraction(24000, 1001),
    "25": Fraction(25),
    "29.97": Fraction(30000, 1001),
    "59.94": Fraction(60000, 1001),
}


def steady(rate: Fraction, count: int) -> list[Fraction]:
    """Timestamps of a constant rate."""
    return [number / rate for number in range(count)]


def variable(count: int) -> list[Fraction]:
    """Timestamps whose steps change between 20 and 140 ms."""
    steps = [Fraction(20 + 40 * (number * number % 4), 1000) for number in range(count)]
    return [sum(steps[:number], Fraction(0)) for number in range(count)]


def numbered(number: int) -> np.ndarray:
    """A picture of 12 black or white cells: the number in binary, most significant bit first. The left edge of the
    lower row is green, so that a turned or mirrored picture is seen to be one."""
    bits = [(number >> place) & 1 for place in range(11, -1, -1)]
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for place, bit in enumerate(bits):
        row, column = divmod(place, 6)
        picture[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = 235 * bit
    picture[2 * CELL :, :CELL] = (20, 200, 20)
    return picture


def number_of(picture: np.ndarray) -> int:
    """What `numbered` drew, after any compression and any scaling."""
    height, width = picture.shape[0] / HEIGHT * CELL, picture.shape[1] / WIDTH * CELL
    centres = [(int((row + 0.5) * height), int((column + 0.5) * width)) for row in range(2) for column in range(6)]
    return int("".join("1" if picture[y, x].mean() > 118 else "0" for y, x in centres), 2)


def write_video(
    path: Path,
    times: list[Fraction],
    *,
    codec: str = "libx264",
    picture=numbered,
    rate: Fraction | None = None,
    **options,
) -> Path:
    """Writes one frame a timestamp; B-frames and key frames every 12, as videos have them. `rate`: for containers that
    have no timestamps."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate or 30, options={"g": "12", "bf": "2", **options})
        first = picture(0)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        base = 1 / rate if rate else Fraction(1, 60000)
        stream.codec_context.time_base = base
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = round(time / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_folder(path: Path, times: list[Fraction], steps: bool) -> Path:
    """The same as a folder of PNG files, with timestamps.txt where `steps`."""
    from PIL import Image

    path.mkdir()
    for number in range(len(times)):
        Image.fromarray(numbered(number)).save(path / f"frame_{number}.png")  # no leading zeros: 10 after 9
    if steps:
        (path / "timestamps.txt").write_text("\n".join(str(float(time)) for time in times))
    return path


def write_sound(path: Path, samples: np.ndarray, codec: str, rate: int, sampled: int = 8000) -> None:
    """Writes two channels `(2, N)` in ±1, of `sampled` samples a second, at `rate`."""
    import av

    packed = np.ascontiguousarray((samples * 2**15).astype("<i2").T.reshape(1, -1))
    frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="stereo")
    frame.sample_rate = sampled
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        resampler = av.AudioResampler(stream.codec_context.format, "stereo", rate, stream.codec_context.frame_size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode())


def with_a_cut_film(videos, folder):
    """A copy of a folder of films, and in it one of which nothing can be read; returns its names."""
    shutil.copytree(videos, folder)
    (folder / "cut.mp4").write_bytes((folder / "corrupted.mp4").read_bytes()[:5000])
    return sorted(path.name for path in folder.iterdir())
