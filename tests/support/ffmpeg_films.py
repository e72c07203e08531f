"""Films of the kinds that decoders disagree about, made by the command ffmpeg, and what ffmpeg itself shows of them.

`python tests/support/ffmpeg_films.py` records both in `ffmpeg_films.json`, which the tests use where ffmpeg is missing.
"""

import base64
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

RECORDED = Path(__file__).with_suffix(".json")
_PICTURE = "16+mod(N*7\\,140)+50*lt(X\\,W/2)+20*lt(Y\\,H/2)"  # tells the frame, left from right, top from bottom
H264 = ("-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p")
_ONE = 1 << 16


def ffmpeg(*arguments: object) -> None:
    """Runs the command."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-threads", "1", *map(str, arguments)], check=True)


def film(path: Path, *, seconds: float = 1.0, first: int = 0, size: str = "64x48", rate: int = 25, codec=H264) -> Path:
    """A film whose frames are numbered from `first`."""
    source = f"color=black:size={size}:rate={rate}:duration={seconds}"
    picture = _PICTURE.replace("N*7", f"(N+{first})*7")
    ffmpeg("-f", "lavfi", "-i", source, "-vf", f"geq=lum='{picture}':cb=128:cr=128", *codec, path)
    return path


def _cut(folder: Path, path: Path, *more: object) -> None:
    whole = film(folder / "whole.mp4", seconds=2)
    ffmpeg("-ss", 1.3, "-t", 0.5, "-i", whole, *more, "-c:v", "copy", path)


def _joined(folder: Path, path: Path, late: tuple[int, ...] = (), codec=H264) -> None:
    parts = [film(folder / f"{n}{path.suffix}", seconds=0.4, first=10 * n, codec=codec) for n in range(3)]
    for n in late:
        ffmpeg("-i", parts[n], "-c", "copy", "-output_ts_offset", 3600, moved := folder / f"late{n}{path.suffix}")
        parts[n] = moved
    path.write_bytes(b"".join(part.read_bytes() for part in parts))


def _two(folder: Path, path: Path, *more: object) -> None:
    small, large = film(folder / "s.mkv", rate=10), film(folder / "l.mkv", first=50, size="96x80")
    ffmpeg("-i", small, "-i", large, "-map", "0", "-map", "1", "-c", "copy", *more, path)


def _cover(folder: Path, path: Path) -> None:
    film(folder / "f.mp4"), film(folder / "c.png", rate=1, size="320x240", codec=("-frames:v", "1"))
    inputs = ("-i", folder / "c.png", "-i", folder / "f.mp4", "-map", "0", "-map", "1")
    ffmpeg(*inputs, "-c", "copy", "-disposition:v:0", "attached_pic", "-disposition:v:1", "default", path)


def _matrix(folder: Path, path: Path, *signs: int) -> None:
    data = bytearray(film(folder / "f.mp4", seconds=0.4).read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # version 0: the matrix comes after 40 bytes
    a, b, c, d = (sign * _ONE for sign in signs)
    for number, value in enumerate((a, b, 0, c, d, 0, 0, 0, 1 << 30)):
        data[place + 4 * number : place + 4 * number + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)


def _uneven(folder: Path, path: Path) -> None:
    whole = film(folder / "whole.mp4", seconds=2)
    ffmpeg("-i", whole, "-vf", "select='not(mod(n,3))+not(mod(n,7))'", "-vsync", "vfr", *H264, path)


def _still_places(folder: Path, path: Path) -> None:
    whole = film(folder / "whole.mp4", codec=("-c:v", "libx264", "-bf", "0", "-pix_fmt", "yuv420p"))
    ffmpeg("-i", whole, "-c", "copy", path)


# Fragments of one frame, with an index of their own (`sidx`), as of streams with little delay.
_PIECES = (*H264, "-g", 5, "-movflags", "dash+frag_every_frame+empty_moov")
_HLG = (*H264, "-color_primaries", "bt2020", "-color_trc", "arib-std-b67", "-colorspace", "bt2020nc")
_WOVEN = ("-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-top", 1)


RECIPES = {
    "cut.mp4": _cut,
    "cut_with_sound.mov": lambda f, p: _cut(f, p, "-f", "lavfi", "-i", "sine=duration=0.5", "-b:a", "8k"),
    "cut_from_a_key_frame.mkv": _cut,
    "joined.ts": _joined,
    "joined.mpg": lambda f, p: _joined(f, p, codec=("-c:v", "mpeg2video", "-bf", "2")),
    "clock_jumps.ts": lambda f, p: _joined(f, p, (1,)),
    "two_streams.mkv": _two,
    "two_streams.ts": _two,
    "second_stream_is_default.mkv": lambda f, p: _two(f, p, "-disposition:v:0", "0", "-disposition:v:1", "default"),
    "cover_before_the_film.mp4": _cover,
    "mirrored.mp4": lambda f, p: _matrix(f, p, -1, 0, 0, 1),
    "upside_down.mp4": lambda f, p: _matrix(f, p, 1, 0, 0, -1),
    "mirrored_and_turned.mp4": lambda f, p: _matrix(f, p, 0, 1, 1, 0),
    "turned.mp4": lambda f, p: _matrix(f, p, 0, 1, -1, 0),
    "uneven.mp4": _uneven,
    "moving.gif": lambda f, p: film(p, codec=()),
    "camera.mts": lambda f, p: film(p),
    "theora.ogv": lambda f, p: film(p, codec=("-c:v", "libtheora")),
    "pictures_that_stay.avi": _still_places,
    "pieces_of_a_frame.mp4": lambda f, p: film(p, codec=_PIECES),
    "telephone_hlg.mp4": lambda f, p: film(p, seconds=0.4, codec=_HLG),
    "woven.avi": lambda f, p: film(p, seconds=0.4, codec=_WOVEN),
    "odd.avi": lambda f, p: film(p, codec=("-c:v", "mpeg4", "-bf", "2")),
}


def shown(path: Path) -> dict:
    """What ffmpeg shows: `size`, `times` from the first frame, and of each frame the mean of its `quadrants`."""
    command = ["ffmpeg", "-hide_banner", "-i", str(path), "-vsync", "passthrough", "-vf", "showinfo"]
    ran = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True)
    said = ran.stderr.decode(errors="replace")
    times = np.array([float(found) for found in re.findall(r"showinfo.*?pts_time:\s*(-?[\d.e-]+)", said)])
    width, height = map(int, re.findall(r"Video: rawvideo.*?, (\d+)x(\d+)", said)[-1])
    frames = np.frombuffer(ran.stdout, np.uint8).reshape(-1, height, width, 3)
    rows = [[round(float(value)) for value in row] for row in quadrants(frames)]
    return {"size": [height, width], "times": (times - times[0]).round(5).tolist(), "quadrants": rows}


def quadrants(frames: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) -> (N, 4) means."""
    count, height, width, _ = frames.shape
    halves = frames.astype(float).mean(3)[:, : height // 2 * 2, : width // 2 * 2]
    return halves.reshape(count, 2, height // 2, 2, width // 2).mean((2, 4)).reshape(count, 4)


def make(name: str, folder: Path) -> Path:
    """Makes one film."""
    (aside := folder / f"parts of {name}").mkdir()
    RECIPES[name](aside, folder / name)
    return folder / name


def record() -> None:
    """Writes all films and what ffmpeg shows of them."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in RECIPES:
            path = make(name, Path(folder))
            found[name] = {**shown(path), "file": base64.b64encode(path.read_bytes()).decode()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in found.items())
    RECORDED.write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    sys.exit(record())
