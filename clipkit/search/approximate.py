"""FAISS indexes over the rows of a search index (extra: `pip install faiss-cpu`), by a factory string such as
`IVF1024,PQ64` or `HNSW32`: trained on a sample, cut into files, memory-mapped. What they find is compared again with
the rows themselves, so that scores are exact and only which rows are found is not.

FAISS's files have no protection of their own: a made-up one can crash the process that reads it. They are read only
where this user's clipkit wrote them, which a signature with a key in the user's folder shows, and as they were written.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from clipkit.errors import ClipkitError, one_line
from clipkit.files import open_plain, write_text
from clipkit.search.matrix import Matrix
from clipkit.store import hash_file

FORMAT = 1
SHARD = 1 << 20  # rows of a file
REFINE = (16, 128)  # rows that are compared again, for each that is wanted: at first, and where codes are too coarse
_BLOCK = 1 << 16  # rows that are added at once
_SAMPLE = 50_000  # rows that train, and at least
_FOR_EACH = 48  # of FAISS's cells; it asks for 39 and more
_QUERIES, _NEAREST = 64, 10  # of which the recall is measured


class Approximate:
    """An index that `build` made, opened.

    Args:
        folder: of it.
        rows: `(N, D)` float32 of unit length, those that it was made of.
        about: digits that tell which rows these are.

    Raises:
        ClipkitError: none is there; somebody else made it; it was damaged, or made of other rows; no faiss.
    """

    def __init__(self, folder: Path, rows: Matrix, about: str) -> None:
        faiss = _faiss()
        self.folder, self.rows = folder, rows
        again = "run `clipkit search compress` again"
        made = _read_manifest(folder, again)
        if made["rows"] != about:
            raise ClipkitError(f"{folder}: was made of other rows; {again}")
        self.setting: dict[str, int] = made["setting"]
        self.factory: str = made["factory"]
        self._parts, self._starts = [], []
        flags = faiss.IO_FLAG_MMAP if "IVF" in self.factory else getattr(faiss, "IO_FLAG_MMAP_IFC", 0)
        for name, start in made["files"].items():
            if not (folder / name).is_file() or hash_file(folder / name) != made["sha256"][name]:
                raise ClipkitError(f"{folder / name}: is damaged or gone; {again}")
            self._parts.append(faiss.read_index(str(folder / name), flags | faiss.IO_FLAG_READ_ONLY))
            self._starts.append(start)
        _set(self._parts, self.setting)

    def search(self, query: np.ndarray, count: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers and scores of at most `count` rows, in no order.

        Args:
            query: `(D,)` float32 of unit length.
            allowed: `(N,)` bool, the rows that may be found.
        """
        found = []
        for part, start in zip(self._parts, self._starts):
            near = part.search(query[None], min(count * self.setting["refine"], part.ntotal))[1][0]
            found.append(near[near >= 0] + start)
        rows = np.concatenate(found)
        if allowed is not None:
            rows = rows[allowed[rows]]
        scores = self.rows[rows] @ query
        best = np.argpartition(-scores, count - 1)[:count] if len(rows) > count else np.arange(len(rows))
        return rows[best], scores[best]


def build(
    folder: Path, rows: Matrix, factory: str, about: str, recall: float = 0.97, shard: int = SHARD
) -> tuple[dict[str, int], float]:
    """Makes the files in `folder`, which is emptied.

    Args:
        rows, about: see `Approximate`.
        factory: FAISS's, https://github.com/facebookresearch/faiss/wiki/The-index-factory.
        recall: how many of the 10 nearest rows are to be found on average; the search looks further until it does.
            Measured on 64 queries, each a row and half of another one.
        shard: rows of a file.

    Returns:
        How far a search looks (`nprobe` or `efSearch`) and how many rows it compares again for each that is wanted
        (`refine`), and the recall that was measured.

    Raises:
        ClipkitError: a factory string that FAISS does not know, or that these rows cannot train; no faiss.
    """
    faiss = _faiss()
    count, width = rows.shape
    cells = int(match[1]) if (match := re.search(r"IVF(\d+)", factory)) else 0
    try:
        trained = faiss.index_factory(width, factory, faiss.METRIC_INNER_PRODUCT)
        _skip_annealing(faiss, trained)
        step = max(count // max(_SAMPLE, _FOR_EACH * cells), 1)
        trained.train(np.ascontiguousarray(rows[::step]))
        tried, row = faiss.clone_index(trained), np.ascontiguousarray(rows[:1])
        tried.add(row)  # IDMap's cannot be added to, IVF0 not searched: told while the old files are there
        tried.search(row, 1)
    except (RuntimeError, AssertionError) as error:
        reason = re.sub(r"^Error in .* at \S+:\d+: ", "", one_line(error, 300)).removeprefix("Error: ").strip("'")
        raise ClipkitError(f"--factory {factory}: FAISS cannot make it of {count} rows ({reason})") from None
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files: dict[str, int] = {}
    for start in range(0, count, shard):
        part = faiss.clone_index(trained)
        for first in range(start, min(start + shard, count), _BLOCK):
            part.add(np.ascontiguousarray(rows[first : min(first + _BLOCK, start + shard)]))
        name = f"part-{len(files):04d}.faiss"
        faiss.write_index(part, str(folder / name))
        files[name] = start
    made: dict[str, Any] = {
        "format": FORMAT,
        "rows": about,
        "factory": factory,
        "files": files,
        "setting": {"refine": REFINE[0]},
    }
    made["sha256"] = {name: hash_file(folder / name) for name in files}
    _write_manifest(folder, made)
    found = Approximate(folder, rows, about)
    kind = "nprobe" if cells else "efSearch" if "HNSW" in factory else ""
    questions, most = Questions(rows), cells or 4096
    value = 1 if cells else 16
    reached = 0.0
    while True:
        for refine in REFINE:
            if reached < recall:
                found.setting = {**({kind: value} if kind else {}), "refine": refine}
                _set(found._parts, found.setting)
                reached = questions.recall(found)
        if reached >= recall or not kind or value >= most:
            break
        value = min(2 * value, most)
    _write_manifest(folder, {**made, "setting": found.setting})
    return found.setting, reached


class Questions:
    """Queries, each a row and half of another one, and the 10 nearest rows of each, found by comparing all.

    Args:
        rows: `(N, D)` float32 of unit length.
        count: queries.
    """

    def __init__(self, rows: Matrix, count: int = _QUERIES, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        moved = rows[rng.integers(0, len(rows), count)] + 0.5 * rows[rng.integers(0, len(rows), count)]
        self.asked = (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
        self.nearest: np.ndarray = np.zeros((count, 0), np.int64)
        best: np.ndarray = np.zeros((count, 0), np.float32)
        for start in range(0, len(rows), _BLOCK):
            scores = self.asked @ rows[start : start + _BLOCK].T
            best = np.concatenate([best, scores], 1)
            self.nearest = np.concatenate([self.nearest, np.tile(np.arange(scores.shape[1]) + start, (count, 1))], 1)
            kept = np.argpartition(-best, min(_NEAREST, best.shape[1]) - 1, 1)[:, :_NEAREST]
            best = np.take_along_axis(best, kept, 1)
            self.nearest = np.take_along_axis(self.nearest, kept, 1)

    def recall(self, index: Approximate) -> float:
        """Share of the nearest rows that an index finds when it is asked for as many, on average."""
        found = [index.search(query, self.nearest.shape[1])[0] for query in self.asked]
        return float(np.mean([np.isin(nearest, rows).mean() for nearest, rows in zip(self.nearest, found)]))


def _skip_annealing(faiss: Any, index: Any) -> None:
    """The factory orders codes so that FAISS may filter by their bits, which takes longer than all else and is not used
    here."""
    inner = faiss.downcast_index(index.index) if isinstance(index, faiss.IndexPreTransform) else index
    if hasattr(inner, "do_polysemous_training"):
        inner.do_polysemous_training = False


def _set(parts: list[Any], setting: dict[str, int]) -> None:
    space = _faiss().ParameterSpace()
    for part in parts:
        for name, value in setting.items() - {("refine", setting["refine"])}:
            space.set_index_parameter(part, name, value)


def _faiss() -> Any:
    try:
        import faiss
    except ModuleNotFoundError:
        raise ClipkitError("faiss is not installed: pip install faiss-cpu, or search without it") from None
    return faiss


# -- what this user's clipkit wrote -----------------------------------------------------------------------------------


def _write_manifest(folder: Path, made: dict[str, Any]) -> None:
    text = json.dumps(made, sort_keys=True)
    write_text(folder / "index.json", json.dumps({"made": text, "signature": _sign(text)}))


def _read_manifest(folder: Path, again: str) -> dict[str, Any]:
    try:
        with os.fdopen(open_plain(folder / "index.json", os.O_RDONLY), "rb") as file:
            found = json.loads(file.read())
        text, signature = found["made"], found["signature"]
        is_own = isinstance(text, str) and hmac.compare_digest(str(signature).encode(), _sign(text).encode())
    except FileNotFoundError:
        raise ClipkitError(
            f"{folder.parent}: has no compressed index; make it with `clipkit search compress`"
        ) from None
    except (ValueError, TypeError, KeyError, RecursionError):
        is_own = False
    if not is_own:
        raise ClipkitError(f"{folder}: was not written by this user's clipkit, and is not read; {again}")
    return json.loads(text)


def _sign(text: str) -> str:
    return hmac.new(_own_key(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _own_key() -> bytes:
    """32 bytes that only this user can read, made when they are first needed."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    place = Path(state) / "clipkit/index.key"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(fd, secrets.token_bytes(32))
            os.close(fd)
        except FileExistsError:
            pass
        for _ in range(20):  # another process may have made it this moment and not written yet
            with os.fdopen(open_plain(place, os.O_RDONLY), "rb") as file:
                key = file.read()
            if key:
                break
            time.sleep(0.05)
    except OSError as error:
        raise ClipkitError(f"{place}: cannot be made or read ({error.strerror}); it signs compressed indexes") from None
    if len(key) != 32:
        raise ClipkitError(f"{place}: has no 32 bytes; delete it, and compress indexes again")
    return key
