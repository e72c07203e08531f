"""Films as real video files: every frame coded alone and without loss, so that a film and its reverse hold the same."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from clipkit.errors import ClipkitError
from clipkit.shapes.films import render_films

FPS = 8.0
SUFFIX = ".mkv"
_CHUNK = 64  # films in memory at once


def write_film(
    frames: Tensor | np.ndarray, path: str | Path, fps: float = FPS, sound: Tensor | None = None, sound_rate: int = 8000
) -> None:
    """Writes a film with FFV1 in RGB: decoding gives the written bytes again, frame for frame.

    Args:
        frames: `(T, 3, H, W)` float in [0, 1], or `(T, H, W, 3)` uint8.
        path: ends in .mkv or .avi.
        fps: frames a second.
        sound: `(N,)` float in ±1, `sound_rate` samples a second, kept as 16 bits without loss.

    Raises:
        ClipkitError: PyAV is not installed.
    """
    try:
        import av
    except ModuleNotFoundError:
        raise ClipkitError("writing films needs PyAV, which is not installed: pip install av") from None
    pictures = to_bytes(frames)
    with av.open(str(path), "w") as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("ffv1", rate=rate, options={"g": "1"})  # else frames lean on earlier ones
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "bgr0"
        track = None if sound is None else container.add_stream("pcm_s16le", rate=sound_rate, layout="mono")
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
        if sound is not None and track is not None:
            whole = (sound.double() * 2**15).round().clamp(-(2**15), 2**15 - 1).short()
            frame = av.AudioFrame.from_ndarray(whole[None].cpu().numpy(), format="s16", layout="mono")
            frame.sample_rate = sound_rate
            container.mux(track.encode(frame))
            container.mux(track.encode())


def to_bytes(frames: Tensor | np.ndarray) -> np.ndarray:
    """`(T, 3, H, W)` in [0, 1] -> `(T, H, W, 3)` uint8; what is uint8 already stays."""
    if isinstance(frames, Tensor):
        frames = (frames.clamp(0, 1) * 255).round().byte().movedim(1, -1).cpu().numpy()
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"frames are (T, 3, H, W) float or (T, H, W, 3) uint8, got {frames.dtype} {frames.shape}")
    return np.ascontiguousarray(frames)


def film_set(
    folder: str | Path, tasks: Sequence[str], n: int, seed: int = 0, *, fps: float = FPS, **options: Any
) -> list[dict[str, Any]]:
    """`n` films of each task as files, made once: a folder that is there is complete, and is used again.

    Args:
        folder: gets `000000.mkv`, … and `manifest.jsonl`; its parent is made.
        tasks, n, seed, options: as `render_films`.

    Returns:
        The manifest, a dict a film: file (a path below `folder`), task, label, caption, and `pair`, the number
        of the first film of its pair, whose two are each other's reverse (in 'static' each is alone).

    Raises:
        ClipkitError: the folder holds something else, or films that were made otherwise.
    """
    folder = Path(folder)
    made_by = {"tasks": list(tasks), "n": n, "seed": seed, "fps": fps, **options}
    if not folder.exists():
        make_once(folder, lambda aside: [made_by, *_films(aside, made_by)])
    return read_film_set(folder, made_by)


def read_film_set(folder: str | Path, made_by: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The manifest of a folder of films, see `film_set`."""
    place = Path(folder) / "manifest.jsonl"
    try:
        if place.exists() and not place.is_file():  # a pipe would be waited for
            raise ValueError
        head, *films = [json.loads(line) for line in place.read_text().splitlines()]
        if not all(isinstance(line, dict) for line in (head, *films)) or not all(map(_is_film, films)):
            raise ValueError
    except (OSError, ValueError, RecursionError):
        raise ClipkitError(f"{folder}: holds no film set (no readable {place.name}); name another folder") from None
    if made_by is not None and head != json.loads(json.dumps(made_by)):
        wrong = [f"{k} is {head.get(k)!r} there" for k in sorted({*head, *made_by}) if head.get(k) != made_by.get(k)]
        raise ClipkitError(f"{folder}: holds films that were made otherwise ({'; '.join(wrong)}); name another folder")
    return films


def _is_film(line: dict[str, Any]) -> bool:
    whole = all(type(line.get(key)) is int for key in ("label", "pair"))
    return whole and all(isinstance(line.get(key), str) for key in ("file", "task", "caption"))


def make_once(folder: Path, make: Callable[[Path], Iterable[dict[str, Any]]]) -> None:
    """Lets `make` fill a folder and keeps the lines that it gives as `manifest.jsonl`. What stands at `folder` is
    complete at any time, and what another process made meanwhile stays."""
    aside = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        (aside / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in make(aside)))
        os.rename(aside, folder)
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)  # another process was first, or we failed


def _films(folder: Path, made_by: dict[str, Any]) -> Iterator[dict[str, Any]]:
    options = {key: value for key, value in made_by.items() if key not in ("tasks", "n", "seed", "fps")}
    number = 0
    for task in made_by["tasks"]:
        for start in range(0, made_by["n"], _CHUNK):
            count = min(_CHUNK, made_by["n"] - start)
            films = render_films(count, task, chunk_seed(made_by["seed"], task, start), **options)
            for film, label, caption in zip(films.frames, films.labels.tolist(), films.captions):
                name = f"{number:06d}{SUFFIX}"
                write_film(film, folder / name, made_by["fps"])
                pair = number if task == "static" else number - number % 2
                yield {"file": name, "task": task, "label": label, "caption": caption, "pair": pair}
                number += 1


def chunk_seed(seed: int, task: str, start: int) -> int:
    """Each chunk of each task has its own."""
    return zlib.crc32(f"{task}:{start}".encode()) + (seed << 32)
