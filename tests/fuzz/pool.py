"""Cases in a process of their own, held to limits of time and of memory of the whole tree of processes.

The process that reads is forked once and reads many cases; it is killed, with its children, where a case takes too long
or too much, and another goes on with the next case. Linux only: `/proc` tells what a process takes.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from clipkit.safe import allowance
from fuzz.judge import Verdict, copy_seed, judge, make_case, silence
from fuzz.table import Reader

_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Limits:
    """What a case may take: seconds, and bytes beyond what its files' sizes allow (libraries that are loaded late, a
    reader process of films); `address` bounds what a process asks of the system at all."""

    seconds: float = 20.0
    slack: int = 256 << 20
    address: int = 4 << 30
    first: float = 180.0  # seconds for the seeds, before which nothing is imported


class Outcome(NamedTuple):
    """Of one case: `grown` bytes at its peak, `done` what was done to which seed."""

    number: int
    verdict: Verdict
    seconds: float
    grown: int
    done: str


class Bench:
    """The seeds of a reader, and the process that reads cases of them.

    Args:
        reader: the row.
        seed: of all cases; a case is a function of it, the row's name and the case's number.
    """

    def __init__(self, reader: Reader, seed: int = 0, limits: Limits | None = None) -> None:
        self.reader, self.seed, self.limits = reader, seed, limits or Limits()
        self.root = Path(tempfile.mkdtemp(prefix="clipkit-fuzz-"))
        self.seeds, self.place = self.root / "seeds", self.root / "case"
        self.seeds.mkdir()
        self._process: Any = None
        try:
            self._run(_build, self.reader, self.seeds)
        except RuntimeError:
            self.close()
            raise

    def close(self) -> None:
        """Ends the process and removes all files."""
        self._stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cases(self, numbers: range) -> Iterator[Outcome]:
        """Reads them in their order. What takes too long is tried once more, for the machine may be busy."""
        for number in numbers:
            outcome = self._case(number)
            if outcome.verdict.what.startswith("takes longer"):
                outcome = self._case(number)
            yield outcome

    def _case(self, number: int) -> Outcome:
        if self._process is None:
            self._start()
        begun = time.monotonic()
        self._pipe.send(number)
        known: dict[int, int] = {pid: _own(pid) for pid in _children(self._process.pid)}
        budget, base, beside, verdict, done = allowance(0), self._base, 0, None, ""
        while verdict is None:
            if self._pipe.poll(0.02):
                message = self._receive()
                if message is None or isinstance(message[0], Verdict):
                    return self._outcome(number, message, beside, begun, done)
                done, budget, base = message
                continue
            children = {pid: _own(pid) for pid in _children(self._process.pid)}
            beside = max(beside, sum(max(0, size - known.get(pid, 0)) for pid, size in children.items()))
            grown = beside + _resident(self._process.pid) - base
            if time.monotonic() - begun > self.limits.seconds:
                verdict = Verdict("defect", f"takes longer than {self.limits.seconds:g} s")
            elif done and grown > 2 * (budget + self.limits.slack):  # until then the case is made, not read
                verdict = Verdict("defect", f"grows by {grown >> 20} MiB and more")
        self._stop()
        return Outcome(number, verdict, time.monotonic() - begun, beside, done)

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except EOFError:
            return None

    def _outcome(self, number: int, message: Any, beside: int, begun: float, done: str) -> Outcome:
        if message is None:
            self._process.join(5)
            code = self._process.exitcode or 0
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            self._stop()
            verdict = Verdict("defect", f"the process died by {how}")
            return Outcome(number, verdict, time.monotonic() - begun, beside, done)
        verdict, grown, budget = message
        grown += beside
        if verdict.kind != "defect" and grown > budget + self.limits.slack:
            said = f"grows by {grown >> 20} MiB, and its files allow {budget >> 20}"
            verdict = verdict._replace(kind="defect", what=said)
        self._count += 1
        if self._count >= self.reader.cases or _resident(self._process.pid) - self._base > 1 << 30:
            self._stop()
        return Outcome(number, verdict, time.monotonic() - begun, grown, done)

    def _start(self) -> None:
        self._pipe, theirs = _FORK.Pipe()
        self._process = _FORK.Process(
            target=_serve, args=(theirs, self.reader, self.seeds, self.place, self.seed, self.limits)
        )
        self._process.start()
        theirs.close()
        self._count = 0
        if not self._pipe.poll(self.limits.first):
            self._stop()
            raise RuntimeError(f"{self.reader.name}: its seeds take longer than {self.limits.first:g} s")
        try:
            problem = self._pipe.recv()
        except EOFError:
            problem = "its process died over the seeds"
        if problem:
            self._stop()
            raise RuntimeError(f"{self.reader.name}: {problem}")
        self._base = _resident(self._process.pid)

    def _stop(self) -> None:
        if self._process is not None:
            for pid in (*_children(self._process.pid), self._process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.join()
            self._process = None
            self._pipe.close()

    def _run(self, target: Any, *arguments: Any) -> None:
        process = _FORK.Process(target=target, args=arguments)
        process.start()
        process.join(self.limits.first)
        if process.exitcode != 0:
            process.kill()
            raise RuntimeError(f"{self.reader.name}: its seeds cannot be written (exit code {process.exitcode})")


def _build(reader: Reader, seeds: Path) -> None:
    _alone()
    with silence():
        reader.seeds(seeds)


def _serve(pipe: Any, reader: Reader, seeds: Path, place: Path, seed: int, limits: Limits) -> None:
    """What the reading process does: says that the seeds are accepted, then reads what it is told to."""
    _alone()
    wanted: dict[str, Verdict] = {}
    for source in sorted(path for path in seeds.iterdir() if path.name[0] != "."):
        copy_seed(source, place)
        wanted[source.name] = judge(reader, place, source.name, None, blind=False)
        if wanted[source.name].kind != "ok":
            pipe.send(f"the seed {source.name} is not accepted: {wanted[source.name].what}")
            return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_status("/proc/self/status", "VmSize") + limits.address, hard))
    gc.freeze()  # so that looking for garbage after each case takes no time
    pipe.send(None)
    while True:
        try:
            number = pipe.recv()
        except EOFError:  # the parent is gone
            return
        gc.collect()  # errors hold what they were raised over
        with silence():
            name, blind, done = make_case(reader, seeds, place, seed, number)
        budget = allowance(sum(path.stat().st_size for path in place.rglob("*") if path.is_file()))
        before = _reset_peak()
        pipe.send((f"{name}: {done}", budget, before))
        verdict = judge(reader, place, name, wanted[name], blind)
        pipe.send((verdict, _status("/proc/self/status", "VmHWM") - before, budget))


def _alone() -> None:
    """Ends with its parent's Ctrl-C, computes with one thread, asks nobody on the network, and prints where the system
    says, for pytest leads Python's own standard output and error elsewhere."""
    sys.stdout, sys.stderr = (open(number, "w", errors="replace", closefd=False) for number in (1, 2))  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(1)
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", MPLBACKEND="agg")


def _reset_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return _resident("self")


def _resident(pid: int | str) -> int:
    return _status(f"/proc/{pid}/status", "VmRSS")


def _own(pid: int) -> int:
    """Of a child: without what it shares with its parent since the fork."""
    return _status(f"/proc/{pid}/smaps_rollup", "Private_Dirty")


def _status(file: str, field: str) -> int:
    """Bytes; 0 where the process is gone."""
    with suppress(OSError):
        for line in Path(file).read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) << 10
    return 0


def _children(pid: int) -> list[int]:
    """All below a process."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for path in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            with suppress(OSError):
                own = [int(word) for word in path.read_text().split()]
                found += own
                waiting += own
    return found
