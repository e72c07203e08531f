"""What `clipkit try` does: photos and words in, pictures out; reading and drawing overlap with the network."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from clipkit.backbone.fetched import find_weights
from clipkit.data.label_picture import label_picture
from clipkit.errors import ClipkitError, one_line, shown, some
from clipkit.files import writing
from clipkit.predict.dense import NONE, DenseSegmenter
from clipkit.predict.inputs import free_names, list_inputs
from clipkit.predict.predictor import as_rgb
from clipkit.predict.segmenter import Segmentation
from clipkit.text import Vocabulary
from clipkit.text.familiar import unfamiliar

AHEAD = 4  # photos that wait on either side of the network


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
    if Path(words).exists():
        raise ClipkitError(f'{words}: is a file; the last argument is the words, e.g. "cat, bench, grass"')
    vocabulary = Vocabulary.parse(words)
    sources = list_inputs(inputs)
    out.mkdir(parents=True, exist_ok=True)
    segmenter = load_named(clip, pretrained, dense=dense, device=device, batch_size=batch_size)
    strange = unfamiliar(segmenter.clip, vocabulary.names)
    if strange:
        warn_unfamiliar(clip, strange)
    text = segmenter.encode(vocabulary)
    pictures, bad, won = [], 0, set()
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as drawer:
        drawn: list[Future] = []
        names = free_names(sources)
        read = _ahead(reader, sources)
        bar = tqdm(zip(sources, names, read), total=len(sources), unit="photo", delay=2, disable=len(sources) == 1)
        for source, stem, pixels in bar:
            try:
                rgb = pixels.result()
                result = segmenter(rgb, text)
                path = out / f"{stem}_try.png"
                drawn.append(drawer.submit(_draw, path, rgb, result))
                if len(drawn) > AHEAD:
                    drawn.pop(0).result()
                pictures.append(path)
                won |= set(result.shares())
            except (ClipkitError, ValueError, OSError) as error:  # noqa: PERF203
                bad += 1
                tqdm.write(f"skipped: {one_line(error)}", file=sys.stderr)
            else:
                tqdm.write(shown(f"{source} -> {path}  {describe(result)}", 4096))
        for last in drawn:
            last.result()
    lost = [name for name in vocabulary.names if name not in won]
    if lost and pictures:
        print(f"nowhere the best answer: {', '.join(lost)}")
    return pictures, bad


def load_named(clip: str, pretrained: str | None, **options: object) -> DenseSegmenter:
    """`DenseSegmenter.load`, and what a person wants to know about weights that are fetched."""
    before = find_weights(clip, pretrained)
    if before is not None and before.path is None:
        print(f"fetching {clip} from huggingface.co/{before.repository} (licence: {before.licence}), once", flush=True)
    segmenter = DenseSegmenter.load(clip, pretrained, **options)  # type: ignore[arg-type]
    after = find_weights(clip, pretrained)
    if before is not None and before.path is None and after is not None and after.path is not None:
        print(f"{after.path}: {after.path.stat().st_size / 2**20:.0f} MiB")
    return segmenter


def warn_unfamiliar(clip: str, words: Sequence[str]) -> None:
    """One line on stderr: these words mean nothing to this tower."""
    line = f"warning: {clip} never saw {some(words, 6)}: what it answers for them means nothing; take another --clip"
    print(line, file=sys.stderr)


def describe(result: Segmentation) -> str:
    """`cat 34 % (0.91), none of these 66 %`: the share of the photo, and the mean probability of the word there."""
    scores = result.mean_scores()
    parts = [f"{name} {share:.0f} % ({scores[name]:.2f})" for name, share in result.shares().items() if name != NONE]
    rest = result.shares().get(NONE, 0)
    return ", ".join([*parts[:8], *([f"{len(parts) - 8} more"] if len(parts) > 8 else []), f"{NONE} {rest:.0f} %"])


def _draw(path: Path, rgb: np.ndarray, result: Segmentation) -> None:
    with writing(path) as partial:
        Image.fromarray(label_picture(rgb, result.labels.numpy(), result.names)).save(partial, format="PNG")


def _ahead(reader: ThreadPoolExecutor, sources: Sequence[str | Path]) -> Iterator[Future]:
    waiting: list[Future] = []
    for source in sources:
        waiting.append(reader.submit(as_rgb, source))
        if len(waiting) > AHEAD:
            yield waiting.pop(0)
    yield from waiting
