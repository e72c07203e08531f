"""What `clipkit try` does: photos, films and words in, pictures out; reading and drawing overlap with the network."""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from clipkit.data import read_image
from clipkit.data.fetch import fetch, is_address
from clipkit.data.label_picture import label_picture
from clipkit.data.video import Fps, stream_video
from clipkit.data.video_file import write_video
from clipkit.errors import ClipkitError, one_line
from clipkit.files import DiskError, writing
from clipkit.predict.dense import NONE, DenseSegmenter
from clipkit.predict.inputs import AHEAD, free_names, is_video, list_inputs, parse_words, read_ahead
from clipkit.predict.segmenter import Segmentation
from clipkit.text import TextEmbeddings
from clipkit.text.familiar import warn_unfamiliar

SHOWN = 560  # pixels of a photo's shorter side that are kept for the picture, whatever the network sees
RATE = 2.0  # frames of a film that are segmented, a second


def run_try(
    inputs: Sequence[str],
    words: str,
    out: Path,
    *,
    clip: str,
    pretrained: str | None,
    dense: str = "sclip",
    device: str | None = None,
    batch_size: int = 8,
) -> tuple[list[Path], int]:
    """Segments every input; returns the pictures written and how many inputs could not be used.

    Raises:
        ClipkitError, ValueError, FileNotFoundError: nothing can be done at all; the line says why.
    """
    vocabulary = parse_words(words)
    sources = list_inputs(inputs)
    out.mkdir(parents=True, exist_ok=True)
    segmenter = DenseSegmenter.load(clip, pretrained, dense=dense, device=device, batch_size=batch_size)
    warn_unfamiliar(segmenter.clip, vocabulary.words, clip, "take another --clip")
    text = segmenter.encode(vocabulary)
    pictures, bad, won = segment_files(segmenter, sources, text, out)
    lost = [name for name in vocabulary.names if name not in won]
    if lost and pictures:
        print(f"nowhere the best answer: {', '.join(lost)}")
    return pictures, bad


def segment_files(
    segmenter: DenseSegmenter, sources: Sequence[str | Path], text: TextEmbeddings, out: Path
) -> tuple[list[Path], int, set[str]]:
    """Segments photos and films into `out`: the files written, how many sources could not be used, and the names that
    are somewhere the best answer."""
    pictures, bad, won = [], 0, set()
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as drawer:
        drawn: list[Future] = []
        read = read_ahead(reader, partial(_read, segmenter.short_side), sources)
        named = zip(sources, free_names(sources), read)
        for source, stem, pixels in tqdm(named, total=len(sources), unit="file", delay=2, disable=len(sources) == 1):
            try:
                if is_video(source):
                    path = out / f"{stem}_try.mp4"
                    shares = _segment_film(segmenter, source, text, path, drawer)
                    said = ", ".join(f"{name} {share:.0f} %" for name, share in shares.items())
                else:
                    rgb = pixels.result()
                    result = segmenter(rgb, text)
                    path = out / f"{stem}_try.png"
                    drawn.append(drawer.submit(_draw, path, rgb, result))
                    if len(drawn) > AHEAD:
                        drawn.pop(0).result()
                    shares, said = result.shares(), describe(result)
                pictures.append(path)
                won |= set(shares)
                tqdm.write(f"{source} -> {path}  {said}")
            except (ClipkitError, ValueError, OSError) as error:  # noqa: PERF203
                if isinstance(error, DiskError):
                    raise
                bad += 1
                tqdm.write(f"skipped: {one_line(error)}", file=sys.stderr)
        for last in drawn:
            last.result()
    return pictures, bad, won


def describe(result: Segmentation) -> str:
    """`cat 34 % (0.91), none of these 66 %`: the share of the photo, and the mean probability of the word there."""
    scores = result.mean_scores()
    parts = [f"{name} {share:.0f} % ({scores[name]:.2f})" for name, share in result.shares().items() if name != NONE]
    rest = result.shares().get(NONE, 0)
    return ", ".join([*parts[:8], *([f"{len(parts) - 8} more"] if len(parts) > 8 else []), f"{NONE} {rest:.0f} %"])


def _segment_film(
    segmenter: DenseSegmenter, film: str | Path, text: TextEmbeddings, path: Path, drawer: ThreadPoolExecutor
) -> dict[str, float]:
    """Writes the film of a film's frames, `RATE` a second; returns each name's share of all of them."""
    total: Counter[str] = Counter()

    def frames() -> Iterator[np.ndarray]:
        waiting: list[Future] = []
        for part in stream_video(film, Fps(RATE), short_side=max(segmenter.short_side, SHOWN // 2), batch=8):
            for rgb in part.frames:
                result = segmenter(rgb, text)
                total.update(result.shares())
                waiting.append(drawer.submit(label_picture, rgb, result.labels.numpy(), result.names, film=True))
                if len(waiting) > AHEAD:
                    yield waiting.pop(0).result()
        for last in waiting:
            yield last.result()

    count = write_video(frames(), path, RATE)
    return {name: share / count for name, share in total.most_common()}


def _draw(path: Path, rgb: np.ndarray, result: Segmentation) -> None:
    with writing(path) as partial:
        picture = Image.fromarray(label_picture(rgb, result.labels.numpy(), result.names))
        picture.save(partial, format="PNG", compress_level=1)


def _read(short_side: int, source: str | Path) -> np.ndarray | None:
    """A photo; no more of it than the network and the picture can show. None for a film."""
    if is_video(source):
        return None
    file = io.BytesIO(fetch(str(source))) if is_address(source) else Path(source)
    return read_image(file, enough=max(short_side * 5 // 4, SHOWN), name=source)
