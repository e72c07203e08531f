"""`clipkit embed SOURCE… --out DIR …`: embeddings of pictures, films and texts in any number.

It may be killed at any moment: the same command goes on, and ends with the same bytes. `clipkit.embed.bulk.Embeddings`
reads the store; clip-retrieval's tools and autofaiss read the other layout.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from clipkit.commands import _options
from clipkit.commands._headers import docstring
from clipkit.errors import ClipkitError, shown

WANTED = ("pictures", "texts", "pairs")
LAYOUTS = ("store", "clip-retrieval")


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit embed`."""
    parser = argparse.ArgumentParser(
        prog="clipkit embed",
        description="Embed pictures, films and texts in any number with a frozen CLIP. Kill it when you like: the\n"
        "same command goes on. The processes of torchrun or srun share the work, and so do the workers of a Ray\n"
        "cluster (--ray).",
        epilog=docstring(Path(__file__).parents[1] / "data/samples.py").partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_options.embedding("a thing"), _options.device(), _options.videos()],
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="folders, archives, tables, lists (below)")
    parser.add_argument(
        "--wanted", default="pictures", choices=WANTED,
        help="pictures and frames of films (default), texts, or pairs of both; what lacks one of a pair is left out",
    )  # fmt: skip
    parser.add_argument(
        "--layout", default="store", choices=LAYOUTS,
        help="clipkit's store, on a disk (default), or clip-retrieval's npy and Parquet, at any address",
    )  # fmt: skip
    parser.add_argument(
        "--root", metavar="DIR", help="what names of files in lists and tables count from (default: the folder of each)"
    )
    parser.add_argument("--fps", type=float, default=1.0, help="frames a second of a film (default: 1)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Computes; returns 0, or 1 when some things could not be used."""
    args = parser().parse_args(argv)
    from clipkit.data.samples import Skipped, plan
    from clipkit.data.video import DEFAULT_BACKEND
    from clipkit.embed.bulk import embed_parts
    from clipkit.embed.encoder import load_frozen
    from clipkit.embed.frame_source import FrameSource
    from clipkit.embed.hire import hire

    if not args.out:
        raise ClipkitError("--out is empty: name the folder that is to be written")
    if not 0 < args.fps < float("inf"):
        raise ClipkitError(f"--fps must be positive, got {args.fps}")
    if args.broken:
        raise ClipkitError("--broken is an older name of --on-bad, which this command has")
    source = FrameSource({"fps": args.fps}, None, args.backend or DEFAULT_BACKEND, args.timeout)
    parts, others = plan(args.sources, args.wanted, args.root, args.out)
    left = [Skipped(f"*{ending}", "not read: of no kind that is wanted", n, bad=False) for ending, n in others.items()]
    load = partial(load_frozen, args.clip, args.pretrained, args.precision)
    with hire(load, args.ray, args.device, args.workers) as crew:
        lines = embed_parts(
            args.out, parts, args.wanted, source, crew, layout=args.layout, on_bad=args.on_bad, others=left
        )
        if not crew.reports:
            return 0
    print(f"{len(parts)} parts in {args.out}")
    for bad in (True, False):
        own = [line for line in lines if line["bad"] == bad]
        for line in own[:10]:
            print(f"left out: {shown(line['name'])} ({shown(line['why'])})", file=sys.stderr)
        if own:
            total = sum(line["count"] for line in own)
            print(
                f"{total} {'could not be used' if bad else 'not asked for'}: see {args.out}/skipped.jsonl",
                file=sys.stderr,
            )
    return 1 if any(line["bad"] for line in lines) else 0
