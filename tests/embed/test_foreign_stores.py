"""Stores that somebody else wrote, every checksum of them right: what is not what their readers expect is one line."""

import numpy as np
import pytest

from clipkit.embed.frame_store import FrameStore, caption_id
from clipkit.embed.region_store import TeacherStore, pack
from clipkit.store import Store, StoreError


def write(folder, key, record, identifier="a@0123456789abcdef"):
    Store(folder, key).build([identifier], lambda ids: [record for _ in ids], progress=False)
    return folder


REGIONS = pack(np.array([[0, 0, 8, 9.0]]), np.array([0.5]), np.ones((1, 4)))


@pytest.mark.parametrize(
    "change",
    [
        {"embeddings": None}, {"boxes": None}, {"scores": None}, {"boxes": np.zeros((1, 3), np.uint16)},
        {"embeddings": np.zeros(1, np.float16)}, {"exponent": np.zeros((1, 2), np.int8)}, {"scale": np.zeros((1, 3))},
    ],
)  # fmt: skip
def test_regions(tmp_path, change):
    record = {name: column for name, column in {**REGIONS, **change}.items() if column is not None}
    store = TeacherStore(write(tmp_path / "s", {"kind": "regions"}, record))
    with pytest.raises(StoreError, match="its records are not those of a teacher"):
        store["a"]


FRAMES = {"embeddings": np.ones((2, 4), np.float16), "timestamps": np.zeros(2)}


@pytest.mark.parametrize(
    "change", [{"embeddings": None}, {"timestamps": None}, {"embeddings": np.ones(2)}, {"timestamps": np.ones(2, bool)}]
)
def test_frames(tmp_path, change):
    record = {name: column for name, column in {**FRAMES, **change}.items() if column is not None}
    write(tmp_path / "frames", {"kind": "frames"}, record)
    with pytest.raises(StoreError, match=rf"frames: holds no {next(iter(change))}"):
        FrameStore(tmp_path)["a"]


def test_sentences(tmp_path):
    write(tmp_path / "frames", {"kind": "frames"}, FRAMES)
    key, identifier = {"kind": "captions"}, caption_id("a cat")
    write(tmp_path / "captions", key, {"embeddings": np.zeros((0, 4), np.float16)}, identifier)
    with pytest.raises(StoreError, match="holds a sentence without rows"):
        FrameStore(tmp_path).caption("a cat")


def test_rows_that_differ(tmp_path):
    store = Store(tmp_path, {"k": 1}, shard_size=1)
    rows = {"a": np.ones((1, 4)), "b": np.ones((1, 5)), "c": np.ones((1, 4), np.float32)}
    store.build(rows, lambda ids: [rows[name] for name in ids], progress=False)
    assert store.read(["a", "a"])[0].shape == (2, 4)
    for ids, name in ((["a", "b"], "data"), (["a", "c"], "data"), (["a"], "embeddings")):
        with pytest.raises(StoreError, match=f"its records differ, or hold no '{name}'"):
            store.read(ids, name)
