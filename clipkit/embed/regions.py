"""Images and boxes -> a teacher store: the work of `clipkit precompute`."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clipkit.adapters import CLIPTeacher
from clipkit.data.bad_files import read_on_bad
from clipkit.data.images import read_image
from clipkit.data.proposals import ImageFile, clean_boxes
from clipkit.embed import region_store
from clipkit.embed._work import Work
from clipkit.embed.crew import Alone, Crew
from clipkit.embed.proposals import Found, RegionSource
from clipkit.errors import ClipkitError, one_line
from clipkit.store import Store, StoreError, hash_file

SHARD, BATCH = 32, 16  # images: what a kill can cost, and what is computed at once
# What the system says of a file that is missing or broken; anything else may be over when the command runs again.
_OF_THE_FILE = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL
}  # fmt: skip


def store_key(made_by: dict[str, Any], source: RegionSource, dtype: str, most: int) -> dict[str, Any]:
    """What the records of a teacher store depend on; each record's id adds the hash of its image file."""
    return {
        "kind": "regions",
        "format": region_store.FORMAT,
        **made_by,
        "normalized": True,
        "boxes": {**source.key, "most": most},
        "dtype": dtype,
    }


def embed_regions(
    out: str | Path,
    folder: str | Path,
    images: Sequence[ImageFile],
    source: RegionSource,
    teacher: CLIPTeacher | None,
    made_by: dict[str, Any],
    *,
    dtype: str = "fp16",
    most: int = 300,
    workers: int = 4,
    on_bad: str = "skip",
    progress: bool = True,
    broken: str | None = None,
    crew: Crew | None = None,
) -> dict[str, list[str]]:
    """Computes what the store `out` lacks of `images`, and returns when all is there.

    Args:
        folder: below which the images lie by their names.
        source: see `clipkit.embed.proposals`.
        teacher, made_by: of `load_teacher`.
        dtype: on disk, 'fp16' or 'int8'.
        most: boxes an image, the best ones.
        workers: threads that read images.
        on_bad: 'skip' gives images that cannot be read no regions; 'raise' ends at the first.
        broken: the name of `on_bad` before, see `read_on_bad`.
        crew: who works, each with a teacher of its own; `teacher` is then not used. None: this process.

    Returns: what is wrong with which images; empty if all is well, and on all ranks but the first.

    Raises:
        StoreError: the store was made by something else, or from other versions of these images.
        ClipkitError: embeddings that are not finite; an image that cannot be read, where `on_bad` raises; a system
            that fails to read, as a disk does.
    """
    on_bad = read_on_bad(on_bad, broken)
    store = Store(out, store_key(made_by, source, dtype, most), shard_size=SHARD, batch_size=BATCH)
    problems: dict[str, list[str]] = {}
    with ThreadPoolExecutor(workers) as pool:
        ids = _record_ids(images, pool, problems, progress)
        if on_bad == "raise" and problems:
            kind, names = next(iter(problems.items()))
            raise ClipkitError(f"{Path(folder) / names[0]}: {kind} ({len(names)} such images in all)")
        _refuse_changed(store, ids)
        crew = crew or Alone(teacher, made_by, workers)
        make = partial(_Regions, folder=Path(folder), source=source, dtype=dtype, most=most, on_bad=on_bad)
        done = crew.fill(store, ids, make, desc="embedding", unit="image", progress=progress)
        for what, count in done.counts.items():
            print(f"{count} {what}", file=sys.stderr)
        if not crew.reports:
            return {}  # one process reports for all
        counts = {image.name: store.count(key) for key, image in ids.items()}
        empty = [name for name, count in counts.items() if not count]
        tried = zip(empty, pool.map(_try_image, _below(folder, empty)))
        skipped = {region_store.name_of(key) for key in done.problems}
        unreadable = [name for name, found in tried if found or name in skipped]
    if unreadable:
        problems["not readable, left without regions"] = unreadable
    if missing := [name for name in getattr(source, "missing", []) if name not in unreadable]:
        problems["not in the file of proposals"] = missing
    if progress:
        size = sum(path.stat().st_size for path in Path(out).iterdir())
        print(f"{len(ids)} images, {sum(counts.values())} regions, {size / 2**20:.1f} MiB in {out}")
    return problems


class _Regions(Work[np.ndarray]):
    unit = "crops"

    def __init__(
        self,
        teacher: CLIPTeacher,
        ids: Mapping[str, ImageFile],
        pool: ThreadPoolExecutor,
        *,
        folder: Path,
        source: RegionSource,
        dtype: str,
        most: int,
        on_bad: str,
    ) -> None:
        super().__init__(pool, on_bad)
        self.folder, self.ids, self.source, self.teacher = folder, ids, source, teacher
        self.dtype, self.most, self.per_row = dtype, most, len(teacher.crop_scales)
        self.device = next(iter(teacher.clip.parameters())).device

    def read(self, key: str) -> np.ndarray | str:
        name = region_store.name_of(key)
        if key not in self.ids:
            # Of a shard that a killed run began: its record must be what that run would have written.
            raise StoreError(
                f"{name} was begun by an earlier run of this store and is now left out or changed: finish that run "
                "first, or use another folder"
            )
        return _try_pixels(self.folder / name)

    def embed(self, ids: list[str], items: list[np.ndarray | None]) -> list[dict[str, np.ndarray]]:
        pixels, boxes, scores = [], [], []
        for key, read in zip(ids, items):
            found: Found = (np.zeros((0, 4)), np.zeros(0)) if read is None else self.source(self.ids[key], read)
            pixels.append(np.zeros((1, 1, 3), np.uint8) if read is None else read)
            own, score, outside = clean_boxes(found[0], found[1], pixels[-1].shape[:2], self.most)
            if outside:
                self.counts["boxes lay outside their image or had no area: left out"] += outside
            # Rounded as they will be stored, so that what is embedded is what is stored.
            boxes.append(region_store.unpack_boxes(region_store.pack_boxes(own)))
            scores.append(score)
        rows = self.teacher.regions(_Pictures(pixels, self.device), [torch.from_numpy(b) for b in boxes]).cpu()
        parts = self.checked(rows).split([len(b) for b in boxes])
        return [region_store.pack(b, s, e.numpy(), self.dtype) for b, s, e in zip(boxes, scores, parts)]


class _Pictures(Sequence[Tensor]):
    """Pictures `(3, H, W)` in [0, 1], brought to the device one at a time."""

    def __init__(self, pixels: list[np.ndarray], device: torch.device) -> None:
        self.pixels, self.device = pixels, device

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: Any) -> Any:
        return torch.tensor(self.pixels[index]).to(self.device).movedim(-1, 0).float().div_(255)


def _record_ids(
    images: Sequence[ImageFile], pool: ThreadPoolExecutor, problems: dict[str, list[str]], progress: bool
) -> dict[str, ImageFile]:
    """Record id -> image, for the images whose files can be opened; the others are noted."""
    from tqdm import tqdm

    hashes: Iterable[str | None] = pool.map(_try_hash, [image.path for image in images])
    hashes = tqdm(hashes, "hashing", len(images), unit="image", delay=5, disable=not progress)
    ids = {}
    for image, digest in zip(images, hashes):
        if digest is None:
            problems.setdefault("missing or not to be opened", []).append(image.name)
        else:
            ids[region_store.record_id(image.name, digest)] = image
    return ids


def _refuse_changed(store: Store, ids: dict[str, ImageFile]) -> None:
    now = {image.name: key for key, image in ids.items()}
    for key in store:
        name = region_store.name_of(key)
        # One without regions may be an image that was broken and has been repaired since.
        if now.get(name, key) != key and store.count(key):
            raise StoreError(
                f"{store.folder}: {name} has changed since it was embedded; use another folder, or put it back"
            )


def _try_pixels(path: Path) -> np.ndarray | str:
    """The pixels, or what is wrong with the file.

    Raises:
        ClipkitError: it is the system that failed; a record without regions would say so for ever.
    """
    try:
        return read_image(path)
    except (ClipkitError, OSError) as error:
        cause = error if isinstance(error, OSError) else error.__context__  # read_image words what it caught
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno not in _OF_THE_FILE:
            raise ClipkitError(f"{path}: could not be read ({cause.strerror}); run the same command again") from error
        return one_line(error)


def _try_image(path: Path) -> str | None:
    try:
        read_image(path)
    except (ClipkitError, OSError) as error:
        return one_line(error)
    return None


def _try_hash(path: Path) -> str | None:
    try:
        return hash_file(path)
    except OSError:
        return None


def _below(folder: str | Path, names: list[str]) -> list[Path]:
    return [Path(folder) / name for name in names]
