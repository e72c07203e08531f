"""Which of a claim's runs are missing, and all of them in processes of their own: one JSON line a result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from clipkit.claims.definition import arm_names
from clipkit.errors import ClipkitError, one_line
from clipkit.files import append_lines
from clipkit.provenance import commit, hardware, now


def run_all(
    path: Path, claim: str, todo: list[tuple[str, int]], folder: Path, results: Path, jobs: int
) -> list[tuple[str, int]]:
    """Runs each (run, seed) in a process of its own, `jobs` at a time; returns those that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    results.parent.mkdir(parents=True, exist_ok=True)
    about = {"commit": commit(), "hardware": hardware()}
    slots: SimpleQueue[int] = SimpleQueue()
    for slot in range(jobs):
        slots.put(slot)

    def one(item: tuple[str, int]) -> bool:
        name, seed = item
        slot = slots.get()
        try:
            values = _run(path, name, seed, folder, slot, jobs)
        except ClipkitError as error:
            print(f"error: {claim} {name} seed {seed}: {one_line(error)}", file=sys.stderr, flush=True)
            return False
        finally:
            slots.put(slot)
        lines = [
            json.dumps({"claim": claim, "arm": arm, "seed": seed, "metric": value, **about, "date": now()})
            for arm, value in values.items()
        ]
        append_lines(results, lines)
        print("\n".join(lines), flush=True)
        return True

    with ThreadPoolExecutor(jobs) as pool:
        succeeded = list(pool.map(one, todo))
    return [item for item, good in zip(todo, succeeded) if not good]


def select_arms(runs: dict[str, Any], chosen: str | None) -> list[str]:
    """Names of the runs to do: all, or those that measure one of the chosen arms."""
    if chosen is None:
        return list(runs)
    names = [name.strip() for name in chosen.split(",")]
    known = {arm for name, run in runs.items() for arm in arm_names(name, run)}
    for name in names:
        if name not in known:
            raise ClipkitError(f'--arms: no arm "{name}"; Known: {", ".join(sorted(known))}')
    return [name for name, run in runs.items() if set(arm_names(name, run)) & set(names)]


def parse_seeds(text: str) -> list[int]:
    """`0-4` or `1,3,5` or a mixture."""
    seeds: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.strip().partition("-")
            seeds += range(int(first), int(last if dash else first) + 1)
    except ValueError as error:
        raise ClipkitError(f'--seeds "{text}": write 0-4 or 1,3,5') from error
    if not seeds:
        raise ClipkitError(f'--seeds "{text}" names none: write 0-4 or 1,3,5')
    return list(dict.fromkeys(seeds))  # a seed that is named twice would be two runs in one folder


def finished(results: Path, claim: str) -> set[tuple[str, int]]:
    """(arm, seed) of the results that are there. A line that a kill cut short does not count."""
    done = set()
    for line in results.read_text(encoding="utf-8").splitlines() if results.is_file() else ():
        try:
            record = json.loads(line)
            if record["claim"] == claim:
                done.add((record["arm"], record["seed"]))
        except (ValueError, KeyError, TypeError):  # noqa: PERF203
            continue
    return done


def _run(path: Path, name: str, seed: int, folder: Path, slot: int, jobs: int) -> dict[str, Any]:
    work_dir = folder / f"{name}-{seed}"
    work_dir.mkdir(parents=True, exist_ok=True)
    out, log = work_dir / "result.json", work_dir / "log.txt"
    out.unlink(missing_ok=True)
    environment = dict(os.environ)
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    devices = [d for d in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if d]
    if len(devices) > 1:
        environment["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
    command = [sys.executable, "-m", "clipkit.claims.one_run", str(path), name, str(seed), str(work_dir), str(out)]
    with open(log, "ab") as stream:
        code = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    if code != 0 or not out.is_file():
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] or ["no output"]
        raise ClipkitError(f"exit code {code}: {last[0][:200]} (the whole log: {log})")
    return json.loads(out.read_text(encoding="utf-8"))
