import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from safetensors.numpy import load_file

from clipkit.store import Store, StoreError, hash_files
from support.store_ranks import KEY, build_as_rank, compute, names, record


def tree(folder) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def fill(folder, count=10, **sizes) -> Store:
    store = Store(folder, KEY, **{"shard_size": 4, "batch_size": 3, **sizes})
    store.build(names(count), compute, progress=False)
    return store


def test_ragged_records_come_back_as_they_were(tmp_path):
    store = fill(tmp_path)
    assert len(store) == 10 and list(store) == names(10) and store.verify() == 10
    lengths = set()
    for identifier in names(10):
        for name, array in record(identifier).items():
            found = store[identifier][name]
            assert found.dtype == array.dtype
            np.testing.assert_array_equal(found, array)
        assert store.count(identifier) == len(array)
        lengths.add(len(array))
    assert {0, 5} <= lengths, "the example should have empty and full records"
    assert not store[names(1)[0]]["data"].flags.writeable


def test_read_concatenates_in_the_order_asked(tmp_path):
    store = fill(tmp_path)
    ids = names(10)[::-3]
    rows, offsets = store.read(ids, "boxes")
    np.testing.assert_array_equal(rows, np.concatenate([record(i)["boxes"] for i in ids]))
    assert offsets.tolist() == np.cumsum([0] + [len(record(i)["boxes"]) for i in ids]).tolist()


def test_a_bare_matrix_is_stored_as_data(tmp_path):
    store = Store(tmp_path, KEY)
    store.build(["a", "b"], lambda ids: np.arange(len(ids) * 6.0).reshape(len(ids), 2, 3), progress=False)
    np.testing.assert_array_equal(store["b"]["data"], np.arange(6.0, 12).reshape(2, 3))


def test_shards_are_valid_safetensors_and_depend_on_content_alone(tmp_path):
    first, second = fill(tmp_path / "1"), fill(tmp_path / "2", batch_size=3)
    assert tree(first.folder) == tree(second.folder)
    arrays = load_file(tmp_path / "1" / "shard-000001.safetensors")
    np.testing.assert_array_equal(arrays["data"], first.read(names(4, 4))[0])
    assert arrays["index.offsets"].tolist() == first.read(names(4, 4))[1].tolist()


def test_batches_are_bounded_and_never_cross_a_shard(tmp_path):
    calls = []

    def spy(ids):
        calls.append(ids)
        return compute(ids)

    store = Store(tmp_path, KEY, shard_size=4, batch_size=3)
    assert store.build(names(10), spy, progress=False) == 10
    assert [len(c) for c in calls] == [3, 1, 3, 1, 2]
    assert [identifier for call in calls for identifier in call] == names(10)
    assert store.build(names(10), spy, progress=False) == 0 and len(calls) == 5


def test_the_next_batch_is_announced_also_across_shards(tmp_path):
    told, computed = [], []
    Store(tmp_path, KEY, shard_size=4, batch_size=3).build(
        names(10), lambda ids: computed.append(ids) or compute(ids), ahead=told.append, progress=False
    )
    assert [len(c) for c in computed] == [3, 1, 3, 1, 2]
    assert told == [[*batch, *after] for batch, after in zip(computed, [*computed[1:], []])]


def test_append_keeps_what_is_there(tmp_path):
    store = fill(tmp_path, 6)
    before = tree(tmp_path)
    asked = []
    store.build(names(8), lambda ids: asked.extend(ids) or compute(ids), progress=False)
    assert asked == names(2, 6)
    after = tree(tmp_path)
    assert {name: after[name] for name in before} == before
    assert list(store) == names(8) == list(Store(tmp_path))


def test_a_failed_compute_leaves_complete_shards_only_and_is_continued(tmp_path):
    def failing(ids):
        if names(10)[5] in ids:
            raise RuntimeError("no such image")
        return compute(ids)

    store = Store(tmp_path, KEY, shard_size=4, batch_size=4)
    with pytest.raises(RuntimeError, match="no such image"):
        store.build(names(10), failing, progress=False)
    assert sorted(tree(tmp_path)) == ["part-0000.json", "shard-000000.safetensors", "store.json"]
    assert names(1)[0] in store and names(10)[5] not in store and len(store) == 4
    with pytest.raises(KeyError, match=r"planned .* not computed"):
        store[names(10)[5]]
    # Another call that shares one id with the unfinished shard finishes that shard whole, and no other.
    store.build(names(2, 5), compute, progress=False)
    assert list(store) == names(8)
    store.build(names(10), compute, progress=False)
    assert tree(tmp_path) == tree(fill(tmp_path.parent / "other", batch_size=4).folder)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"weights": "xyz"}, 'weights is "abc" in the store and "xyz" here'),
        ({"crop": {"scales": [1], "resample": "bicubic"}}, "crop.scales is [1, 1.5] in the store and [1] here"),
        ({"boxes": "rpn"}, 'boxes is absent in the store and "rpn" here'),
    ],
)
def test_another_key_is_refused_and_the_field_named(tmp_path, change, line):
    fill(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(StoreError) as caught:
        Store(tmp_path, {**KEY, **change})
    assert line in str(caught.value) and str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == before


def test_tuple_and_list_are_the_same_key_and_other_things_no_key(tmp_path):
    Store(tmp_path / "1", {"scales": (1, 2)})
    Store(tmp_path / "1", {"scales": [1, 2]})
    with pytest.raises(StoreError, match="plain JSON"):
        Store(tmp_path / "2", {"scales": {1, 2}})
    with pytest.raises(StoreError, match="plain JSON"):
        Store(tmp_path / "2", {"scale": float("nan")})


def test_other_sizes_and_formats_are_refused(tmp_path):
    fill(tmp_path)
    with pytest.raises(StoreError, match="shard_size is 4 in the store and 5 here"):
        Store(tmp_path, KEY, shard_size=5)
    with pytest.raises(StoreError, match="batch_size must be at least 1"):
        Store(tmp_path, KEY, batch_size=0)
    assert Store(tmp_path).shard_size == 4
    content = json.loads((tmp_path / "store.json").read_text())
    (tmp_path / "store.json").write_text(json.dumps({**content, "format": 2}))
    with pytest.raises(StoreError, match="format 2"):
        Store(tmp_path, KEY)


def test_folders_that_are_no_store(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no store here \(no store.json\)"):
        Store(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match=r"holds 'thesis.tex' but no store\.json"):
        Store(tmp_path, KEY)
    with pytest.raises(StoreError, match="is a file"):
        Store(tmp_path / "thesis.tex", KEY)


def test_any_flipped_byte_and_any_cut_is_found_and_named(tmp_path):
    fill(tmp_path, 4)
    path = tmp_path / "shard-000000.safetensors"
    good = path.read_bytes()
    size = 8 + int.from_bytes(good[:8], "little")
    for position in [*range(0, size, 3), *range(size, len(good), 11)]:
        bad = bytearray(good)
        bad[position] ^= 0x10
        path.write_bytes(bad)
        try:
            Store(tmp_path).verify()
        except StoreError as error:
            assert "shard-000000.safetensors" in str(error) and "\n" not in str(error)
        else:
            raise AssertionError(f"byte {position} of {len(good)} may change unseen")
    for length in (0, 5, 8, 60, size, size + 20, len(good) - 1):
        path.write_bytes(good[:length])
        with pytest.raises(StoreError, match="shard-000000"):
            Store(tmp_path).verify()
    path.write_bytes(good + b"\0")
    with pytest.raises(StoreError, match="expected"):
        Store(tmp_path).verify()


def test_build_refuses_a_cut_shard_and_redoes_it_when_deleted(tmp_path):
    fill(tmp_path)
    whole = tree(tmp_path)
    path = tmp_path / "shard-000001.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(StoreError, match="delete this file and build again"):
        fill(tmp_path)
    path.unlink()
    assert Store(tmp_path, KEY).build(names(10), compute, progress=False) == 4
    assert tree(tmp_path) == whole


def test_a_shard_of_another_store_is_refused(tmp_path):
    fill(tmp_path / "1")
    other = Store(tmp_path / "2", {"weights": "xyz"}, shard_size=4, batch_size=3)
    other.build(names(10), compute, progress=False)
    os.replace(tmp_path / "2" / "shard-000000.safetensors", tmp_path / "1" / "shard-000000.safetensors")
    with pytest.raises(StoreError, match="belongs to another store"):
        Store(tmp_path / "1")[names(1)[0]]


def test_damaged_json_is_named(tmp_path):
    fill(tmp_path)
    (tmp_path / "part-0000.json").write_text('{"ids": [')
    with pytest.raises(StoreError, match=r"part-0000\.json: is damaged"):
        Store(tmp_path)
    (tmp_path / "store.json").write_bytes(b"\xff\x00")
    with pytest.raises(StoreError, match=r"store\.json: is damaged"):
        Store(tmp_path)


def test_bad_records_and_ids_are_named(tmp_path):
    store = Store(tmp_path, KEY)

    def build(result, ids=("a", "b")):
        store.build(ids, lambda _: result, progress=False)

    with pytest.raises(ValueError, match="id 'a' is given twice"):
        build([], ["a", "b", "a"])
    with pytest.raises(ValueError, match="ids must be strings, got 3"):
        build([], [3])
    with pytest.raises(ValueError, match="returned 1 records for 2 ids"):
        build([np.zeros((1, 2))])
    with pytest.raises(ValueError, match=r"'a' has shape \(2,\), expected \(M, D\)"):
        build([np.zeros(2), np.zeros(2)])
    with pytest.raises(ValueError, match=r"record 'b' has .* record 'a' has"):
        build([np.zeros((1, 2)), np.zeros((1, 3))])
    with pytest.raises(ValueError, match="equally many rows"):
        build([{"x": np.zeros(2), "y": np.zeros(3)}] * 2)
    with pytest.raises(ValueError, match="object"):
        build([{"x": np.array([None])}] * 2)
    with pytest.raises(ValueError, match="cannot be an array's name"):
        build([{"index.x": np.zeros(2)}] * 2)
    assert len(store) == 0 and not list(tmp_path.glob("*.tmp"))


def test_ranks_share_the_work_and_nothing_is_done_twice(tmp_path):
    context = multiprocessing.get_context("spawn")
    log = tmp_path / "log"
    processes = [context.Process(target=build_as_rank, args=(tmp_path / "s", rank, 3, log)) for rank in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    starts = [line.split(" ", 1)[1] for line in log.read_text().splitlines()]
    assert sorted(starts) == names(40)[::4]
    alone = Store(tmp_path / "alone", KEY, shard_size=4, batch_size=4)
    alone.build(names(40), compute, progress=False)
    assert tree(tmp_path / "s") == tree(tmp_path / "alone")


def test_a_rank_starts_with_its_own_shards_and_helps_with_the_rest(tmp_path):
    order = []
    store = Store(tmp_path, KEY, shard_size=1)
    store.build(names(7), lambda ids: order.extend(ids) or compute(ids), rank=1, world_size=3, progress=False)
    assert order == [names(7)[i] for i in (1, 4, 0, 2, 3, 5, 6)]


def test_threads_that_append_different_ids_at_once_lose_nothing(tmp_path):
    Store(tmp_path, KEY, shard_size=2)
    errors = []

    def add(start):
        try:
            Store(tmp_path, KEY).build(names(5, start), compute, progress=False)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=add, args=(5 * i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(Store(tmp_path)) == names(30) and Store(tmp_path).verify() == 30


def test_a_reader_sees_what_others_add_and_can_be_pickled(tmp_path):
    writer = fill(tmp_path, 4)
    reader = pickle.loads(pickle.dumps(Store(tmp_path)))
    writer.build(names(6), compute, progress=False)
    np.testing.assert_array_equal(reader[names(6)[5]]["data"], record(names(6)[5])["data"])
    with pytest.raises(KeyError, match="is not in"):
        reader["nobody"]


def test_many_readers_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("clipkit.store.store._OPEN_SHARDS", 3)
    store = fill(tmp_path, 60, shard_size=2)
    errors = []

    def scan(seed):
        for i in np.random.default_rng(seed).permutation(60):
            identifier = names(60)[i]
            if not np.array_equal(store[identifier]["data"], record(identifier)["data"]):
                errors.append(identifier)

    threads = [threading.Thread(target=scan, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(store._maps) <= 3


def test_importing_the_store_loads_no_torch():
    code = "import sys, clipkit.store; print([m for m in ('torch', 'open_clip', 'tqdm') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_hash_files_depends_on_content_name_and_order(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    one = hash_files([tmp_path / "a", tmp_path / "b"])
    assert one == hash_files([str(tmp_path / "a"), tmp_path / "b"])
    assert one != hash_files([tmp_path / "b", tmp_path / "a"])
    (tmp_path / "b").write_bytes(b"3")
    assert one != hash_files([tmp_path / "a", tmp_path / "b"])


def test_litter_of_killed_runs_is_swept_but_not_what_a_living_process_claims(tmp_path):
    from clipkit.store._files import claim

    (tmp_path / "shard-000090.safetensors.tmp").write_bytes(b"half")
    Store(tmp_path / "s", KEY, shard_size=4)
    os.replace(tmp_path / "shard-000090.safetensors.tmp", tmp_path / "s" / "shard-000090.safetensors.tmp")
    with claim(tmp_path / "s" / "shard-000091.safetensors") as fd:
        assert fd is not None
        fill(tmp_path / "s", batch_size=None)
        assert [p.name for p in (tmp_path / "s").glob("*.tmp")] == ["shard-000091.safetensors.tmp"]
        with claim(tmp_path / "s" / "shard-000091.safetensors") as second:
            assert second is None
    assert not list((tmp_path / "s").glob("*.tmp"))
