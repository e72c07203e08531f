"""`clipkit claim ID --seeds 10-14 --jobs N`: runs a claim's arms over seeds, one JSON line a result.

A claim is a small Python file, `configs/claims/<id>.py`:

    claim = "C3"
    arms = {
        # a training: its test scores, or those that `metric` names
        "frozen": dict(config="lseg/x.py", cfg_options={"model.depth": 0}, metric="mIoU"),
        # one training, several tests: {test: scores}
        "both": dict(config="lseg/x.py", tests={"all": {}, "few": {"test_dataloader.dataset.length": 9}}),
        # nothing to train: only its test
        "training_free": dict(config="dense_clip/x.py", train=False),
        # a function, called as `function(seed=…, work_dir=…, **kwargs)`; returns a number or a dict of numbers
        "probe": dict(function="package.module.function", kwargs=dict(shots=2)),
        # one run that measures several arms: the function returns {arm: number or dict}
        "prompts": dict(function="package.module.styles", arms=("bare", "prompt", "ensemble")),
    }

Results are appended to a file; what is in it is not run again, so that a killed command goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit claim`."""
    parser = argparse.ArgumentParser(
        prog="clipkit claim",
        description="Test a claim of a paper again: run each of the variants that it compares with several seeds.",
    )
    parser.add_argument("claim", help="a claim's id (C3; docs/claims.md lists them), or the file that defines it")
    parser.add_argument(
        "--seeds", default="10-14", help="every variant runs with each: 10-14, or 1,3,5 (default: 10-14)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side (default: 1)")
    parser.add_argument("--arms", help="only these of the variants that are compared, separated by commas")
    parser.add_argument(
        "--results", metavar="FILE", help="a line of JSON for each run (default: work_dirs/claims/<id>.jsonl)"
    )
    parser.add_argument(
        "--work-dir", default="work_dirs/claims", help="where logs and checkpoints go (default: work_dirs/claims)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs what is missing; 1 if a run failed."""
    args = parser().parse_args(argv)
    from clipkit.claims.definition import arm_names, read_claim
    from clipkit.claims.run_all import finished, parse_seeds, run_all, select_arms

    path, definition = read_claim(args.claim)
    claim, runs = definition["claim"], definition["arms"]
    folder = Path(args.work_dir) / claim.lower()
    results = Path(args.results or Path(args.work_dir) / f"{claim.lower()}.jsonl")
    wanted = select_arms(runs, args.arms)
    done = finished(results, claim)
    todo = [
        (name, seed)
        for seed in parse_seeds(args.seeds)
        for name in wanted
        if any((arm, seed) not in done for arm in arm_names(name, runs[name]))
    ]
    print(f"{claim}: {len(todo)} runs to do, results in {results}")
    failed = run_all(path, claim, todo, folder, results, max(1, args.jobs))
    return 1 if failed else 0
