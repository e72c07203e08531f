"""What the benchmarks share: interleaved timing, ratios with their spread, and where a number comes from."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from clipkit.provenance import commit, hardware, now

PACKAGES = ("torch", "open_clip_torch", "timm", "onedl-mmengine")


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of repeated measurements."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values), len(values))

    def text(self, form: str = ".3f", unit: str = "") -> str:
        """'1.012 (0.998 to 1.034)'."""
        return f"{self.median:{form}}{unit} ({self.low:{form}} to {self.high:{form}})"


def interleaved(
    cases: Mapping[str, Callable[[], object]], rounds: int, device: str, warmup: int = 2
) -> dict[str, list[float]]:
    """Seconds of each case in each round. A round runs every case once, in alternating order, so that a machine that
    slows down or another process slows all cases alike and the first place is nobody's advantage."""
    names = list(cases)
    for _ in range(warmup):
        for name in names:
            cases[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            synchronize(device)
            start = time.perf_counter()
            cases[name]()
            synchronize(device)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: Mapping[str, Sequence[float]], of: str, over: str) -> Spread:
    """Spread of the ratio within each round: what both cases share in a round cancels."""
    return Spread.of([a / b for a, b in zip(seconds[of], seconds[over], strict=True)])


def synchronize(device: str) -> None:
    """Waits for the GPU; a CPU has nothing to wait for."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """Options that all benchmarks have."""
    summary, _, more = (description or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch on the CPU (default: all cores)")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"measurements of each case (default: {rounds})")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that the script runs, measures nothing")
    parser.add_argument("--out", metavar="FILE", help="append JSON lines here, e.g. benchmarks/results.jsonl")
    return parser


def start(args: argparse.Namespace) -> None:
    """Sets the threads and checks the device."""
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("--device cuda: this machine has no CUDA device")
    if args.quick:
        args.rounds = min(args.rounds, 3)
    torch.set_num_threads(args.threads)


class Report:
    """A markdown table, printed row by row, and JSON lines with hardware, date, versions and commit."""

    def __init__(self, args: argparse.Namespace, benchmark: str, columns: Sequence[str]) -> None:
        self.args, self.benchmark, self.columns = args, benchmark, columns
        print(f"{benchmark}: {self.where()}\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)

    def where(self) -> str:
        """One line: hardware, threads, date, commit."""
        quick = ", --quick: NOT a measurement" if self.args.quick else ""
        threads = "" if self.args.device.startswith("cuda") else f", {self.args.threads} threads"
        return f"{hardware(self.args.device)}{threads}, {now()}, commit {commit()}{quick}"

    def row(self, *cells: str, **values: object) -> None:
        """One row; `values` (numbers, texts and `Spread`s) go to the JSON line."""
        print(f"| {' | '.join(cells)} |", flush=True)
        if self.args.out is None:
            return
        record = {
            "benchmark": self.benchmark,
            **{key: asdict(value) if isinstance(value, Spread) else value for key, value in values.items()},
            "device": self.args.device,
            "threads": self.args.threads,
            "quick": self.args.quick,
            "hardware": hardware(self.args.device),
            "date": now(),
            "commit": commit(),
            "versions": versions(),
        }
        with Path(self.args.out).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def versions() -> dict[str, str]:
    """Of Python and of the packages that are compared."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # noqa: PERF203
            continue
    return found
