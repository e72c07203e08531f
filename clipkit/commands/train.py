"""`clipkit train CONFIG`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from clipkit.commands import _options


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit train`."""
    parser = argparse.ArgumentParser(
        prog="clipkit train",
        description="Train what a config says. Under torchrun, with all its processes. SIGTERM, which batch systems "
        "send before they kill, ends it after the step, with a checkpoint and code 143.",
        parents=[_options.config(), _options.runner()],
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const=True,
        default=False,
        metavar="FILE",
        help="go on where the run in --work-dir stopped, or from the checkpoint that is named (default: start anew)",
    )
    parser.add_argument(
        "--amp",
        nargs="?",
        const=True,
        default=False,
        metavar="bf16|fp16",
        help="mixed precision, less memory and mostly faster; alone: the one that is fast here (default: off)",
    )
    parser.add_argument("--seed", type=int, help="seed of everything random (default: the config's, else 0)")
    parser.add_argument("--deterministic", action="store_true", help="the same numbers in every run on a GPU, slower")
    parser.add_argument("--vis", metavar="tensorboard|wandb", help="write the log for this viewer too")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Trains; returns the exit code."""
    args = parser().parse_args(argv)
    from clipkit.commands._stop import train_until_stopped
    from clipkit.engine.build import build_runner
    from clipkit.engine.config import parse_options
    from clipkit.engine.friendly import friendly_build

    runner = build_runner(
        args.config,
        work_dir=args.work_dir,
        resume=args.resume,
        amp=args.amp,
        seed=args.seed,
        deterministic=args.deterministic,
        launcher=args.launcher,
        vis=args.vis,
        cfg_options=parse_options(args.cfg_options),
    )
    with friendly_build():
        return train_until_stopped(runner)
