"""Kills builders of a store at random moments; run as a script, prints one JSON line a trial. Needs numpy only, so that
a worker is a fork of a few milliseconds."""

import json
import os
import random
import signal
import sys
import time
import zlib
from pathlib import Path

import numpy as np

from clipkit.store import Store

IDS = [f"image {i:03d}" for i in range(45)]
SHARDS = 15


def compute(ids: list[str], log: Path) -> list[dict[str, np.ndarray]]:
    with log.open("ab", buffering=0) as file:
        file.write(f"{ids[0]}\n".encode())  # one shard is one call here; short appends are atomic
    time.sleep(0.004)
    out = []
    for identifier in ids:
        rng = np.random.default_rng(zlib.crc32(identifier.encode()))
        rows = int(rng.integers(0, 40))
        out.append(
            {"boxes": rng.random((rows, 4), dtype=np.float32), "data": rng.random((rows, 64)).astype(np.float16)}
        )
    return out


def slow_write(fd: int, data: memoryview) -> int:
    """Writes a piece, so that a kill finds half-written files."""
    time.sleep(0.001)
    return system_write(fd, data[:2048])


system_write = os.write


def work(folder: Path, log: Path, rank: int, world: int) -> None:
    os.write = slow_write
    for stop in (30, 45):  # the second call appends
        store = Store(folder, {"weights": "abc"}, shard_size=3, batch_size=3)
        store.build(IDS[:stop], lambda ids: compute(ids, log), rank=rank, world_size=world, progress=False)


def start(folder: Path, log: Path, world: int) -> list[int]:
    pids = []
    for rank in range(world):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work(folder, log, rank, world)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    return pids


def wait(pids: list[int]) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def main(root: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    compute(IDS[:3], root / "warm.log")  # numpy's own late imports, before the forks
    for world in (1, 2, 3, 4):
        assert wait(start(root / f"whole-{world}", root / "whole.log", world)) == [0] * world
        assert tree(root / f"whole-{world}") == tree(root / "whole-1")
    expected = tree(root / "whole-1")
    for trial in range(kills):
        world = trial % 4 + 1
        folder, log = root / f"store-{trial}", root / f"{trial}.log"
        pids = start(folder, log, world)
        # A random moment of a random shard; waiting for progress keeps the kills in the run on a slow machine too.
        target = rng.randrange(SHARDS)
        while len(list(folder.glob("shard-*.safetensors"))) < target:
            time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.02))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait(pids)
        left = SHARDS - len(list(folder.glob("shard-*.safetensors")))
        codes = wait(start(folder, log, world))
        starts = log.read_text().split("\n")[:-1]
        redone = [starts.count(first) - 1 for first in set(starts)]
        result = {
            "processes": world,
            "left": left,
            "codes": codes,
            "redone": sum(redone),
            "identical": tree(folder) == expected,
        }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
