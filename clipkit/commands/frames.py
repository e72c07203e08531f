"""`clipkit frames SET ROOT --out STORE …`: what a frozen CLIP says of the frames of videos and of their sentences.

It may be killed at any moment: the same command goes on. `clipkit.embed.frame_store.FrameStore` reads the result, and
`VideoTexts(store=…)` trains on it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from clipkit.commands import _options
from clipkit.commands._headers import docstring
from clipkit.errors import one_line

SETS = ("msrvtt", "msvd", "lsmdc", "activitynet", "didemo", "youcook2", "csv")
DTYPES = ("fp16", "fp32")


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit frames`."""
    parser = argparse.ArgumentParser(
        prog="clipkit frames",
        description="Embed the frames of videos and their sentences with a frozen CLIP, once, so that temporal heads\n"
        "train without CLIP. Kill it when you like: the same command goes on. The processes of torchrun or\n"
        "srun share the work, and so do the workers of a Ray cluster (--ray).",
        epilog=docstring(Path(__file__).parents[1] / "data/video_sets.py"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_options.embedding("a video"), _options.device(), _options.videos()],
    )
    parser.add_argument("set", choices=SETS, help="whose layout the videos have (below); csv: a table of your own")
    parser.add_argument("root", help="where it lies; for csv the table")
    parser.add_argument("--split", nargs="+", default=["train"], help="parts of the set (default: train)")
    parser.add_argument("--videos", help="folder of the videos (default: ROOT/videos, for csv the table's folder)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--fps", type=float, help="frames a second (default: 1)")
    which.add_argument("--uniform", type=int, metavar="N", help="N frames from the first to the last instead")
    which.add_argument("--segments", type=int, metavar="N", help="the middle frames of N equal segments instead")
    parser.add_argument(
        "--short-side", type=int, metavar="PIXELS", help="what frames are resized to (default: as they are)"
    )
    parser.add_argument("--tokens", action="store_true", help="keep a sentence's single tokens too, for the head wti")
    parser.add_argument("--dtype", default="fp16", choices=DTYPES, help="of the stored numbers (default: fp16)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Computes; returns 0, or 1 when some videos could not be used."""
    args = parser().parse_args(argv)
    from clipkit.data import video_sets
    from clipkit.data.video import DEFAULT_BACKEND
    from clipkit.embed.captions import embed_captions
    from clipkit.embed.encoder import load_frozen
    from clipkit.embed.frame_source import FrameSource, make_sampling
    from clipkit.embed.hire import hire
    from clipkit.embed.videos import embed_frames

    found = [video_sets.read_video_set(args.set, args.root, split, args.videos) for split in args.split]
    videos = list({video.id: video for part in found for video in part.videos}.values())
    given = {key: getattr(args, key) for key in ("fps", "uniform", "segments") if getattr(args, key) is not None}
    make_sampling(given := given or {"fps": 1.0})  # a wrong number is told before CLIP is loaded
    source = FrameSource(given, args.short_side, args.backend or DEFAULT_BACKEND, args.timeout)
    captions = [text for part in found for video in part.videos for text in video.captions]
    load = partial(load_frozen, args.clip, args.pretrained, args.precision)
    with hire(load, args.ray, args.device, args.workers) as crew:
        embed_captions(args.out, captions, None, crew.made_by, tokens=args.tokens, dtype=args.dtype, crew=crew)
        broken = embed_frames(
            args.out, videos, source, None, crew.made_by, dtype=args.dtype, on_bad=args.on_bad, broken=args.broken,
            crew=crew,
        )  # fmt: skip
    size = sum(path.stat().st_size for path in Path(args.out).rglob("*") if path.is_file())
    print(f"{len(videos)} videos, {len(set(captions))} sentences, {size / 2**20:.1f} MiB in {args.out}")
    for split, part in zip(args.split, found):
        if part.problems:
            print(f"{split}: {part.problems.summary()}", file=sys.stderr)
    for line in list(broken.values())[:20]:
        print(one_line(line), file=sys.stderr)
    if broken:
        print(f"{len(broken)} videos could not be read", file=sys.stderr)
    return 1 if broken or any(part.problems for part in found) else 0
