"""Pictures, films and texts in any number -> their embeddings: the work of `clipkit embed`.

A part of the sources (`clipkit.data.samples`) is a record of a store, or a file of clip-retrieval's layout; it is read
as a stream, so that memory does not grow with it but by its rows. Below the folder that is written:

    embeddings/      a `clipkit.store`, see `Embeddings`, and
    outdated.json    which of its parts are of sources as they were before they changed; or
    img_emb/, …      clip-retrieval's layout, see `clipkit.embed.npy_parquet`
    skipped.jsonl    what was left out, a line each: source, name, why, count; by parts in skipped/
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clipkit.backbone import ClipModel
from clipkit.data import addresses
from clipkit.data.bad_files import read_on_bad
from clipkit.data.samples import Part, Sample, Skipped, read_part
from clipkit.data.video import VideoError
from clipkit.data.video_sets import CaptionedVideo
from clipkit.device import images_at_once
from clipkit.embed._work import BaseWork
from clipkit.embed.crew import Crew
from clipkit.embed.frame_source import FrameSource, as_pixels
from clipkit.embed.npy_parquet import NpyParquet, Rows
from clipkit.errors import ClipkitError, one_line, shown
from clipkit.files import write_text
from clipkit.safe import read_bytes, read_json
from clipkit.store import Store, StoreError

FORMAT = 1
LAYOUTS = ("store", "clip-retrieval")
BATCH = 64  # pictures that are embedded at once
_AHEAD, _BYTES = 4 * BATCH, 512 << 20  # pictures that are read and not embedded yet, and bytes of their files
_ROWS = 1 << 22  # of one part


class Embeddings:
    """Reads the store that `clipkit embed` wrote, part by part.

    Args:
        folder: the one that was given as `--out`.

    Raises:
        FileNotFoundError: no store there.
        StoreError: it holds something else.
    """

    def __init__(self, folder: str | Path) -> None:
        self.store = Store(Path(folder) / "embeddings")
        if self.store.key.get("kind") != "embeddings":
            raise StoreError(f"{self.store.folder}: holds {str(self.store.key.get('kind'))[:40]!r}, not embeddings")
        outdated = _read_outdated(Path(folder))
        self.parts = [identifier for identifier in self.store if identifier not in outdated]
        """Their names in the store, without those whose source has changed since."""

    def __len__(self) -> int:
        """Parts."""
        return len(self.parts)

    def __iter__(self) -> Iterator[tuple[list[str], dict[str, np.ndarray]]]:
        """Of each part the names, and the arrays `embeddings` (pictures) and `texts`, `(M, D)` float16 of unit length,
        those that were wanted; and `time` `(M,)`, the second of a film's frame, NaN for pictures and texts."""
        for identifier in self.parts:
            record = dict(self.store[identifier])
            packed = record.pop("name", None)
            rows = [array for array in record.values() if array.ndim == 2 and array.dtype == np.float16]
            if packed is None or packed.ndim != 2 or packed.dtype != np.uint8 or not rows or "time" not in record:
                raise StoreError(f"{self.store.folder}: holds no names and embeddings; embed again")
            yield [bytes(row).rstrip(b"\0").decode("utf-8", "replace") for row in packed], record


def embed_parts(
    out: str,
    parts: Sequence[Part],
    wanted: str,
    source: FrameSource,
    crew: Crew,
    *,
    layout: str = "store",
    on_bad: str = "skip",
    others: Sequence[Skipped] = (),
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Computes what `out` lacks of `parts`.

    Args:
        out: a folder; any address of fsspec where the layout is clip-retrieval's.
        parts, wanted: see `clipkit.data.samples.plan`.
        source: how frames of films are read.
        crew: who works.
        layout: one of `LAYOUTS`.
        on_bad: 'skip' writes down what cannot be read, 'raise' ends at the first.
        others: what of the sources belongs to no part, to be written down too.

    Returns:
        The lines of `skipped.jsonl`; empty in all processes but one.

    Raises:
        StoreError: `out` was made by something else.
        ClipkitError: the first that cannot be read, where `on_bad` raises; embeddings that are not finite; the system
            fails to read or write.
    """
    key = {
        "kind": "embeddings",
        "format": FORMAT,
        **crew.made_by,
        "wanted": wanted,
        "sampling": dict(source.sampling),
        "backend": source.backend,
        "normalized": True,
        "dtype": "fp16",
    }
    shelf: Store | NpyParquet
    if layout == "store":
        if not addresses.is_local(out):
            raise ClipkitError(f"{out}: a store lies on a disk; for this address take --layout clip-retrieval")
        shelf = Store(Path(out) / "embeddings", key, shard_size=1, batch_size=1)
    else:
        shelf = NpyParquet(out, key)
    sources = {part.id: part for part in parts}
    make = partial(
        _Parts, wanted=wanted, source=source, on_bad=read_on_bad(on_bad), out=out, as_records=layout == "store"
    )
    crew.fill(shelf, sources, make, desc="embedding", unit="part", progress=progress)
    if not crew.reports:
        return []
    if isinstance(shelf, Store):
        _write_outdated(Path(out), shelf, parts)
    lines = skipped_lines("", others)
    for identifier in sources:
        address = _skipped_address(out, identifier)
        if addresses.exists(address):
            with addresses.reading(address) as file:
                lines += file.read().decode().splitlines()
    addresses.write(addresses.join(out, "skipped.jsonl"), "".join(f"{line}\n" for line in lines).encode())
    return [json.loads(line) for line in lines]


def _read_outdated(folder: Path) -> set[str]:
    path = folder / "outdated.json"
    if not os.path.lexists(path):
        return set()
    found = read_json(path).get("parts")
    if not isinstance(found, list) or not all(isinstance(identifier, str) for identifier in found):
        raise StoreError(f"{path}: names no parts; run the same `clipkit embed` again without it")
    return set(found)


def _write_outdated(folder: Path, store: Store, parts: Sequence[Part]) -> None:
    """Notes the parts of these sources that are none of theirs now. Parts of other sources stay as they are."""
    store.refresh()
    now, sources = {part.id for part in parts}, {part.source for part in parts}
    places = {identifier: identifier.rpartition("@")[0] for identifier in store if identifier not in now}
    gone = {name for name, place in places.items() if place in sources or place.rpartition("#")[0] in sources}
    before = _read_outdated(folder)
    if before != (after := (before | gone) - now):
        write_text(folder / "outdated.json", json.dumps({"parts": sorted(after)}, indent=0))


def skipped_lines(source: str, left_out: Sequence[Skipped]) -> list[str]:
    """JSON: source, name, why, count, and bad: whether it was to be read."""
    return [json.dumps({"source": source, **vars(found)}) for found in left_out]


def _skipped_address(out: str, identifier: str) -> str:
    return addresses.join(
        out, f"skipped/{hashlib.sha256(identifier.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.jsonl"
    )


class _Parts(BaseWork):
    unit = "rows"

    def __init__(
        self,
        clip: ClipModel,
        parts: Mapping[str, Part],
        pool: ThreadPoolExecutor,
        *,
        wanted: str,
        source: FrameSource,
        on_bad: str,
        out: str,
        as_records: bool,
    ) -> None:
        super().__init__(pool, on_bad)
        self.clip, self.parts, self.wanted, self.source = clip, parts, wanted, source
        self.out, self.as_records = out, as_records

    @torch.no_grad()
    def __call__(self, ids: list[str]) -> list[Any]:
        found = [self._rows_of(key) for key in ids]
        return [rows.record() for rows in found] if self.as_records else found

    def _rows_of(self, key: str) -> Rows:
        rows, left_out = Rows(self.wanted, self.clip.embed_dim), list[Skipped]()
        batch: list[tuple[Sample, Tensor | None]] = []
        for found in self._prepared(read_part(self.parts[key], self.wanted)):
            if isinstance(found, Skipped):
                left_out.append(found)
                if found.bad and self.on_bad == "raise":
                    raise ClipkitError(f"{self.parts[key].source}: {shown(found.name)}: {found.why}")
            elif isinstance(found, Sample):
                self._embed(rows, batch)
                left_out += self._film(rows, found)
            else:
                batch.append(found)
            if len(batch) == BATCH:
                self._embed(rows, batch)
            if len(rows.names) > _ROWS:
                raise ClipkitError(
                    f"{self.parts[key].source}: has more than {_ROWS:,} things; cut it into smaller ones"
                )
        self._embed(rows, batch)
        if left_out:
            lines = skipped_lines(self.parts[key].source, left_out)
            addresses.write(_skipped_address(self.out, key), "".join(f"{line}\n" for line in lines).encode())
        return rows

    def _prepared(
        self, samples: Iterator[Sample | Skipped]
    ) -> Iterator[Skipped | Sample | tuple[Sample, Tensor | None]]:
        """What is left out; films; and of other things, in their order, their pixels too, made in threads."""
        waiting: deque[tuple[int, Future[Skipped | tuple[Sample, Tensor | None]]]] = deque()
        held = 0  # bytes of files
        for sample in samples:
            if isinstance(sample, Skipped):
                yield sample
                continue
            while waiting and (sample.film or len(waiting) >= _AHEAD or held > _BYTES):
                size, future = waiting.popleft()
                held -= size
                yield future.result()
            if sample.film:
                yield sample
                continue
            waiting.append((len(sample.picture or b""), self.pool.submit(self._prepare, sample)))
            held += waiting[-1][0]
        for _, future in waiting:
            yield future.result()

    def _prepare(self, sample: Sample) -> Skipped | tuple[Sample, Tensor | None]:
        if sample.picture is None:
            return sample, None
        try:
            pixels = self.clip.preprocess(
                Image.fromarray(np.ascontiguousarray(read_bytes(sample.picture, sample.name)))
            )
        except ClipkitError as error:
            return Skipped(sample.name, one_line(error, 300))
        return sample._replace(picture=None), pixels

    def _embed(self, rows: Rows, batch: list[tuple[Sample, Tensor | None]]) -> None:
        """Adds the rows of a batch, and empties it."""
        if not batch:
            return
        rows.names += [sample.name for sample, _ in batch]
        rows.times += [math.nan] * len(batch)
        if self.wanted != "texts":
            rows.pictures.append(self._look(torch.stack([pixels for _, pixels in batch if pixels is not None])))
        if self.wanted != "pictures":
            texts = [sample.text or "" for sample, _ in batch]
            rows.captions += texts
            rows.texts.append(self._half(self.clip.encode_text(texts)))
        batch.clear()

    def _film(self, rows: Rows, film: Sample) -> list[Skipped]:
        """Adds the rows of a film, all of them or none."""
        own, address = Rows(self.wanted, rows.width), str(film.film)
        try:
            with tempfile.TemporaryDirectory(prefix="clipkit-") as scratch:
                path = Path(address)
                if not addresses.is_local(address):
                    path = Path(scratch) / f"film{PurePosixPath(address).suffix}"
                    addresses.fetch(address, path)
                for frames, seconds in self.source.stream(CaptionedVideo(film.name, path, (), None), self.clip):
                    own.pictures.append(self._look(as_pixels(frames)))
                    own.times += seconds.tolist()
        except (VideoError, FileNotFoundError, PermissionError) as error:
            if self.on_bad == "raise":
                raise
            return [Skipped(film.name, one_line(str(error).replace(address, film.name), 300))]
        count = len(own.times)
        rows.names += [film.name] * count
        rows.times += own.times
        rows.pictures += own.pictures
        if self.wanted == "pairs":
            rows.captions += [film.text or ""] * count
            rows.texts.append(self._half(self.clip.encode_text([film.text or ""])).repeat(count, 0))
        return []

    def _look(self, pixels: Tensor) -> np.ndarray:
        parts = pixels.to(self.clip.device).split(images_at_once(self.clip.device))
        return self._half(torch.cat([self.clip.encode_image(part) for part in parts]))

    def _half(self, rows: Tensor) -> np.ndarray:
        return self.checked(rows.float().cpu()).numpy().astype(np.float16)
