"""Searching a million rows: `python benchmarks/search_million.py`.

Made-up clustered vectors (1,000,000 x 512 in 10,000 clusters): milliseconds of a query whose ten nearest rows are
found by comparing all, and by each factory string's index, whose candidates are compared again; recall@10 against the
exact answer on queries that are each a row and half of another one. Seconds are those of the process; take --threads 1.

Aim: recall@10 >= 0.95 at >= 10 times the speed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
from _timing import Report, Spread, parser, ratio, start

from clipkit.search.approximate import Approximate, Questions, build

NEAREST = 10
_QUERIES = 10  # of a measurement: the clock of a process has coarse steps


def clustered(path: Path, count: int, width: int, clusters: int) -> np.ndarray:
    """`(count, width)` float32 of unit length, memory-mapped: normal around centres, cosine to them about 0.75."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((clusters, width), dtype=np.float32)
    rows = np.memmap(path, np.float32, "w+", shape=(count, width))
    for first in range(0, count, 50_000):
        block = rows[first : first + 50_000]
        block[:] = centres[rng.integers(0, clusters, len(block))]
        block += 0.9 * rng.standard_normal(block.shape, dtype=np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return rows


def cpu_seconds(cases: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Of the process in each round, which others that run beside it do not lengthen."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, call in cases.items():
            begun = time.process_time()
            for _ in range(_QUERIES):
                call()
            if number:  # the first round opens pages
                seconds[name].append((time.process_time() - begun) / _QUERIES)
    return seconds


def main() -> None:
    options = parser(__doc__, rounds=20)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument(
        "--factories", nargs="+", default=["IVF1024,PQ128x4fs", "IVF1024,PQ64"], help="FAISS's factory strings"
    )
    options.add_argument("--recall", type=float, default=0.96, help="that the index is set to (default: 0.96)")
    args = options.parse_args()
    start(args)
    count, width, clusters = (4000, 32, 50) if args.quick else (args.rows, 512, max(args.rows // 100, 1))
    factories = ["IVF16,PQ8"] if args.quick else args.factories
    report = Report(args, "search_million", ["rows", "index", "recall@10", "ms a query", "exact / this", "built in, s"])
    with tempfile.TemporaryDirectory() as folder:
        rows = clustered(Path(folder) / "rows", count, width, clusters)
        asked = cycle(Questions(rows, 200, seed=2).asked)

        def exact() -> np.ndarray:
            scores = rows @ next(asked)
            return np.argpartition(-scores, NEAREST - 1)[:NEAREST]

        for factory in factories:
            before = time.process_time()
            setting, _ = build(Path(folder) / "index", rows, factory, "benchmark", args.recall)
            built = time.process_time() - before
            index = Approximate(Path(folder) / "index", rows, "benchmark")
            recall = Questions(rows, 200, seed=1).recall(index)
            times = cpu_seconds(
                {"exact": exact, factory: lambda index=index: index.search(next(asked), NEAREST)}, args.rounds
            )
            spread, gain = Spread.of([1000 * t for t in times[factory]]), ratio(times, "exact", factory)
            looks = ", ".join(f"{name} {value}" for name, value in setting.items())
            report.row(
                f"{count:,} x {width}", f"{factory}, {looks}", f"{recall:.3f}", spread.text(".2f"), gain.text(".1f"),
                f"{built:.0f}", rows=count, factory=factory, setting=setting, recall=recall, ms=spread, ratio=gain,
                build_cpu_seconds=built,
            )  # fmt: skip


if __name__ == "__main__":
    main()
