"""What `clipkit predict` does: photos and films in, a task's files out. Photos of equal size share a pass of the
network; reading the next ones and drawing the last ones goes on meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from clipkit.errors import ClipkitError, one_line, shown
from clipkit.files import DiskError
from clipkit.predict.files import ResultFiles
from clipkit.predict.inputs import free_names, is_video, read_ahead
from clipkit.predict.predictor import ImagePredictor, Predictor, as_rgb, equal_sizes, windows

UNUSABLE = (ClipkitError, ValueError, OSError)
"""What ends one photo or film, and not the others."""


def predict_files(
    predictor: Predictor,
    writer: ResultFiles,
    sources: Sequence[str | Path],
    labels: Any,
    out: Path,
    film_of: Callable[[str | Path, Path], str],
    batch_size: int = 8,
) -> int:
    """Predicts all sources and writes their files; says of each what is in it, and returns how many could not be used.

    Args:
        labels: see `Predictor.set_labels`.
        out: folder that is there.
        film_of: writes the film of a film; returns what to say of it.
        batch_size: photos in one pass, where the task's writer has `save`; else each is the writer's own affair.

    Raises:
        DiskError: the folder takes no more files; the sources that are left are not tried.
    """
    names = predictor.set_labels(labels)
    save = getattr(writer, "save", None) if isinstance(predictor, ImagePredictor) else None
    named = iter(zip(sources, free_names(sources, writer.reserved)))
    bar = tqdm(total=len(sources), unit="file", delay=2, disable=len(sources) == 1)
    waiting: list[tuple[str | Path, Path, Callable[[], str]]] = []
    bad = 0

    def finish() -> None:
        nonlocal bad
        for source, target, work in waiting:
            try:
                found = work()
            except UNUSABLE as error:
                if isinstance(error, DiskError):
                    raise
                bad += 1
                line, name = one_line(error), shown(source, 4096)
                tqdm.write(f"skipped: {line if name in line else f'{name}: {line}'}", file=sys.stderr)
            else:
                tqdm.write(shown(f"{source} -> {target}  {found}", 4096))
            bar.update()
        waiting.clear()

    with bar, ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as drawer:
        read = read_ahead(reader, partial(_read, save is not None), sources)
        for group in windows((future.result() for future in read), batch_size):
            results = _predict(predictor, group, names, batch_size)
            finish()  # the window before: its pictures were drawn while this one was predicted
            for result, (source, stem) in zip(results, named):
                target = out / f"{stem}_{writer.picture}"
                work: Callable[[], str] = partial(writer.write, source, stem)
                if is_video(source) and not getattr(writer, "hears", False):
                    target = out / f"{stem}.mp4"
                    work = partial(film_of, source, target)
                elif isinstance(result, Exception):
                    work = _failed(result).result
                elif save is not None:
                    work = drawer.submit(save, result, source, stem).result
                waiting.append((source, target, work))
        finish()
    writer.finish()
    return bad


def _read(as_photo: bool, source: str | Path) -> np.ndarray | Exception | None:
    """A photo's pixels, or why there are none; None for what is read elsewhere."""
    if not as_photo or is_video(source):
        return None
    try:
        return as_rgb(source)
    except UNUSABLE as error:
        return error


def _predict(predictor: Any, images: Sequence[Any], names: tuple[str, ...], batch_size: int) -> list[Any]:
    """Results in place of the pictures, or errors: where a pass ends in one, its pictures are tried one by one."""
    found = list(images)
    for places in equal_sizes(images, batch_size):
        try:
            results = predictor.predict([images[i] for i in places], names)
        except UNUSABLE as error:
            alone = [_predict(predictor, [images[i]], names, 1)[0] for i in places] if len(places) > 1 else [error]
            results = alone
        for place, result in zip(places, results):
            found[place] = result
    return found


def _failed(error: Exception) -> Future:
    future: Future = Future()
    future.set_exception(error)
    return future
