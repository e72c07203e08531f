"""`clipkit report [RESULTS.jsonl …] --out report.html`: every claim's table, statements and picture in one page.

Results are the lines that `clipkit claim` wrote; by default those of `docs/claims/` and `work_dirs/claims/`. What a
claim states is in its file:

    statements = [dict(says="ViLD lifts novel classes", metric="novel_AP50", better="vild", than="text", times=1.3)]

holds if `better − (times · than + by)` is above zero over the seeds (paired, 95 % interval). A pair of arms in either
place, `better=("fused 1%", "host 1%")`, is the first one's lead over the second.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit report`."""
    parser = argparse.ArgumentParser(
        prog="clipkit report",
        description="Write one HTML page of what `clipkit claim` found: verdicts, numbers of all seeds, pictures.",
    )
    parser.add_argument(
        "results",
        nargs="*",
        help="files of JSON lines, or folders of them (default: docs/claims and work_dirs/claims, judged together)",
    )
    parser.add_argument(
        "--work-dir", default="work_dirs/claims", help="where the runs left pictures (default: work_dirs/claims)"
    )
    parser.add_argument("--out", default="report.html", metavar="FILE", help="the page to write (default: report.html)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the page and prints the verdicts."""
    args = parser().parse_args(argv)
    from clipkit.claims.page import page
    from clipkit.claims.results import collect, judge, read_results
    from clipkit.errors import ClipkitError
    from clipkit.files import write_text

    paths: list[Path] = []
    for place in map(Path, args.results or ["docs/claims", "work_dirs/claims"]):
        paths += sorted(place.glob("*.jsonl")) if place.is_dir() or not args.results else [place]
    if not paths:
        raise ClipkitError(f"no results in {', '.join(args.results) or 'docs/claims'}: run `clipkit claim ID` first")
    claims = collect(read_results(paths))
    write_text(args.out, page(claims, Path(args.work_dir)))
    for claim in claims:
        for statement in claim.statements:
            print(f"{claim.name}: {statement['says']}: {judge(claim, statement)[1]}")
    print(f"wrote {args.out}")
    return 0
