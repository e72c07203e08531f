"""`clipkit precompute IMAGES --out STORE …`: what a frozen CLIP says about the regions of many images, once.

It may be killed at any moment: the same command goes on, and ends with the same bytes. Processes of torchrun or
Slurm and workers of Ray share the work. `clipkit.embed.region_store.TeacherStore` reads the result.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clipkit.commands import _options
from clipkit.commands._headers import docstring
from clipkit.errors import ClipkitError, some

if TYPE_CHECKING:
    from clipkit.embed.proposals import RegionSource

DTYPES = ("fp16", "int8")
ORDERS = ("sum-normalize", "normalize-sum")
RESIZE_MODES = ("squash", "shortest")


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit precompute`."""
    parser = argparse.ArgumentParser(
        prog="clipkit precompute",
        description="Embed the regions of many images with a frozen CLIP, once, for distillation. Kill it when you\n"
        "like: the same command goes on. The processes of torchrun or srun share the work, and so do the workers of\n"
        "a Ray cluster (--ray).",
        epilog=docstring(Path(__file__).parents[1] / "data/proposals.py").partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_options.embedding("an image"), _options.device()],
    )
    parser.add_argument("images", help="a folder of images")
    parser.add_argument(
        "--annotations", metavar="JSON", help="only the images that this file lists, in COCO's or LVIS's format"
    )
    boxes = parser.add_mutually_exclusive_group(required=True)
    boxes.add_argument("--proposals", metavar="FILE", help="boxes from a file (below)")
    boxes.add_argument(
        "--rpn", nargs=2, metavar=("CONFIG", "CHECKPOINT"), help="boxes of a trained mmdet detector's RPN"
    )
    boxes.add_argument(
        "--grid", action="store_true", help="boxes of a grid that stand out by colour; needs no detector"
    )
    parser.add_argument(
        "--max-boxes",
        type=int,
        default=300,
        metavar="N",
        help="boxes of an image at most, the best (default: 300)",
    )
    parser.add_argument("--dtype", default="fp16", choices=DTYPES, help="of the stored numbers (default: fp16)")
    parser.add_argument(
        "--scales",
        nargs="+",
        type=float,
        default=[1.0, 1.5],
        help="sizes of a box's crops, whose embeddings are summed (default: 1 1.5)",
    )
    parser.add_argument(
        "--order",
        default=ORDERS[0],
        choices=ORDERS,
        help="what is brought to length 1: the sum of the crops' embeddings (default), or each of them before",
    )
    parser.add_argument(
        "--resize-mode", default="squash", choices=RESIZE_MODES,
        help="crops stretched to CLIP's square (default), or cut to it as CLIP's own preprocessing does",
    )  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Computes; returns 0, or 1 when some images could not be used."""
    args = parser().parse_args(argv)
    from clipkit.data.proposals import list_dataset
    from clipkit.detection.rpn import RPNProposals
    from clipkit.device import own_device, usable_device
    from clipkit.embed.encoder import load_teacher
    from clipkit.embed.hire import hire
    from clipkit.embed.proposals import ContrastProposals, FileProposals
    from clipkit.embed.regions import embed_regions

    if args.max_boxes < 1:
        raise ClipkitError("--max-boxes must be at least 1")
    images = list_dataset(args.images, args.annotations)
    source: RegionSource
    if args.proposals:
        source = FileProposals(args.proposals, images, args.images)
    elif args.rpn:
        source = RPNProposals(args.rpn[0], args.rpn[1], args.max_boxes, usable_device(args.device or own_device()))
    else:
        source = ContrastProposals(args.max_boxes)
    load = partial(
        load_teacher, args.clip, args.pretrained, args.precision, scales=args.scales, order=args.order,
        resize_mode=args.resize_mode,
    )  # fmt: skip
    with hire(load, args.ray, args.device, args.workers) as crew:
        problems = embed_regions(
            args.out, args.images, images, source, None, crew.made_by, dtype=args.dtype, most=args.max_boxes,
            workers=args.workers, on_bad=args.on_bad, broken=args.broken, crew=crew,
        )  # fmt: skip
    for kind, names in problems.items():
        print(f"{len(names)} images {kind}: {some(names, 20)}", file=sys.stderr)
    return 1 if problems else 0
