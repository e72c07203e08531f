"""Searching an index of frames: `python benchmarks/search.py`.

Milliseconds of `SearchIndex.search` (a query's embedding in, five moments with intervals out) over 100,000 frames of
512 dimensions, opened from disk and memory-mapped: every row is compared. With faiss-cpu installed, FAISS's exact
flat index beside it, with milvus-lite a collection in a file; their answers must be the same.

Aim: under 50 ms on a CPU.
"""

from __future__ import annotations

import importlib.util
import tempfile
from contextlib import closing
from typing import Any

import numpy as np
from _timing import Report, Spread, interleaved, parser, ratio, start

from clipkit.search.index import SearchIndex
from clipkit.search.milvus import Milvus


def make_index(folder: str, files: int, rows: int, dim: int) -> SearchIndex:
    """Random directions, as if of `files` videos with `rows` frames each."""

    def record(name: str) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(int(name.split("@")[1]))
        begin = np.arange(rows) / 2
        embeddings = rng.standard_normal((rows, dim)).astype(np.float16)
        return {"embeddings": embeddings, "frame": np.arange(rows), "start": begin, "end": begin + 0.5}

    index = SearchIndex(folder, {"kind": "frames", "from": "random"})
    index.store.build([f"film{n}.mp4@{n}" for n in range(files)], lambda ids: [record(i) for i in ids], progress=False)
    return SearchIndex(folder)


def main() -> None:
    options = parser(__doc__, rounds=50)
    options.add_argument("--files", type=int, default=500, help="videos of 200 frames (default: 500)")
    options.add_argument("--dim", type=int, default=512, help="of an embedding (default: 512)")
    args = options.parse_args()
    start(args)
    files, rows, dim = (10, 20, 16) if args.quick else (args.files, 200, args.dim)
    with tempfile.TemporaryDirectory() as folder:
        index = make_index(folder, files, rows, dim)
        queries = iter(np.random.default_rng(1).standard_normal((2000, dim)))  # none is asked twice
        cases = {"numpy": lambda: index.search(next(queries))}
        others: dict[str, dict[str, Any]] = {}
        milvus = None
        if importlib.util.find_spec("faiss"):
            others["FAISS flat"] = {"faiss": True}
        if importlib.util.find_spec("milvus_lite"):
            with closing(Milvus(f"milvus:{folder}/rows.db", index, make=True)) as sending:
                sending.send()
            milvus = Milvus(f"milvus:{folder}/rows.db", index)  # opened as a query finds it
            others["Milvus FLAT, a file"] = {"milvus": milvus}
        for name, how in others.items():
            cases[name] = lambda how=how: index.search(next(queries), **how)
            for query in np.random.default_rng(2).standard_normal((20, dim)):
                if [m.frame for m in index.search(query)] != [m.frame for m in index.search(query, **how)]:
                    raise SystemExit(f"{name} answers otherwise; no time is comparable")
        report = Report(args, "search", ["frames", "case", "ms a query", "numpy / this"])
        times = interleaved(cases, args.rounds, "cpu")
        if milvus is not None:
            milvus.close()
        for name in cases:
            spread = Spread.of([1000 * t for t in times[name]])
            gain = ratio(times, "numpy", name)
            what = f"{files * rows:,} x {dim}"
            report.row(what, name, spread.text(".1f"), gain.text(".2f"), frames=files * rows, case=name, ms=spread)


if __name__ == "__main__":
    main()
