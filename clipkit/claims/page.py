"""One HTML page of claims: statements with verdicts, tables, charts and the runs' pictures, all inside the file."""

from __future__ import annotations

import base64
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from clipkit.claims.results import Claim, judge
from clipkit.claims.verdict import spread
from clipkit.errors import shown
from clipkit.provenance import now


def page(claims: Sequence[Claim], work_dir: Path = Path("work_dirs/claims")) -> str:
    """The HTML of `page.html`.

    Args:
        work_dir: where the runs lie; the first picture that a run of each arm left there is shown.
    """
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_text,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [_section(claim, work_dir) for claim in claims]
    return templates.get_template("page.html").render(date=now(), sections=sections)


def _text(value: Any) -> str:
    """What a record or a config says, as it may be shown; jinja escapes it then."""
    return value if isinstance(value, Markup) else shown(value, 4096)


def _section(claim: Claim, work_dir: Path) -> dict[str, Any]:
    metrics = list(dict.fromkeys(metric for values in claim.arms.values() for metric in values))
    rows = [
        (
            arm,
            max(map(len, values.values())),
            [spread(list(values[m].values())) if m in values else "–" for m in metrics],
        )
        for arm, values in claim.arms.items()
    ]
    charts = list(dict.fromkeys(s["metric"] for s in claim.statements)) or metrics[:1]
    return {
        "claim": claim,
        "statements": [_statement(claim, statement) for statement in claim.statements],
        "metrics": metrics,
        "rows": rows,
        "figures": [Markup(_figure(claim, metric)) for metric in charts],  # matplotlib has escaped its text
        "pictures": _pictures(claim, work_dir),
    }


def _pictures(claim: Claim, work_dir: Path) -> Iterable[tuple[str, str]]:
    """(name of the run, its first picture in base64) for each arm."""
    for arm in claim.arms:
        for path in sorted(work_dir.glob(f"{claim.run}/{arm}-[0-9]*/*.png"))[:1]:
            yield path.parent.name, Markup(base64.b64encode(path.read_bytes()).decode())


def _statement(claim: Claim, statement: Mapping[str, Any]) -> tuple[str, str, str]:
    """(what it says, the rule in numbers, the verdict)."""
    difference, verdict = judge(claim, statement)
    right = _side(statement["than"])
    if "times" in statement:
        right = f"{statement['times']:g} · {right}"
    if by := statement.get("by", 0):
        right += f" {'+' if by > 0 else '−'} {abs(by):g}"
    rule = f"{statement['metric']}: {_side(statement['better'])} > {right}, difference {difference}"
    return statement["says"], rule, verdict


def _side(side: str | Sequence[str]) -> str:
    return side if isinstance(side, str) else f"({side[0]} − {side[1]})"


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
