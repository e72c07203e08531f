"""Reading one image's 300 region embeddings from a teacher store: `python benchmarks/teacher_store.py`.

Against the files of the PyTorch originals, one array an image, read by `torch.load`. Both are warm (in the page cache)
and give float32. A measurement reads every image once, not in order. Aim: less than 2 ms an image.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _timing import Report, Spread, interleaved, parser, ratio, start

from clipkit.embed.region_store import TeacherStore, pack, record_id
from clipkit.store import Store


def fill(folder: Path, args: argparse.Namespace, dtype: str) -> list[str]:
    """A store, and beside it the same as one file an image; returns the images' names."""
    rng = np.random.default_rng(0)
    names, records = [], {}
    for n in range(args.images):
        rows = rng.standard_normal((args.boxes, 512)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        corners = np.sort(rng.random((2, args.boxes, 2)) * 600, 0)
        boxes = np.concatenate([corners[0], corners[1]], 1)
        names.append(f"{n:06d}.jpg")
        records[record_id(names[-1], f"{n:016x}")] = pack(boxes, np.linspace(1, 0.01, args.boxes), rows, dtype)
        torch.save({"boxes": torch.from_numpy(boxes), "embeddings": torch.from_numpy(rows).half()}, folder / f"{n}.pt")
    store = Store(folder / "store", {"kind": "regions", "dtype": dtype}, shard_size=32, batch_size=16)
    store.build(records, lambda ids: [records[i] for i in ids], progress=False)
    return names


def read_store(store: TeacherStore, names: list[str]) -> None:
    for n in range(len(names)):
        store[names[n * 17 % len(names)]]


def read_files(folder: Path, count: int) -> None:
    for n in range(count):
        torch.load(folder / f"{n * 17 % count}.pt", weights_only=True)["embeddings"].float()


def main() -> None:
    options = parser(__doc__, rounds=9)
    options.add_argument("--images", type=int, default=256)
    options.add_argument("--boxes", type=int, default=300)
    args = options.parse_args()
    start(args)
    if args.quick:
        args.images = 8
    columns = ["stored as", "regions", "from the store, an image (aim < 2 ms)", "a file an image", "file / store"]
    report = Report(args, "teacher_store", columns)
    for dtype in ("fp16", "int8"):
        with tempfile.TemporaryDirectory() as folder:
            names = fill(Path(folder), args, dtype)
            cases = {
                "store": partial(read_store, TeacherStore(f"{folder}/store"), names),
                "files": partial(read_files, Path(folder), len(names)),
            }
            seconds = interleaved(cases, args.rounds, args.device, warmup=1)
        each = {case: Spread.of([1000 * s / args.images for s in values]) for case, values in seconds.items()}
        gain = ratio(seconds, "files", "store")
        report.row(
            dtype, str(args.boxes), each["store"].text(".3f", " ms"), each["files"].text(".3f", " ms"),
            gain.text(".2f"), dtype=dtype, boxes=args.boxes, milliseconds=each["store"],
            file_milliseconds=each["files"], files_over_store=gain,
        )  # fmt: skip


if __name__ == "__main__":
    main()
