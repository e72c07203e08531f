"""`clipkit test CONFIG CHECKPOINT`, with the trained labels or with others."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clipkit.commands.train import add_common

CHECKPOINT_HELP = (
    "what `clipkit train` wrote: its folder (the newest in it) or a file in it; `none` for a model that trains nothing"
)


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit test`."""
    parser = argparse.ArgumentParser(
        prog="clipkit test", description="Score a checkpoint on the config's test data, with any labels."
    )
    parser.add_argument("config", help="a config file, or the name of an installed one")
    parser.add_argument("checkpoint", help=CHECKPOINT_HELP)
    add_labels(parser, "classes instead of the trained ones")
    parser.add_argument("--out", metavar="FILE", help="write the scores as JSON")
    parser.add_argument("--work-dir", help="where logs go (default: work_dirs/<config name>)")
    add_common(parser)
    return parser


def add_labels(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Options that say labels; `read_labels` reads them."""
    labels = parser.add_mutually_exclusive_group()
    labels.add_argument("--labels", help=f'{purpose}: "cat, dog; puppy, grass"')
    labels.add_argument("--labels-file", metavar="FILE", help="one class a line, `name; synonym; …`, or JSON")
    parser.add_argument(
        "--separator",
        help="the labels file is another project's, with this between a line's words: ', ' SCLIP, ',' ClearCLIP, '; ' "
        "ProxyCLIP",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Tests; returns the exit code."""
    args = parser().parse_args(argv)
    from clipkit.engine.build import build_runner
    from clipkit.engine.checkpoint import given_checkpoint, require_nothing_to_train, write_text
    from clipkit.engine.config import parse_options
    from clipkit.engine.friendly import friendly_build
    from clipkit.errors import ClipkitError

    vocabulary = read_labels(args)
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
        vocabulary = in_own_prompts(runner.bare_model, vocabulary)
    with friendly_build():
        scores = run_test(runner, vocabulary)
    if args.out and runner.rank == 0:
        names = list(vocabulary.names) if vocabulary is not None else None
        record = {"config": args.config, "checkpoint": args.checkpoint, "labels": names, "scores": _numbers(scores)}
        write_text(json.dumps(record, indent=1) + "\n", args.out)
    return 0


def read_labels(args: argparse.Namespace) -> Any:
    """A `Vocabulary` of the options of `add_labels`; None if there are no labels among them."""
    from clipkit.errors import ClipkitError
    from clipkit.text import Vocabulary
    from clipkit.text._label_file import refuse_path

    if args.labels_file is not None:
        return Vocabulary.from_file(args.labels_file, args.separator)
    if args.separator is not None:
        raise ClipkitError("--separator says how --labels-file is written: give that too")
    if args.labels is None:
        return None
    refuse_path(args.labels)
    return Vocabulary.parse(args.labels)


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


def in_own_prompts(model: Any, vocabulary: Any) -> Any:
    """Labels from a command line hold words only: they take the prompts of a model that has some of its own."""
    return model.own_prompts(vocabulary) if hasattr(model, "own_prompts") else vocabulary


def _numbers(scores: dict[str, Any]) -> dict[str, Any]:
    def number(value: Any) -> Any:
        if hasattr(value, "tolist"):
            return value.tolist()
        return value if isinstance(value, (bool, int, float, str, list, dict, type(None))) else str(value)

    return {str(key): number(value) for key, value in scores.items()}
