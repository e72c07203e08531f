"""`python tests/fuzz/run.py --cases 20000 --seed 0 [--reader NAME]`: damaged files for every reader, and a table.

A case that shows a defect is kept in a folder, and the line that reads it once more is printed. Exit code 1 where there
is any.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from fuzz.pool import Bench, Limits, Outcome
from fuzz.table import Reader, table

KEPT = 3  # cases of one defect


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python tests/fuzz/run.py", description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000, help="of all readers together (default: 20000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", nargs="+", metavar="NAME", help="those alone whose names begin so")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "clipkit-fuzz", metavar="FOLDER",
                        help="where cases that show a defect are kept (default: %(default)s)")  # fmt: skip
    parser.add_argument(
        "--replay", type=Path, metavar="FOLDER", help="read this kept case with --reader, errors and all"
    )
    args = parser.parse_args(argv)
    rows = [row for name, row in table().items() if not args.reader or name.startswith(tuple(args.reader))]
    if not rows:
        parser.error(f"no such reader; there are {', '.join(table())}")
    if args.replay is not None:
        print(rows[0].call(args.replay))
        return 0
    found = 0
    shares = sum(row.share for row in rows)
    for row in rows:
        count = max(1, round(args.cases * row.share / shares))
        try:
            found += len(run(row, count, args.seed, args.keep))
        except RuntimeError as error:  # of the row itself; the others are tried
            found += 1
            print(f"{row.name}: {error}", flush=True)
    return int(found > 0)


def run(row: Reader, count: int, seed: int, keep: Path, limits: Limits | None = None) -> Counter[str]:
    """Reads `count` cases, prints a line of the table and one for each kind of defect; returns these with how often."""
    kinds: Counter[str] = Counter()
    defects: Counter[str] = Counter()
    begun, slowest, grown = time.monotonic(), 0.0, 0
    with Bench(row, seed, limits) as bench:
        for outcome in bench.cases(range(count)):
            kinds[outcome.verdict.kind] += 1
            slowest, grown = max(slowest, outcome.seconds), max(grown, outcome.grown)
            if outcome.verdict.kind == "defect":
                name = _signature(outcome)
                defects[name] += 1
                if defects[name] <= KEPT:
                    _keep(row, bench.place, keep, seed, outcome)
    print(
        f"{row.name:24} {count:6} cases {kinds['ok']:6} read {kinds['refused']:6} refused {kinds['defect']:4} defects "
        f"{time.monotonic() - begun:6.0f} s, slowest {slowest:5.2f} s, grew {grown >> 20:4} MiB",
        flush=True,
    )
    for name, times in defects.most_common():
        print(f"    {times} x {name}", flush=True)
    return defects


def _signature(outcome: Outcome) -> str:
    """Defects of one kind differ in numbers and names alone."""
    return re.sub(r"'[^']*'|\d+|/\S+", "…", outcome.verdict.what)[:160]


def _keep(row: Reader, place: Path, keep: Path, seed: int, outcome: Outcome) -> None:
    folder = keep / f"{row.name.replace(' ', '_')}-{seed}-{outcome.number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        os.replace(place, folder) if place.stat().st_dev == keep.stat().st_dev else shutil.move(place, folder)
    print(
        f"  {row.name}: {outcome.verdict.what}\n    {outcome.done}\n"
        f"    python tests/fuzz/run.py --reader '{row.name}' --replay {folder}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
