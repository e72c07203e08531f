"""Records of a store by formula, and one of several processes that fill it."""

import time
import zlib

import numpy as np

from clipkit.store import Store

KEY = {"weights": "abc", "crop": {"scales": [1, 1.5], "resample": "bicubic"}}


def record(identifier: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(zlib.crc32(identifier.encode()))
    rows = int(rng.integers(0, 6))
    return {
        "data": rng.random((rows, 8)).astype(np.float16),
        "boxes": rng.random((rows, 4), dtype=np.float32),
        "label": rng.integers(0, 9, rows),
        "crowd": rng.random(rows) > 0.5,
    }


def compute(ids: list[str]) -> list[dict[str, np.ndarray]]:
    return [record(identifier) for identifier in ids]


def names(count: int, start: int = 0) -> list[str]:
    return [f"images/{i:03d}.jpg" for i in range(start, start + count)]


def build_as_rank(folder, rank, world, log):
    def slow(ids):
        with open(log, "a") as file:
            file.write(f"{rank} {ids[0]}\n")
        time.sleep(0.02)
        return compute(ids)

    store = Store(folder, KEY, shard_size=4, batch_size=4)
    store.build(names(40), slow, rank=rank, world_size=world, progress=False)
    assert len(store) == 40
