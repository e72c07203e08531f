"""The rows of a search index in a Milvus collection (extra `milvus`): in a file of milvus-lite, or on a server.

Milvus ranks; the index on disk stays, and gives scores and moments. The collection has an exact (FLAT) index, so that
the answers are those of `SearchIndex.search`. Its fields: id (`file` and the row's place in it), file (a digest of the
record's id), path, frame, start, end, image, embedding (of unit length). One more row, `about`, says whose they are.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from clipkit.errors import ClipkitError, one_line, shown
from clipkit.search.index import SearchIndex
from clipkit.search.media import is_image
from clipkit.search.records import path_of

FORMAT = 1
TOKEN = "MILVUS_TOKEN"  # the variable with `user:password` or a key
BATCH = 1000  # rows that are sent at once, and files that are deleted at once
LIMIT = 16384  # rows of an answer, which is Milvus's own
LISTED = 10_000  # rows of an answer where what is there is listed
_ABOUT = "about"  # the id of the row without an embedding
_FIELDS = ("id", "file", "path", "frame", "start", "end", "image", "embedding")
_NEAR = 1e-6  # by which a cosine may differ, computed there and here
_FAR = 1e9  # seconds; Milvus knows no infinity
_CONNECTING, _ANSWERING = 10, 120  # seconds that Milvus has
_AGAIN = "send them again with `clipkit search index … --store …`"


class Milvus:
    """The collection of an index.

    Args:
        address: `milvus:FILE.db` or `milvus:http://HOST:19530`; `#NAME` at its end names the collection, which else is
            called as the index's folder. A server's token is the environment's MILVUS_TOKEN.
        index: whose rows are or will be there.
        make: make the collection where there is none.

    Raises:
        ClipkitError: an empty index; no pymilvus; a wrong address, no server, no collection, or one of another model.
    """

    def __init__(self, address: str, index: SearchIndex, make: bool = False) -> None:
        if not len(index):
            raise ClipkitError(f"{index.folder}: the index is empty")
        self.index = index
        uri, name = check_address(address)
        own = re.sub(r"[^A-Za-z0-9_]", "_", index.folder.resolve().name)
        self.name = name or (own if re.match("[A-Za-z_]", own) else f"_{own}")
        self.place = f"milvus:{uri}#{self.name}"
        self._file = None if "://" in uri else uri
        if self._file and not (Path(uri).parent.is_dir() if make else os.path.exists(uri)):
            raise ClipkitError(f"{self.place}: {'no such folder' if make else self._absent()}")
        self._files = self._own()
        self._client = self._connect(uri)
        try:
            self._check(make)
        except BaseException:
            self.close()
            raise

    def _check(self, make: bool) -> None:
        about = self._about()
        if about is None and not make:
            raise ClipkitError(f"{self.place}: {self._absent()}")
        if about is None:
            self._make()
        elif about.get("key") == self._key():
            self._sent = str(about.get("rows"))  # which, of the index's `_digest`; '' while they are sent
        else:
            raise ClipkitError(
                f"{self.place}: has the rows of another model, or of another rate; name another collection with #NAME"
            )

    def _own(self) -> dict[str, int]:
        return {_digest(name): number for number, name in enumerate(self.index._ids)}

    def _absent(self) -> str:
        return f"no such collection; send it with `clipkit search index … --out {self.index.folder} --store …`"

    def close(self) -> None:
        """Ends the connection; to a file, every one of this process, so that other processes may open it."""
        self._client.close()
        if self._file:
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(self._file)

    # ------------------------------------------------------------------ sending

    def send(self) -> tuple[int, int]:
        """Sends the files' rows that are not there, and deletes those of files that have changed.

        Returns:
            Rows that were sent, files whose rows were deleted.

        Raises:
            ClipkitError: the collection has the rows of another index.
        """
        index, self._files = self.index, self._own()
        there = self._there()
        known = {_digest(name) for name in index.store}
        if foreign := there.keys() - known:
            raise ClipkitError(
                f"{self.place}: has the rows of {len(foreign)} files that are not in {index.folder}, and which are not "
                "deleted; name another collection with #NAME"
            )
        self._mark("")
        old = sorted(there.keys() - self._files.keys())
        for start in range(0, len(old), BATCH):
            self._call("delete", self.name, filter=f"file in {json.dumps(old[start : start + BATCH])}")
        counts = np.diff(index._offsets)
        files = [number for file, number in self._files.items() if there[file] != counts[number]]
        rows = [np.arange(index._offsets[number], index._offsets[number + 1]) for number in files]
        wanted = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        for start in tqdm(range(0, len(wanted), BATCH), "sending", unit="000 rows", delay=2, disable=None):
            self._call("upsert", self.name, self._entities(wanted[start : start + BATCH]))
        self._mark(index._digest)
        return len(wanted), len(old)

    def _there(self) -> Counter[str]:
        """How many rows each file has there."""
        there: Counter[str] = Counter()
        pages = self._call("query_iterator", self.name, batch_size=LISTED, filter="", output_fields=["file"])
        with _said(self.place):
            while page := pages.next():
                there.update(row["file"] for row in page)
            pages.close()
        del there[_ABOUT]
        return there

    def _entities(self, rows: np.ndarray) -> list[dict[str, Any]]:
        index = self.index
        entities = []
        for row, embedding in zip(rows.tolist(), index.embeddings[rows]):
            number = int(np.searchsorted(index._offsets, row, side="right")) - 1
            file, path = _digest(index._ids[number]), path_of(index._ids[number])
            entities.append(
                {
                    "id": f"{file}:{row - index._offsets[number]}",
                    "file": file,
                    "path": path.encode("utf-8", "replace").decode(),  # of names that are no text
                    "frame": int(index._frame[row]),
                    "start": float(index._start[row]),
                    "end": float(index._end[row]),
                    "image": is_image(path),
                    "embedding": embedding,
                }
            )
        return entities

    # ------------------------------------------------------------------ searching

    def ranked(
        self, query: np.ndarray, count: int, paths: str | None = None, between: tuple[float, float] | None = None
    ) -> Iterator[tuple[int, float]]:
        """Row numbers of the index and scores, best first, those that came before now and then again; in steps, the
        first of `count` rows. Beyond what Milvus answers at once (16,384) the index's own comparison goes on.

        Args:
            query: `(D,)` float32 of unit length.
            paths, between: see `SearchIndex.search`.

        Raises:
            ClipkitError: the rows there are not those of the index as it is.
        """
        if self._sent != self.index._digest:
            raise ClipkitError(f"{self.place}: has not the rows of {self.index.folder} as it is; {_AGAIN}")
        allowed = self.index._allowed(paths, between)
        where = condition(paths, between)
        is_all = False
        while not is_all and count < LIMIT:
            found = self._call(
                "search", self.name, [query.tolist()], filter=where, limit=count, anns_field="embedding"
            )[0]
            is_all = len(found) < count
            rows = np.array([self._row(hit["id"]) for hit in found if hit["id"] != _ABOUT], np.int64)
            rows = rows if allowed is None else rows[allowed[rows]]
            scores = self.index.embeddings[rows] @ query
            if not is_all and len(rows):  # of those that share the lowest score some may be missing
                is_sure = scores > scores.min() + _NEAR
                rows, scores = rows[is_sure], scores[is_sure]
            order = np.lexsort((rows, -scores))
            yield from zip(rows[order].tolist(), scores[order].tolist())
            count *= 8
        if not is_all:
            yield from self.index._ranked(query, count, "numpy", allowed)

    def _row(self, identifier: str) -> int:
        file, _, place = identifier.rpartition(":")
        number = self._files.get(file)
        offsets = self.index._offsets
        if number is None or not place.isdecimal() or int(place) >= offsets[number + 1] - offsets[number]:
            raise ClipkitError(f"{self.place}: has rows that {self.index.folder} does not have; {_AGAIN}")
        return int(offsets[number]) + int(place)

    # ------------------------------------------------------------------ Milvus

    def _connect(self, uri: str) -> Any:
        from pymilvus import MilvusClient

        for name in ("pymilvus", "milvus_lite", "grpc._server"):  # they log each error with its traceback
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        token = "" if self._file else os.environ.get(TOKEN, "")
        with _said(self.place, ", or another process has it open" if self._file else f" (token: {TOKEN})"):
            return MilvusClient(uri, token=token, timeout=_CONNECTING)

    def _call(self, method: str, *args: Any, **options: Any) -> Any:
        with _said(self.place):
            return getattr(self._client, method)(*args, timeout=_ANSWERING, **options)

    def _make(self) -> None:
        from pymilvus import DataType

        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, max_length=64, is_primary=True)
        schema.add_field("file", DataType.VARCHAR, max_length=32)
        schema.add_field("path", DataType.VARCHAR, max_length=65535)
        schema.add_field("frame", DataType.INT64)
        schema.add_field("start", DataType.DOUBLE)
        schema.add_field("end", DataType.DOUBLE)
        schema.add_field("image", DataType.BOOL)
        schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=self.index.embeddings.shape[1])
        exact = self._client.prepare_index_params()
        exact.add_index("embedding", index_type="FLAT", metric_type="IP")
        strong = {"consistency_level": "Strong"}  # what was sent is found
        self._call("create_collection", self.name, schema=schema, index_params=exact, **strong)
        self._mark("")

    def _about(self) -> dict[str, Any] | None:
        """What the collection says of itself; None where there is none."""
        if not self._call("has_collection", self.name):
            return None
        fields = [field["name"] for field in self._call("describe_collection", self.name)["fields"]]
        if sorted(fields) != sorted(_FIELDS):
            raise ClipkitError(f"{self.place}: was not made by clipkit; name another collection with #NAME")
        self._call("load_collection", self.name)
        try:
            about = json.loads(self._call("get", self.name, ids=[_ABOUT], output_fields=["path"])[0]["path"])
            return about if about["format"] == FORMAT else {}
        except (LookupError, TypeError, ValueError):
            return {}

    def _mark(self, rows: str) -> None:
        about = json.dumps({"format": FORMAT, "key": self._key(), "rows": rows})
        empty = {"frame": -1, "start": 0.0, "end": 0.0, "image": True}
        embedding = np.zeros(self.index.embeddings.shape[1], np.float32)
        row = {"id": _ABOUT, "file": _ABOUT, "path": about, **empty, "embedding": embedding}
        self._call("upsert", self.name, [row])
        self._sent = rows

    def _key(self) -> str:
        return _digest(json.dumps(self.index.key, sort_keys=True))


def check_address(address: str) -> tuple[str, str]:
    """`milvus:URI#NAME` -> (URI, NAME or ''); a file's URI has no `://`.

    Raises:
        ClipkitError: it is none, or has a password in it; no pymilvus.
    """
    kind, _, place = address.partition(":")
    if "://" in place and "@" in place:
        raise ClipkitError(f"--store: a user and password do not belong into the address, but into {TOKEN}")
    match = re.fullmatch(r"((?:https?|tcp)://[^/#].*?|(?!.*://).+?\.db)(?:#([A-Za-z_][A-Za-z0-9_]{0,254}))?", place)
    if kind != "milvus" or match is None:
        raise ClipkitError(
            f"--store {shown(address)}: give milvus:FILE.db or milvus:http://HOST:19530, and #NAME after it"
        )
    if find_spec("pymilvus") is None:
        raise ClipkitError("pymilvus is not installed: pip install 'openclipkit[milvus]', or leave out --store")
    return os.path.expanduser(match[1]), match[2] or ""


def condition(paths: str | None, between: tuple[float, float] | None) -> str:
    """Milvus's expression for `SearchIndex.search`'s filters; it may hold for more rows, never for fewer. Of a pattern
    only plain letters, digits and `/ _ . , -` and spaces get into it, all else becomes `%`, which means anything.
    """
    parts = []
    if paths is not None:
        plain, bracket, _ = paths.partition("[")
        parts.append(f'path like "{_ANY.sub("%", plain) + ("%" if bracket else "")}"')
    if between is not None:
        first, last = (repr(max(-_FAR, min(float(second), _FAR))) for second in between)
        shown = f"((start >= {first} and start <= {last}) or (start < {first} and end > {last}))"
        parts.append(f"{shown} and (frame != 0 or end > 0.0) and image == false")
    return " and ".join(parts)


_ANY = re.compile(r"[^A-Za-z0-9/_ .,-]+")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@contextmanager
def _said(place: str, hint: str = "") -> Iterator[None]:
    """What Milvus says is wrong, in one line without the token."""
    from grpc import RpcError
    from pymilvus import MilvusException

    try:
        yield
    except (MilvusException, RpcError, OSError, ValueError) as error:
        said = one_line(error.message if isinstance(error, MilvusException) else error, 300)
        token = os.environ.get(TOKEN)
        raise ClipkitError(f"{place}: {said.replace(token, '…') if token else said}{hint}") from None
