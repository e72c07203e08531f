"""`clipkit report [RESULTS.jsonl …] --out report.html`: every claim's table, statements and picture in one page.

Results are the lines that `clipkit claim` wrote; by default those of `docs/claims/` and `work_dirs/claims/`. What a
claim states is in its file:

    statements = [dict(says="ViLD lifts novel classes", metric="novel_AP50", better="vild", than="text", times=1.3)]

holds if `better − (times · than + by)` is above zero over the seeds (paired, 95 % interval). A pair of arms in either
place, `better=("fused 1%", "host 1%")`, is the first one's lead over the second.
"""

from __future__ import annotations

import argparse
import base64
import html
import io
import json
import re
import runpy
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipkit.claims.verdict import paired, spread
from clipkit.engine.config import find_config
from clipkit.errors import ClipkitError, one_line
from clipkit.provenance import now

Seeds = dict[int, float]  # seed -> value
PAGE = """<!doctype html><meta charset="utf-8"><title>clipkit: claims</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse;margin:1rem 0}}td,th{{border-bottom:1px solid #ccc;padding:.2rem .8rem;text-align:left}}
.holds{{color:#0a7a2f}}.does{{color:#b00020}}.undecided{{color:#8a6d00}}figure{{margin:1rem 0}}
small{{color:#666}}svg,img{{max-width:100%;height:auto}}.wide{{overflow-x:auto}}</style>
<h1>Claims, re-tested in the embedded world</h1>
<p>Means over seeds ± half of the 95 % interval (Student's t); verdicts by the paired difference. Made {date}.</p>
{contents}{claims}
"""


@dataclass
class Claim:
    """A claim's file and the results that belong to it."""

    name: str
    title: str
    run: str  # the folder of its runs
    statements: list[dict[str, Any]]
    arms: dict[str, dict[str, Seeds]] = field(default_factory=dict)  # arm -> metric -> seed -> value
    sources: set[str] = field(default_factory=set)


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit report`."""
    parser = argparse.ArgumentParser(prog="clipkit report", description="One HTML page of all claims' results.")
    parser.add_argument(
        "results",
        nargs="*",
        help="files of JSON lines, or folders of them (default: docs/claims and work_dirs/claims, judged together)",
    )
    parser.add_argument(
        "--work-dir", default="work_dirs/claims", help="where the runs left pictures (work_dirs/claims)"
    )
    parser.add_argument("--out", default="report.html", help="default: report.html")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the page and prints the verdicts."""
    args = parser().parse_args(argv)
    paths: list[Path] = []
    for place in map(Path, args.results or ["docs/claims", "work_dirs/claims"]):
        paths += sorted(place.glob("*.jsonl")) if place.is_dir() or not args.results else [place]
    if not paths:
        raise ClipkitError("no results: run `clipkit claim ID` first, or name the files")
    claims = collect(read_results(paths))
    Path(args.out).write_text(page(claims, Path(args.work_dir)), encoding="utf-8")
    for claim in claims:
        for statement in claim.statements:
            print(f"{claim.name}: {statement['says']}: {judge(claim, statement)[1]}")
    print(f"wrote {args.out}")
    return 0


def read_results(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The lines of all files but those that a kill cut; metrics are flat (`{"open": {"seen": 1}}` is `open.seen`).

    Raises:
        ClipkitError: a file that is missing, or another line that is no result.
    """
    records = []
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ClipkitError(f"{path}: can't be read ({one_line(error)})") from error
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
        problem = f"results of {', '.join(unknown)}: no such claim in {folder}"
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


def _side(side: str | Sequence[str]) -> str:
    return side if isinstance(side, str) else f"({side[0]} − {side[1]})"


def page(claims: Sequence[Claim], work_dir: Path = Path("work_dirs/claims")) -> str:
    """The HTML page, charts and the runs' pictures inside."""
    links = "".join(f'<li><a href="#{c.name}">{c.name}</a> {html.escape(c.title)}</li>' for c in claims)
    return PAGE.format(
        date=now(), contents=f"<ul>{links}</ul>", claims="".join(_section(claim, work_dir) for claim in claims)
    )


def _section(claim: Claim, work_dir: Path) -> str:
    metrics = list(dict.fromkeys(metric for values in claim.arms.values() for metric in values))
    head = "".join(f"<th>{html.escape(metric)}</th>" for metric in metrics)
    rows = "".join(
        f"<tr><td>{html.escape(arm)}</td><td>{max(map(len, values.values()))}</td>"
        + "".join(f"<td>{spread(list(values[m].values())) if m in values else '–'}</td>" for m in metrics)
        + "</tr>"
        for arm, values in claim.arms.items()
    )
    statements = "".join(_statement(claim, statement) for statement in claim.statements)
    shown = list(dict.fromkeys(s["metric"] for s in claim.statements)) or metrics[:1]
    figures = "".join(f"<figure>{_figure(claim, metric)}</figure>" for metric in shown)
    sources = "; ".join(sorted(claim.sources))
    return (
        f'<h2 id="{claim.name}">{claim.name}: {html.escape(claim.title)}</h2><ul>{statements}</ul>'
        f'<div class="wide"><table><tr><th>arm</th><th>seeds</th>{head}</tr>{rows}</table></div>'
        f"{figures}{_pictures(claim, work_dir)}<small>{html.escape(sources)}</small>"
    )


def _pictures(claim: Claim, work_dir: Path) -> str:
    """The first picture that a run of each arm left behind, inside the page."""
    found = []
    for arm in claim.arms:
        for path in sorted(work_dir.glob(f"{claim.run}/{arm}-[0-9]*/*.png"))[:1]:
            data = base64.b64encode(path.read_bytes()).decode()
            found.append(
                f"<details><summary>{html.escape(path.parent.name)}: picture</summary>"
                f'<img alt="{html.escape(path.parent.name)}" src="data:image/png;base64,{data}"></details>'
            )
    return "".join(found)


def _statement(claim: Claim, statement: Mapping[str, Any]) -> str:
    difference, verdict = judge(claim, statement)
    right = _side(statement["than"])
    if "times" in statement:
        right = f"{statement['times']:g} · {right}"
    if by := statement.get("by", 0):
        right += f" {'+' if by > 0 else '−'} {abs(by):g}"
    rule = f"{statement['metric']}: {_side(statement['better'])} > {right}, difference {difference}"
    return (
        f'<li>{html.escape(statement["says"])}: <b class="{verdict.split()[0]}">{verdict}</b> '
        f"<small>{html.escape(rule)}</small></li>"
    )


def _figure(claim: Claim, metric: str) -> str:
    """Means with intervals and every seed as a dot; arms whose names end in a number become curves over it."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "clipkit"  # the same results give the same file
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    axes = figure.subplots()
    arms = {arm: list(values[metric].values()) for arm, values in claim.arms.items() if metric in values}
    numbered = {arm: match for arm in arms if (match := re.fullmatch(r"(.*\D)\s*(\d+(?:\.\d+)?)%?", arm))}
    groups: dict[str, list[tuple[float, list[float]]]] = defaultdict(list)
    if len(numbered) == len(arms) > 2:
        for arm, match in numbered.items():
            groups[match[1].strip()].append((float(match[2]), arms[arm]))
        for name, points in groups.items():
            xs, values = zip(*sorted(points), strict=True)
            _draw(axes, list(xs), list(values), label=name, line=True)
        axes.set_xlabel("the number in the arm's name")
        axes.legend()
    else:
        _draw(axes, list(range(len(arms))), list(arms.values()), line=False)
        axes.set_xticks(range(len(arms)), list(arms), rotation=20 if len(arms) > 5 else 0)
    axes.set_ylabel(metric)
    axes.spines[["top", "right"]].set_visible(False)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()[stream.getvalue().index("<svg") :]


def _draw(axes: Any, xs: list[float], values: list[list[float]], line: bool, label: str | None = None) -> None:
    spreads = [spread(v) for v in values]
    halves = [s.half if s.seeds > 1 else 0 for s in spreads]
    style = "o-" if line else "o"
    drawn = axes.errorbar(xs, [s.mean for s in spreads], halves, fmt=style, capsize=4, label=label)
    for x, seeds in zip(xs, values, strict=True):
        axes.scatter([x] * len(seeds), seeds, s=12, alpha=0.4, color=drawn[0].get_color())


def _flat(value: Any, name: str = "") -> Iterable[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    else:
        yield name or "score", float(value)


def _title(definition: Mapping[str, Any]) -> str:
    text = " ".join((definition.get("__doc__") or "").split("\n\n")[0].split())
    return re.sub(r"^(Claim )?C\d+: ", "", text).split(". ")[0].rstrip(".")
