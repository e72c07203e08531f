"""Rows: stores, what lies in them, and indexes. All have checksums."""

import hashlib
import hmac
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from clipkit.data.video_sets import CaptionedVideo
from clipkit.embed import frame_store, region_store
from clipkit.errors import ClipkitError, one_line
from clipkit.search import approximate
from clipkit.search.embedded import embedded_records, made_by_of, open_embedded
from clipkit.search.index import SearchIndex
from clipkit.search.model import about_index, index_key
from clipkit.search.records import record_id
from clipkit.store import Store
from clipkit.text import TextBank
from fuzz.table import Reader

try:
    import faiss
except ModuleNotFoundError:
    faiss = None


def _write(folder: Path, key: dict[str, Any], records: dict[str, dict[str, np.ndarray]], **sizes: int) -> None:
    Store(folder, key, **sizes).build(records, lambda ids: [records[name] for name in ids], progress=False)


def _numbers(rows: int, width: int, start: float = 1.0) -> np.ndarray:
    return np.sin(np.arange(rows * width, dtype=np.float32) + start).reshape(rows, width)


def _stores(root: Path) -> None:
    ragged = {f"a/{i}.jpg": {"x": _numbers(i % 3, 4), "n": np.arange(i % 3)} for i in range(7)}
    _write(root / "ragged/store", {"kind": "test", "nested": {"a": [1, None]}}, ragged, shard_size=3, batch_size=2)
    flat = {"all": {"data": _numbers(50, 8).astype(np.float16)}}
    _write(root / "flat/store", {"kind": "flat"}, flat)


def _read_store(folder: Path) -> Any:
    store = Store(folder / "store")
    store.verify()
    return [(name, store.count(name), store[name]) for name in store]


def _regions(root: Path) -> None:
    boxes = np.array([[0, 0, 8, 9], [3.5, 2, 90, 60.25]])
    for kind in region_store.DTYPES:
        packed = region_store.pack(boxes, np.array([0.9, 0.5]), _numbers(2, 8), kind)
        records = {region_store.record_id(f"a/{i}.jpg", "0" * 64): packed for i in range(3)}
        _write(root / kind / "store", {"kind": "regions", "format": region_store.FORMAT, "dtype": kind}, records)


def _read_regions(folder: Path) -> Any:
    store = region_store.TeacherStore(folder / "store")
    return [(name, _or_missing(store.__getitem__, name)) for name in store]


def _frames(root: Path) -> None:
    film = root / ".media/a.mp4"
    film.parent.mkdir()
    film.write_bytes(b"film")
    video = CaptionedVideo("a", film, ("a cat", "a dog"), None)
    record = {"embeddings": _numbers(3, 8).astype(np.float16), "timestamps": np.arange(3.0)}
    _write(root / "film/frames", {"kind": "frames", "format": 1}, {frame_store.record_id(video): record})
    rows = {
        frame_store.caption_id(text): {"embeddings": _numbers(1, 8, i).astype(np.float16)}
        for i, text in enumerate(video.captions)
    }
    _write(root / "film/captions", {"kind": "captions"}, rows)


def _read_frames(folder: Path) -> Any:
    store = frame_store.FrameStore(folder)
    read = [(name, store[name], store.count(name)) for name in store]
    read += [(text, _or_missing(store.caption, text)) for text in ("a cat", "a dog")]
    return read


def _or_missing(read: Callable[[str], Any], name: str) -> Any:
    """A store says with a KeyError, in words, that it does not have something."""
    try:
        return read(name)
    except KeyError as error:
        if any(words in str(error) for words in ("is not in", "no sentences", "is planned in")):
            raise ClipkitError(one_line(error)) from None
        raise


def _indexes(root: Path) -> None:
    records = {}
    for number in range(4):
        file = root / f".media/{number}.mp4"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"film")
        start = np.arange(5.0)
        about = {"frame": np.arange(5), "start": start, "end": start + 1}
        records[record_id(file)] = {"embeddings": _numbers(5, 8, number).astype(np.float16), **about}
    made_by = {"weights": "0" * 64, "preprocessing": {"size": [8, 8]}, "precision": "fp32"}
    for name in ("new", "used"):  # the second has the matrix that the first search makes
        _write(root / name / "frames", index_key(made_by, 2.0), records, shard_size=2)
        (root / name / "model.json").write_text(json.dumps({"clip": "tiny_clip", "pretrained": None}))
    SearchIndex(root / "used")


def _search(folder: Path) -> Any:
    about_index(folder)
    index = SearchIndex(folder)
    return len(index), index.search(_numbers(1, 8, 2)[0], 3)


def _embedded(root: Path) -> None:
    made_by = {"weights": "0" * 64, "preprocessing": {"size": [8, 8]}, "precision": "fp32"}
    key = {"kind": "embeddings", **made_by, "sampling": {"fps": 1.0}, "wanted": "pictures"}
    names = np.frombuffer(b"a.jpgb.mp4b.mp4c.jpg", np.uint8).reshape(4, 5)
    arrays = {"name": names, "time": np.array([np.nan, 0, 1, np.nan]), "embeddings": _numbers(4, 8).astype(np.float16)}
    parts = {f"/photos/{kind}@0123456789abcdef": arrays for kind in ("t.tar", "#a.jpg", "l.csv#9", "p.parquet#0")}
    _write(root / "all/embeddings", key, parts, shard_size=1)


def _take(folder: Path) -> Any:
    found = open_embedded(folder)
    return index_key(*made_by_of(found)), list(embedded_records(found))


_KEY = bytes(range(32))  # of the user whose clipkit compressed the index


def _compressed(root: Path) -> None:
    rows = _numbers(40, 8)
    with patch.object(approximate, "_own_key", lambda: _KEY):
        approximate.build(root / "flat/approximate", rows / np.linalg.norm(rows, axis=1, keepdims=True), "Flat", "x")
        shutil.copytree(root / "flat", root / "parts")
        approximate.build(root / "parts/approximate", rows, "HNSW4", "x", shard=25)


def _open_compressed(folder: Path) -> Any:
    """FAISS gets no file that the user has not signed."""
    read_index = faiss.read_index

    def read_signed(name: str, flags: int) -> Any:
        file = Path(name)
        made = json.loads((file.parent / "index.json").read_bytes())
        assert made["signature"] == hmac.new(_KEY, made["made"].encode(), "sha256").hexdigest()
        assert hashlib.sha256(file.read_bytes()).hexdigest() == json.loads(made["made"])["sha256"][file.name]
        return read_index(name, flags)

    with patch.object(approximate, "_own_key", lambda: _KEY), patch.object(faiss, "read_index", read_signed):
        found = approximate.Approximate(folder / "approximate", _numbers(40, 8), "x")
    return found.factory, found.setting, found.search(_numbers(1, 8, 2)[0], 3)


class _Words:
    """What `TextBank` needs of a CLIP."""

    weights_hash, embed_dim, context_length = "0" * 64, 4, 77

    def tokenize(self, texts: list[str]) -> torch.Tensor:
        return torch.tensor([[len(text)] for text in texts])

    def encode_text(self, texts: list[str], normalize: bool = True) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.tensor([[len(t), ord(t[0]), ord(t[-1]), 1.0] for t in texts]), dim=1)


def _texts(root: Path) -> None:
    _encode(root / "bank")


def _encode(folder: Path) -> Any:
    return TextBank(_Words(), folder, progress=False).encode(["cat", "a dog"]).matrix


READERS = [
    Reader("stores", _stores, _read_store, checked=("*",), share=2),
    Reader("stores of regions", _regions, _read_regions, checked=("*",)),
    Reader("stores of frames", _frames, _read_frames, checked=("*",)),
    Reader("indexes", _indexes, _search, checked=("*",), share=2),
    Reader("embeddings for an index", _embedded, _take, checked=("*",)),
    Reader("rows of texts", _texts, _encode, checked=("*",)),
]
if faiss is not None:
    READERS.append(Reader("compressed indexes", _compressed, _open_compressed, checked=("*",)))
