"""`clipkit convert PLUGIN IN OUT [--reverse]`: checkpoints between a plugin's original and clipkit."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit convert`."""
    parser = argparse.ArgumentParser(
        prog="clipkit convert", description="Turn a checkpoint of a method's original code into clipkit's, or back."
    )
    parser.add_argument("plugin", help="whose checkpoint it is: lseg, … (`clipkit list plugins`)")
    parser.add_argument("source", metavar="IN", help="the checkpoint to read (.ckpt, .pth, .pt, .safetensors)")
    parser.add_argument("target", metavar="OUT", help="the checkpoint to write (.pth); must not exist")
    parser.add_argument("--reverse", action="store_true", help="from clipkit to the original's layout")
    parser.add_argument(
        "--original",
        metavar="FILE",
        help="with --reverse: take what clipkit does not keep from this original checkpoint",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Converts; returns 0."""
    args = parser().parse_args(argv)
    from clipkit.convert.checkpoints import convert_file
    from clipkit.errors import ClipkitError

    if args.original and not args.reverse:
        raise ClipkitError("--original is for --reverse: the way back takes from it what clipkit does not keep")
    for line in convert_file(args.plugin, args.source, args.target, args.reverse, args.original):
        print(line)
    return 0
