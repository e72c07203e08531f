"""An index of video frames and images by what a CLIP says of them: on disk, extended file by file, searched exactly.

INDEX/model.json       which CLIP, so that a query can load it
INDEX/frames/          a clipkit.store, one record a file: embeddings (M, D) float16; frame, start, end (M,) each
INDEX/flat-<digest>/   the same rows of all files as float32 matrices, memory-mapped; made anew when files come
INDEX/approximate/     FAISS's, where `compress` made it, see `clipkit.search.approximate`
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from clipkit.backbone import ClipModel
from clipkit.data.images import read_image
from clipkit.data.video import BackendMissing
from clipkit.errors import ClipkitError, one_line
from clipkit.files import write_text
from clipkit.search._lock import locked
from clipkit.search.approximate import Approximate, build
from clipkit.search.embedding import embed, embed_file
from clipkit.search.matrix import COLUMNS, Matrix, ending, open_matrix
from clipkit.search.media import Moment, is_image, list_media
from clipkit.search.model import about_index, index_key, load_model
from clipkit.search.query import Found, check_question, direction, text_vector
from clipkit.search.records import current_record, path_of, record_id
from clipkit.search.rows import Ranking, Stacked
from clipkit.store import Store, StoreError

INDEX = "clipkit_index"  # the folder of an index that nobody named
FILES, ROWS = 64, 4096  # what is written at once, and what a kill can cost
TAKEN = 1 << 14  # the same, where nothing is computed
COMPRESSED, FEW = "approximate", 20  # the folder; a filter that leaves less than a 20th of the rows
SAMPLE = 1000  # rows whose scores say what an unrelated frame gets


class SearchIndex:
    """Finds moments of videos, and images, by an embedding in CLIP's space.

    Args:
        folder: the index; it is made where `key` is given and none exists.
        key: what its embeddings depend on, see `index_key`. None opens an existing one as it is.

    Raises:
        FileNotFoundError: no index there.
        StoreError: it was made by another model or at another rate; the line names the difference.
    """

    def __init__(self, folder: str | Path, key: dict[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        if key is None and not (self.folder / "frames/store.json").is_file():
            raise FileNotFoundError(
                f"{folder}: no index here; make one with `clipkit search index PHOTOS --out {folder}`"
            )
        if (self.folder / "frames").is_symlink():  # of a received index it could lead to another store of this machine
            raise StoreError(f"{self.folder / 'frames'}: is a link; an index holds its frames itself")
        self.store = Store(self.folder / "frames", key)
        self.left_out: dict[str, str] = {}
        """Files that searches did not answer with, for they are not what was indexed, and why."""
        self._faiss: Any = None
        self._approximate: Approximate | None = None
        self._clip: ClipModel | None = None
        self._load()

    @property
    def key(self) -> dict[str, Any]:
        """What made it."""
        return self.store.key

    def __len__(self) -> int:
        """Rows: indexed frames and images."""
        return len(self.embeddings)

    # ------------------------------------------------------------------ adding

    def add(self, files: Iterable[Path], clip: ClipModel, **options: Any) -> Iterator[tuple[Path, str | None]]:
        """Embeds the files that are new or have changed; yields each with None, or with what is wrong with it.

        Args:
            options: `backend` and `timeout` of `read_video`.
        """
        hand: dict[str, dict[str, np.ndarray]] = {}
        options["resize"] = self.key.get("preprocessing", {}).get("resize_mode", "squash")
        try:
            for file in files:
                problem = None
                try:
                    identifier = self.store.free_id(record_id(file))
                    if identifier not in self.store and identifier not in hand:
                        hand[identifier] = embed_file(file, clip, self.key["fps"], options)
                except BackendMissing:
                    raise
                except (ClipkitError, OSError) as error:
                    said = getattr(error, "strerror", None)  # of the system, which puts the file last
                    problem = one_line(f"{file}: {said}" if said else error)
                yield file, problem
                if len(hand) >= FILES or sum(len(record["frame"]) for record in hand.values()) >= ROWS:
                    self._write(hand)
        finally:
            self._write(hand)
        self._load()

    def take(self, records: Iterable[tuple[str, dict[str, np.ndarray]]]) -> int:
        """Writes those of the records, (id, arrays), that are not there; returns how many were."""
        hand: dict[str, dict[str, np.ndarray]] = {}
        known = 0
        for identifier, record in records:
            identifier = self.store.free_id(identifier)
            if identifier in self.store or identifier in hand:
                known += 1
                continue
            hand[identifier] = record
            if len(hand) == TAKEN:
                self._write(hand)
        self._write(hand)
        self._load()
        return known

    def _write(self, hand: dict[str, dict[str, np.ndarray]]) -> None:
        if hand:
            # An id that is not in hand was begun by a run that was killed while it wrote: `add` gives its file another.
            empty = {name: column[:0] for name, column in next(iter(hand.values())).items()}
            with locked(self.folder):
                self.store.build(list(hand), lambda ids: [hand.get(name, empty) for name in ids], progress=False)
            hand.clear()

    def _load(self) -> None:
        with locked(self.folder):  # else another process would delete the matrix that is made or opened here
            self.store.refresh()
            self._open()

    def _open(self) -> None:
        # Of a file that was indexed again after a change the record counts that is of the file as it is now, else the
        # last one.
        records: dict[str, list[str]] = {}
        for name in self.store:
            if self.store.count(name):
                records.setdefault(path_of(name), []).append(name)
        self._ids = [own[-1] if len(own) == 1 else current_record(path, own) for path, own in records.items()]
        about = json.dumps([self.store.key, self._ids], sort_keys=True)  # the model too: `frames` may be made anew
        digest = hashlib.sha256(about.encode()).hexdigest()[:16]
        counts = [self.store.count(name) for name in self._ids]
        self._offsets = np.cumsum([0, *counts])
        self._faiss = self._approximate = None
        if not self._ids:
            self.embeddings: Matrix = np.zeros((0, 0), np.float32)
            return
        place = self.folder / f"flat-{digest}{ending(counts)}"
        if place.is_symlink():
            place.unlink()
        may_write = place.is_dir() or os.access(self.folder, os.W_OK)
        self.embeddings, columns = open_matrix(self.store, self._ids, counts, digest, place if may_write else None)
        self._frame, self._start, self._end = (columns[name] for name in COLUMNS)
        self._digest = digest
        for old in self.folder.glob("flat-*"):
            if old != place:
                shutil.rmtree(old, ignore_errors=True)

    # ------------------------------------------------------------------ searching

    def search(
        self,
        query: np.ndarray,
        top: int = 5,
        *,
        faiss: bool = False,
        approximate: bool = False,
        milvus: Ranking | None = None,
        paths: str | None = None,
        between: tuple[float, float] | None = None,
    ) -> list[Moment]:
        """The best moments, best first; every row is compared, unless `approximate`.

        A moment is the stretch around its best frame in which the score stays above the middle between that frame's
        and what unrelated frames get (the lesser of the index's median and the file's least). Stretches that meet are
        one moment, the better one's. Files that are gone or have changed are left out, and named in `left_out`.

        Args:
            query: `(D,)`, of any length other than 0.
            faiss: let FAISS's exact flat index compare, which needs faiss-cpu; the answers are the same.
            approximate: look where the index that `compress` made leads; a few of the best may be missing.
            milvus: let this collection of the index's rows rank (`clipkit.search.milvus`); the answers are the same.
            paths: only files whose path this pattern means, such as `*/holiday/*.mp4`; `*` stands for `/` too.
            between: only frames of films that begin within these seconds, or are on show all the while.

        Raises:
            ClipkitError: `approximate`, and there is no such index, or none of this user's; no question at all.
        """
        check_question(top, between)
        if not len(self):
            return []
        query = np.asarray(query, dtype=np.float32)
        if query.shape != self.embeddings.shape[1:]:
            raise StoreError(f"{self.folder}: its embeddings have another width than the model's; make the index again")
        query = direction(query)
        ordinary = float(np.median(self.embeddings[:: -(-len(self) // SAMPLE)] @ query))
        found: list[Moment] = []
        taken: set[int] = set()
        how = "approximate" if approximate else "faiss" if faiss else "numpy"
        elsewhere = milvus and milvus.ranked(query, 8 * top, paths, between)
        for row, score in elsewhere or self._ranked(query, 8 * top, how, self._allowed(paths, between)):
            if row in taken:
                continue
            file = int(np.searchsorted(self._offsets, row, side="right")) - 1
            if not self._is_current(file):
                taken.update(range(int(self._offsets[file]), int(self._offsets[file + 1])))
                continue
            first, last = self._stretch(row, query, ordinary)
            stretch = range(first, last + 1)
            is_shoulder = not taken.isdisjoint(stretch)
            taken.update(stretch)
            if is_shoulder:  # of a better moment: the score does not fall to the middle in between
                continue
            path = path_of(self._ids[file])
            times = (float(self._start[first]), float(self._end[last]))
            found.append(Moment(path, *times, score, int(self._frame[row]), float(self._start[row])))
            if len(found) == top:
                break
        return found

    def _is_current(self, file: int) -> bool:
        """True if the file is the one that was indexed."""
        path, _, state = self._ids[file].rstrip("~").rpartition("@")
        if not _STATE.fullmatch(state):  # no record of a file, but of whatever somebody's own program put there
            return True
        try:
            problem = None if record_id(Path(path)) == f"{path}@{state}" else "has changed"
        except OSError:
            problem = "is gone"
        if problem:
            self.left_out[path] = problem
        return problem is None

    def _allowed(self, paths: str | None, between: tuple[float, float] | None) -> np.ndarray | None:
        """`(N,)` bool; None where all may be found."""
        if paths is None and between is None:
            return None
        names = [path_of(name) for name in self._ids]
        files = [(paths is None or fnmatchcase(name, paths)) and not (between and is_image(name)) for name in names]
        allowed = np.repeat(np.array(files, bool), np.diff(self._offsets))
        if between is not None:
            has_time = (self._frame != 0) | (self._end > 0)  # a picture in an archive may have no ending
            first, last = between
            begins = (self._start >= first) & (self._start <= last)
            allowed &= (begins | ((self._start < first) & (self._end > last))) & has_time
        return allowed

    def _ranked(
        self, query: np.ndarray, count: int, how: str, allowed: np.ndarray | None
    ) -> Iterator[tuple[int, float]]:
        """Rows and scores, best first, equal ones in the index's order; as many as are asked for, found in steps."""
        own = None if allowed is None else np.flatnonzero(allowed)
        if own is not None and (how == "faiss" or len(own) < len(self) // FEW):
            how = "numpy"  # few rows are soon compared, and FAISS's flat index would look at all
        if how == "numpy":
            scores = self.embeddings @ query if own is None else self.embeddings[own] @ query
        total = len(self) if own is None else len(own)
        done = 0
        while done < total:
            count = min(count, total)
            if how == "numpy":
                places = np.argpartition(-scores, count - 1)[:count]
                best, rows = scores[places], places if own is None else own[places]
            elif how == "faiss":
                best, rows = (part[0] for part in self._flat_index().search(query[None], count))
            else:
                rows, best = self._approximate_index().search(query, count, allowed)
                count = max(count, len(rows))
            if count < total and len(rows):  # of those that share the lowest score some may be missing
                rows, best = rows[best > best.min()], best[best > best.min()]
            order = np.lexsort((rows, -best))[done:]
            yield from zip(rows[order].tolist(), best[order].tolist())
            if how == "approximate" and count == total:
                return
            done, count = max(done, len(rows)), count * 8

    def _flat_index(self) -> Any:
        if self._faiss is None:
            try:
                import faiss
            except ModuleNotFoundError:
                raise ClipkitError("faiss is not installed: pip install faiss-cpu, or search without it") from None
            self._faiss = faiss.IndexFlatIP(self.embeddings.shape[1])
            for part in self.embeddings.parts if isinstance(self.embeddings, Stacked) else [self.embeddings]:
                self._faiss.add(part)
        return self._faiss

    def _approximate_index(self) -> Approximate:
        if self._approximate is None:
            self._approximate = Approximate(self.folder / COMPRESSED, self.embeddings, self._digest)
        return self._approximate

    def compress(self, factory: str, recall: float = 0.97) -> tuple[dict[str, int], float]:
        """Makes the index that `search(approximate=True)` looks into; again when files came.

        Args:
            factory, recall: see `clipkit.search.approximate.build`.

        Returns:
            How far a search looks, and the recall that was measured.

        Raises:
            ClipkitError: nothing is indexed; FAISS does not know the factory string; no faiss.
        """
        if not len(self):
            raise ClipkitError(f"{self.folder}: the index is empty")
        self._approximate = None
        with locked(self.folder):
            return build(self.folder / COMPRESSED, self.embeddings, factory, self._digest, recall)

    def _stretch(self, row: int, query: np.ndarray, ordinary: float) -> tuple[int, int]:
        """First and last row of the moment around a row."""
        file = int(np.searchsorted(self._offsets, row, side="right")) - 1
        low, high = int(self._offsets[file]), int(self._offsets[file + 1])
        scores = self.embeddings[low:high] @ query
        peak = scores[row - low]
        below = np.flatnonzero(scores < (peak + min(ordinary, scores.min())) / 2) + low
        place = int(np.searchsorted(below, row))
        first = int(below[place - 1]) + 1 if place else low
        last = int(below[place]) - 1 if place < len(below) else high - 1
        return first, last

    # ------------------------------------------------------------------ with the index's own CLIP

    @classmethod
    def of(
        cls,
        inputs: str | Path | Sequence[str | Path],
        folder: str | Path = INDEX,
        clip: str | None = None,
        pretrained: str | None = None,
    ) -> SearchIndex:
        """The index in `folder` of these videos, images and folders of them: made, or extended by what is new. What
        cannot be read is named on stderr.

        Args:
            clip, pretrained: see `FrozenCLIP.from_pretrained`; None for the index's own, of a new one OpenAI's
                ViT-B/16, which is fetched once.

        Raises:
            FileNotFoundError: an input that does not exist, or a folder without any.
            StoreError: the index was made by another model.

        Examples:
            >>> index = SearchIndex.of("photos", clip="tiny_clip")
            >>> index.find("a red circle, not grass").show()
        """
        files = list_media([inputs] if isinstance(inputs, (str, Path)) else inputs)
        key = about_index(folder)[1]
        model, made_by, named = load_model(folder, clip, pretrained, key.get("precision", "auto"))
        index = cls(folder, index_key(made_by, key.get("fps", 2.0), key.get("preprocessing", {}).get("resize_mode")))
        write_text(index.folder / "model.json", json.dumps(named))
        for _, problem in tqdm(index.add(files, model), "indexing", len(files), unit="file", delay=2, disable=None):
            if problem:
                tqdm.write(f"skipped: {problem}", file=sys.stderr)
        return index

    def find(self, text: str | None = None, *, image: str | Path | None = None, top: int = 5) -> Found:
        """What `search` answers to words, "a red ball, not grass" (see `clipkit.search.query.text_vector`), or to a
        picture; to both, q = the mean of the two, each of unit length.

        Args:
            image: a picture's file, embedded as the index's own are.

        Raises:
            ClipkitError: neither is given; or the index's model is not the one that made it.
        """
        if self._clip is None:
            self._clip, made_by, named = load_model(self.folder, None, None, "fp32")
            self.check_model(made_by, named["clip"])
        return Found(text or str(image), self.search(self.vector(self._clip, text, image), top))

    def check_model(self, made_by: dict[str, Any], name: str) -> None:
        """Raises ClipkitError unless a model made this index."""
        if made_by["weights"] != self.key.get("weights"):
            raise ClipkitError(f"{self.folder}: was made by another model than {name}; name that one with --clip")

    def vector(self, clip: ClipModel, text: str | None, image: str | Path | None = None) -> np.ndarray:
        """`(D,)` float32: what `find` looks for."""
        parts = [] if text is None else [text_vector(clip, text)]
        if image is not None:
            row = embed(read_image(image)[None], clip, self.key["preprocessing"]["resize_mode"])[0].astype(np.float32)
            parts.append(row / np.linalg.norm(row))
        if not parts:
            raise ClipkitError("nothing to look for: give words or a picture")
        return np.mean(parts, axis=0)


_STATE = re.compile(r"\d+:\d+")  # of a file, in its record's id
