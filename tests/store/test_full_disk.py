import errno
import gc
import os
import subprocess
import sys

import numpy as np
import pytest

from clipkit.store import Store, StoreError

IDS = [f"{i}" for i in range(12)]


def compute(ids):
    return [np.full((40, 64), float(i), dtype=np.float32) for i in ids]  # 10 KiB a record


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("where", ["write", "fsync", "open"])
def test_a_full_disk_stops_with_a_line_and_loses_nothing(tmp_path, monkeypatch, where):
    store = Store(tmp_path / "s", {"a": 1}, shard_size=3)
    store.build(IDS[:6], compute, progress=False)
    before = {p.name: p.read_bytes() for p in store.folder.iterdir()}
    full = OSError(errno.ENOSPC, "No space left on device")
    real, calls = getattr(os, where), []

    def fail(*args):
        if where == "open" and not str(args[0]).endswith("shard-000002.safetensors.tmp"):
            return real(*args)
        calls.append(args)
        if where == "write" and len(calls) == 4:  # part file, then the shard's length, header and half of an array
            return real(args[0], args[1][:100])
        if where == "open" or len(calls) > (4 if where == "write" else 2):
            raise full
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, where, fail)
        with pytest.raises(StoreError) as caught:
            store.build(IDS, compute, progress=False)
    line = str(caught.value)
    assert "shard-000002.safetensors: the disk is full" in line and "run the same command again" in line
    assert "\n" not in line
    if where != "open":
        assert "2 of 4 shards are complete and stay" in line
    now = {p.name: p.read_bytes() for p in store.folder.iterdir()}
    assert {name: now[name] for name in before} == before
    assert sorted(now) == sorted([*before, "part-0001.json"])

    store.build(IDS, compute, progress=False)
    assert store.verify() == 12 and not list(store.folder.glob("*.tmp"))


def test_a_real_full_disk(tmp_path):
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root on Linux; the simulated full disk above ran")
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(mount)], capture_output=True)
    if done.returncode:
        pytest.skip(f"this machine does not allow mounting: {done.stderr.decode().strip()}")
    try:
        store = Store(mount, {"a": 1}, shard_size=3)
        with pytest.raises(StoreError, match=r"shard-00000\d\.safetensors: the disk is full") as caught:
            store.build(IDS, compute, progress=False)
        assert "2 of 4 shards are complete and stay" in str(caught.value)
        assert names(mount) == ["part-0000.json", "shard-000000.safetensors", "shard-000001.safetensors", "store.json"]
        assert store.verify() == 6
        subprocess.run(["mount", "-o", "remount,size=1m", str(mount)], check=True)
        assert store.build(IDS, compute, progress=False) == 6
        assert Store(mount).verify() == 12
    finally:
        # Maps keep the disk busy, and the caught error keeps its frames.
        store = caught = None
        gc.collect()
        subprocess.run(["umount", str(mount)], check=True)


def test_a_folder_without_write_permission_is_said_in_a_line(tmp_path, monkeypatch):
    def refuse(path, *args):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match=r"cannot be written \(Permission denied\)"):
        Store(tmp_path, {"a": 1})
