"""`clipkit train CONFIG`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from clipkit.engine.distributed import LAUNCHERS


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit train`."""
    parser = argparse.ArgumentParser(
        prog="clipkit train", description="Train what a config says. Under torchrun, with all its processes."
    )
    parser.add_argument("config", help="a config file, or the name of an installed one, e.g. lseg/lseg_tiny_shapes.py")
    parser.add_argument("--work-dir", help="where logs and checkpoints go (default: work_dirs/<config name>)")
    parser.add_argument(
        "--resume", nargs="?", const=True, default=False, help="go on from the newest checkpoint, or from this file"
    )
    parser.add_argument(
        "--amp", nargs="?", const=True, default=False, metavar="bf16|fp16", help="mixed precision (the fast one)"
    )
    parser.add_argument("--seed", type=int, help="seed of everything random (default: the config's, else 0)")
    parser.add_argument("--deterministic", action="store_true", help="deterministic CUDA kernels, slower")
    parser.add_argument("--vis", metavar="tensorboard|wandb", help="log there too")
    add_common(parser)
    return parser


def add_common(parser: argparse.ArgumentParser) -> None:
    """Options that training and testing share."""
    parser.add_argument("--launcher", default="auto", choices=LAUNCHERS, help="auto sees torchrun by itself")
    parser.add_argument(
        "--cfg-options", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
        help="change the config, e.g. train_cfg.max_iters=100 train_dataloader.batch_size=8",
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Trains; returns the exit code."""
    args = parser().parse_args(argv)
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
        runner.train()
    return 0
