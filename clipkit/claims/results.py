"""Results of claims from their JSON lines, by claim, and what they say of its statements."""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipkit.claims.verdict import paired
from clipkit.config_files import find_config
from clipkit.errors import ClipkitError, one_line, some
from clipkit.text.files import read_text

Seeds = dict[int, float]  # seed -> value


@dataclass
class Claim:
    """A claim's file and the results that belong to it."""

    name: str
    title: str
    run: str  # the folder of its runs
    statements: list[dict[str, Any]]
    arms: dict[str, dict[str, Seeds]] = field(default_factory=dict)  # arm -> metric -> seed -> value
    sources: set[str] = field(default_factory=set)


def read_results(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The lines of all files but those that a kill cut; metrics are flat (`{"open": {"seen": 1}}` is `open.seen`).

    Raises:
        ClipkitError: a file that is missing, or another line that is no result.
    """
    records = []
    for path in paths:
        try:
            lines = read_text(path, "file of results").splitlines()
        except (OSError, ValueError) as error:
            raise ClipkitError(one_line(error)) from error
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except ValueError:  # cut by a kill, after which another run may have written on
                continue
            except RecursionError:
                raise ClipkitError(f"{path}: line {number} is nested too deeply for a result") from None
            try:
                record["metric"] = dict(_flat(record["metric"]))
                own = {key: str(record[key]) for key in ("claim", "arm", "date")}
                records.append({**record, **own, "seed": int(record["seed"])})
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                raise ClipkitError(
                    f"{path}: line {number} is no result of `clipkit claim` ({one_line(error)})"
                ) from error
    return records


def collect(records: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """Results by claim, in the order of their numbers; claims without results are left out, and results of a claim that
    no file describes are named on stderr.

    Raises:
        ClipkitError: there are results, and no file describes any of their claims.
    """
    by_run: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        by_run[record["claim"].lower()].append(record)
    folder = find_config(Path("claims") / "c3.py").parent
    claims: list[Claim] = []
    described: set[str] = set()
    for path in sorted(folder.glob("c*.py"), key=lambda p: int(re.sub(r"\D", "", p.stem) or 0)):
        definition = runpy.run_path(str(path))
        run = str(definition.get("runs_of", definition["claim"])).lower()
        described.add(run)
        claim = Claim(definition["claim"], _title(definition), run, list(definition.get("statements", ())))
        wanted = definition.get("arms") if "runs_of" in definition else None
        for record in by_run[run]:
            if wanted is None or record["arm"] in wanted:
                claim.sources.add(f"{record.get('hardware', '?')}, {record.get('commit', '?')}, {record['date'][:10]}")
                for metric, value in record["metric"].items():
                    claim.arms.setdefault(record["arm"], {}).setdefault(metric, {})[record["seed"]] = value
        if claim.arms:
            claims.append(claim)
    if unknown := sorted({r["claim"] for r in records if r["claim"].lower() not in described}):
        problem = f"results of {some(unknown, 20)}: no such claim in {folder}"
        if not claims:
            raise ClipkitError(problem)
        print(f"left out: {problem}", file=sys.stderr)
    return claims


def judge(claim: Claim, statement: Mapping[str, Any]) -> tuple[str, str]:
    """(the paired difference as text, the verdict) over the seeds that both arms have."""
    metric = statement["metric"]
    first, second = (_of_seeds(claim, statement[side], metric) for side in ("better", "than"))
    seeds = sorted(set(first) & set(second))
    if not seeds:
        return "–", "not run"
    times, by = statement.get("times", 1.0), statement.get("by", 0.0)
    found, verdict = paired([first[s] for s in seeds], [second[s] for s in seeds], times, by)
    return f"{found} ({len(seeds)} seeds)", verdict


def _of_seeds(claim: Claim, side: str | Sequence[str], metric: str) -> dict[int, float]:
    """A side of a statement: an arm's value for each seed, or the lead of a pair's first arm over its second."""
    if isinstance(side, str):
        return claim.arms.get(side, {}).get(metric, {})
    first, second = (_of_seeds(claim, arm, metric) for arm in side)
    return {seed: first[seed] - second[seed] for seed in set(first) & set(second)}


def _flat(value: Any, name: str = "") -> Iterable[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    else:
        yield name or "score", float(value)


def _title(definition: Mapping[str, Any]) -> str:
    text = " ".join((definition.get("__doc__") or "").split("\n\n")[0].split())
    return re.sub(r"^(Claim )?C\d+: ", "", text).split(". ")[0].rstrip(".")
