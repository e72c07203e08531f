"""`clipkit test CONFIG CHECKPOINT`, with the trained labels or with others."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clipkit.commands import _options


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit test`."""
    parser = argparse.ArgumentParser(
        prog="clipkit test",
        description="Score a checkpoint on the config's test data, with any labels.",
        parents=[
            _options.config(),
            _options.checkpoint(),
            _options.labels("classes instead of the trained ones"),
            _options.runner(),
        ],
    )
    parser.add_argument("--out", metavar="FILE", help="write the scores as JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Tests; returns the exit code."""
    args = parser().parse_args(argv)
    from clipkit.engine.build import build_runner
    from clipkit.engine.checkpoint import given_checkpoint, require_nothing_to_train
    from clipkit.engine.config import parse_options
    from clipkit.engine.friendly import friendly_build
    from clipkit.errors import ClipkitError
    from clipkit.files import write_text

    vocabulary = _options.read_labels(args)
    checkpoint = given_checkpoint(args.checkpoint)
    if args.out:  # a place that cannot be written is told now, not after the test
        if Path(args.out).is_dir():
            raise ClipkitError(f"--out {args.out}: is a folder; name a JSON file")
        Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    runner = build_runner(
        args.config,
        work_dir=args.work_dir,
        launcher=args.launcher,
        cfg_options=parse_options(args.cfg_options),
        checkpoint=checkpoint,
        for_training=False,
    )
    if checkpoint is None:
        require_nothing_to_train(runner.bare_model)
    if vocabulary is not None:
        vocabulary = _options.in_own_prompts(runner.bare_model, vocabulary)
    with friendly_build():
        scores = run_test(runner, vocabulary)
    if args.out and runner.rank == 0:
        names = list(vocabulary.names) if vocabulary is not None else None
        record = {"config": args.config, "checkpoint": args.checkpoint, "labels": names, "scores": _numbers(scores)}
        write_text(args.out, json.dumps(record, indent=1) + "\n")
    return 0


def run_test(runner: Any, vocabulary: Any = None) -> dict[str, Any]:
    """Runs the runner's test loop, with `vocabulary` instead of the trained classes if it is given.

    The hook point: the model and, where it has one, each metric takes the new classes by
    `set_labels(vocabulary: clipkit.text.Vocabulary)`, called after the weights are loaded.

    Raises:
        ClipkitError: the model's classes cannot be changed.
    """
    if vocabulary is not None:
        from clipkit.engine.hooks import SetLabelsHook
        from clipkit.errors import ClipkitError

        if not callable(getattr(runner.bare_model, "set_labels", None)):
            raise ClipkitError(f"{type(runner.bare_model).__name__} has fixed classes: leave --labels out")
        runner.register_hook(SetLabelsHook(vocabulary))
    return runner.test()


def _numbers(scores: dict[str, Any]) -> dict[str, Any]:
    def number(value: Any) -> Any:
        if hasattr(value, "tolist"):
            return value.tolist()
        return value if isinstance(value, (bool, int, float, str, list, dict, type(None))) else str(value)

    return {str(key): number(value) for key, value in scores.items()}
