"""Reading the frames of a video: `python benchmarks/video_decoding.py`.

Frames/s of `clipkit.data.read_video` with each backend that is installed, against what CLIP4Clip's loader does: OpenCV,
one seek for each frame, colours turned, then Pillow to the short side. Every case reads the same frames of the same
file, at 1 frame a second and short side 224; the pictures are compared before the times are. `decord, no process` is
decord in the calling process: what isolation costs. All decode with one thread.

Aim: faster than OpenCV's seeks on every length.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from _timing import Report, Spread, interleaved, parser, ratio, start
from PIL import Image

from clipkit.data import Fps, read_video
from clipkit.data._video_backends import Decord, scaled
from clipkit.data._video_film import look

MODULES = {"decord": "decord", "pyav": "av", "torchcodec": "torchcodec", "opencv": "cv2"}
SEEKS = "OpenCV, a seek a frame"


def write_film(path: Path, seconds: int, height: int, width: int, fps: int = 25) -> None:
    """H.264 with key frames every 10 seconds (x264's habit), moving texture and a cut every 4 seconds."""
    import av

    rng = np.random.default_rng(0)
    scenes = rng.integers(0, 255, (5, height // 8, width // 8, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"g": "250", "crf": "28", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(seconds * fps):
            scene = Image.fromarray(scenes[number // 100 % 5]).resize((width, height), Image.Resampling.BICUBIC)
            picture = np.roll(np.asarray(scene), 3 * number, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def seek_each(path: Path, indices: list[int], side: int) -> np.ndarray:
    """(T, H, W, 3): CLIP4Clip's way (a seek a frame), up to its crop."""
    import cv2

    capture = cv2.VideoCapture(str(path))
    pictures = []
    for index in indices:
        capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        picture = Image.fromarray(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB))
        size = scaled((picture.height, picture.width), side)
        pictures.append(np.asarray(picture.resize(size[::-1], Image.Resampling.BICUBIC)))
    return np.stack(pictures)


def ours(path: Path, sampling: Fps, side: int, backend: str) -> np.ndarray:
    """clipkit."""
    return read_video(path, sampling, short_side=side, backend=backend).frames


def decord_here(path: Path, indices: list[int], side: int) -> np.ndarray:
    """decord without a process of its own."""
    video = Decord(look(str(path), 10**6), side)
    return np.stack([video.frame(index) for index in indices])


def main() -> None:
    options = parser(__doc__, rounds=7)
    options.add_argument("--seconds", type=int, nargs="+", default=[15, 120], help="lengths (default: 15 120)")
    options.add_argument("--short-side", type=int, default=224, help="pixels (default: 224)")
    args: argparse.Namespace = options.parse_args()
    start(args)
    size = (360, 640)
    if args.quick:
        args.seconds, args.short_side, size = [3], 32, (64, 96)
    import cv2

    cv2.setNumThreads(1)
    installed = [name for name, module in MODULES.items() if importlib.util.find_spec(module)]
    report = Report(args, "video_decoding", ["film", "case", "frames/s", f"{SEEKS} / this"])
    with tempfile.TemporaryDirectory() as folder:
        for seconds in args.seconds:
            film = Path(folder) / f"{seconds}.mp4"
            write_film(film, seconds, *size)
            sampling, side = Fps(1), args.short_side
            indices = read_video(film, sampling).indices.tolist()
            cases = {SEEKS: partial(seek_each, film, indices, side)}
            for name in installed:
                cases[name] = partial(ours, film, sampling, side, name)
            cases["decord, no process"] = partial(decord_here, film, indices, side)
            truth = cases[SEEKS]().ravel()
            for name, case in cases.items():
                if np.corrcoef(truth, case().ravel())[0, 1] < 0.95:  # the next frame gives 0.8
                    raise SystemExit(f"{name} gives other pictures than {SEEKS}; no time is comparable")
            times = interleaved(cases, args.rounds, "cpu", warmup=1)
            for name in cases:
                rate = Spread.of([len(indices) / t for t in times[name]])
                gain = ratio(times, SEEKS, name)
                what = f"{seconds} s of {size[1]}x{size[0]}"
                report.row(what, name, rate.text(".0f"), gain.text(".2f"), film=what, case=name, rate=rate, gain=gain)


if __name__ == "__main__":
    main()
