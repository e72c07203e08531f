"""Records of region embeddings: how exact, how small, and what is refused."""

import json
import multiprocessing
import pickle

import numpy as np
import pytest

from clipkit.embed.region_store import TeacherStore, pack, pack_boxes, record_id, unpack, unpack_boxes
from clipkit.store import Store, StoreError
from support.store_readers import put_sum

KEY = {"kind": "regions", "weights": "abc", "crops": {"scales": [1.0, 1.5]}}


def unit(rows, dim, seed=0):
    """Like CLIP's: most of the length spread, some in a few large entries."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((rows, dim)).astype(np.float32)
    values[:, :3] *= 8
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def boxes_in(width, height, rows, seed=0):
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.random((rows, 2)) * width, 1), np.sort(rng.random((rows, 2)) * height, 1)
    return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1)


def fill(folder, images=3, rows=300, dim=512, dtype="fp16", **sizes):
    names = [f"train/{n:012d}.jpg" for n in range(images)]
    records = {
        record_id(name, "0123456789abcdef"): pack(
            boxes_in(1333, 800, rows, n), np.linspace(1, 0.01, rows), unit(rows, dim, n), dtype
        )
        for n, name in enumerate(names)
    }
    store = Store(folder, {**KEY, "dtype": dtype}, **{"shard_size": 32, "batch_size": 16, **sizes})
    store.build(records, lambda ids: [records[i] for i in ids], progress=False)
    return names


@pytest.mark.parametrize(("side", "bar"), [(100, 0.001), (640, 0.008), (1333, 0.016), (6000, 0.07), (100000, 1)])
def test_boxes_come_back_within_a_fraction_of_a_pixel(side, bar):
    boxes = np.concatenate([boxes_in(side, side, 2000), [[0, 0, side, side]]])
    error = np.abs(unpack_boxes(pack_boxes(boxes)) - boxes).max()
    assert error <= bar
    again = pack_boxes(unpack_boxes(pack_boxes(boxes)))
    np.testing.assert_array_equal(again["boxes"], pack_boxes(boxes)["boxes"])  # what is stored is stored exactly


def test_whole_pixels_are_exact():
    boxes = np.floor(boxes_in(2047, 2047, 500))
    np.testing.assert_array_equal(unpack_boxes(pack_boxes(boxes)), boxes)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_boxes_outside_are_refused(bad):
    with pytest.raises(ValueError, match="clip them first"):
        pack_boxes(np.array([[bad, 0, 1, 1]]))


@pytest.mark.parametrize(("dtype", "bar"), [("fp16", 0.999999), ("int8", 0.999)])
def test_embeddings_keep_their_direction_and_length(dtype, bar):
    rows = unit(500, 512)
    found = unpack(pack(boxes_in(9, 9, 500), np.ones(500), rows, dtype)).embeddings
    lengths = np.linalg.norm(found, axis=1)
    assert ((found * rows).sum(1) / lengths).min() >= bar
    np.testing.assert_allclose(lengths, 1, atol=2e-3 if dtype == "fp16" else 1e-5)
    assert found.dtype == np.float32


@pytest.mark.parametrize("dtype", ["fp16", "int8"])
def test_no_regions_and_zero_rows(dtype):
    none = unpack(pack(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 8)), dtype))
    assert [a.shape for a in none] == [(0, 4), (0,), (0, 8)]
    zero = unpack(pack(np.zeros((1, 4)), np.zeros(1), np.zeros((1, 8)), dtype))
    assert not zero.embeddings.any()
    with pytest.raises(ValueError, match="dtype is one of fp16, int8"):
        pack(np.zeros((1, 4)), np.zeros(1), np.zeros((1, 8)), "fp8")


@pytest.mark.parametrize(("dtype", "share"), [("fp16", 0.02), ("int8", 0.04)])
@pytest.mark.parametrize("rows", [32, 300])
def test_everything_but_the_embeddings_is_a_small_share_of_the_bytes(tmp_path, dtype, share, rows):
    fill(tmp_path, 64, rows, 512, dtype)
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    embeddings = 64 * rows * 512 * {"fp16": 2, "int8": 1}[dtype]
    assert (total - embeddings) / total <= share


def test_reading_by_path_or_name(tmp_path):
    names = fill(tmp_path, rows=7, dim=16)
    store = TeacherStore(tmp_path, {"weights": "abc", "crops.scales": (1.0, 1.5)})
    assert list(store) == names and len(store) == 3 and store.key["dtype"] == "fp16"
    found = store[f"/data/coco/{names[1]}"]
    np.testing.assert_allclose(found.boxes, boxes_in(1333, 800, 7, 1), atol=1 / 64)
    np.testing.assert_allclose(found.scores, np.linspace(1, 0.01, 7), rtol=1e-3)
    np.testing.assert_allclose(found.embeddings, unit(7, 16, 1), atol=1e-3)
    assert names[0] in store and "000000000000.jpg" not in store
    with pytest.raises(KeyError, match=r"other\.jpg is not in the teacher store .*: run `clipkit precompute`"):
        store["other.jpg"]


def test_a_store_of_something_else_is_refused_and_the_difference_named(tmp_path):
    fill(tmp_path / "a", 1, 2, 8)
    with pytest.raises(StoreError, match="weights is 'abc' in the store and 'xyz' here"):
        TeacherStore(tmp_path / "a", {"weights": "xyz"})
    with pytest.raises(StoreError, match=r"crops\.scales is \[1\.0, 1\.5\] in the store and \[1\.0\] here"):
        TeacherStore(tmp_path / "a", {"weights": "abc", "crops.scales": [1.0]})
    with pytest.raises(StoreError, match="precision is None in the store and 'bf16' here"):
        TeacherStore(tmp_path / "a", {"precision": "bf16"})
    Store(tmp_path / "text", {"kind": "text"})
    with pytest.raises(StoreError, match="holds 'text', not the regions of a teacher"):
        TeacherStore(tmp_path / "text")
    with pytest.raises(FileNotFoundError, match="no store here"):
        TeacherStore(tmp_path / "absent")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_open_it_themselves(tmp_path, method):
    names = fill(tmp_path, rows=5, dim=8)
    store = TeacherStore(tmp_path)
    expected = float(sum(store[name].embeddings.sum() for name in names))
    store._store._guard.acquire()  # a thread of the parent is reading just now
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    workers = [context.Process(target=put_sum, args=(store, names, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = [queue.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert len({pid for pid, _ in found}) == 3
    assert [value for _, value in found] == [expected] * 3
    assert "_store" not in pickle.loads(pickle.dumps(store)).__dict__


def test_a_damaged_record_is_named(tmp_path):
    names = fill(tmp_path, 1, 50, 64)
    path = tmp_path / "shard-000000.safetensors"
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"shard-000000\.safetensors: has damaged bytes"):
        TeacherStore(tmp_path)[names[0]]
    assert json.loads((tmp_path / "store.json").read_text())["key"]["kind"] == "regions"
