"""`clipkit frames SET ROOT --out STORE …`: what a frozen CLIP says of the frames of videos and of their sentences.

It may be killed at any moment: the same command goes on. `clipkit.embed.frame_store.FrameStore` reads the result, and
`VideoTexts(store=…)` trains on it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from clipkit.commands.precompute import BROKEN
from clipkit.data import video_sets
from clipkit.data.video import BACKENDS
from clipkit.device import own_device, usable_device
from clipkit.embed.frame_store import DTYPES
from clipkit.embed.videos import FrameSource, embed_captions, embed_frames, load_frozen, make_sampling
from clipkit.errors import ClipkitError, one_line


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit frames`."""
    parser = argparse.ArgumentParser(
        prog="clipkit frames",
        description="Embed the frames of videos and their sentences with a frozen CLIP, once, so that temporal heads "
        "train without CLIP. Kill it when you like: the same command goes on. Under torchrun, all processes share "
        "the work.",
        epilog=video_sets.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", choices=video_sets.READERS, help="which set of videos; csv: one's own")
    parser.add_argument("root", help="where it lies; for csv the table")
    parser.add_argument("--split", nargs="+", default=["train"], help="one or more, into one store (default: train)")
    parser.add_argument("--videos", help="folder of the videos (default: ROOT/videos, for csv the table's folder)")
    parser.add_argument("--out", required=True, metavar="DIR", help="the store, a folder of its own")
    parser.add_argument("--clip", required=True, metavar="NAME", help="ViT-B-32, local-dir:FOLDER, …, or tiny_clip")
    parser.add_argument("--pretrained", metavar="TAG|FILE", help="its weights: open_clip's tag, or a file")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--fps", type=float, help="frames a second (default: 1)")
    which.add_argument("--uniform", type=int, metavar="N", help="N frames from the first to the last instead")
    which.add_argument("--segments", type=int, metavar="N", help="the middle frames of N equal segments instead")
    parser.add_argument("--short-side", type=int, metavar="PIXELS", help="resize while reading (default: no)")
    parser.add_argument("--backend", default="decord", choices=BACKENDS, help="that reads videos (default: decord)")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds until a video hangs (default: 30)")
    parser.add_argument("--tokens", action="store_true", help="keep every token of a sentence too, for head wti")
    parser.add_argument("--precision", default="auto", help="fp32, bf16, fp16, auto: the fast one here (default)")
    parser.add_argument("--dtype", default="fp16", choices=DTYPES, help="on disk (default: fp16)")
    parser.add_argument("--workers", type=int, default=4, help="videos that are read at a time (default: 4)")
    parser.add_argument(
        "--broken", default="skip", choices=BROKEN,
        help="a video that cannot be read: go on, name it at the end, exit with 1 (default), or stop at once",
    )  # fmt: skip
    parser.add_argument("--device", help="cpu, cuda, … (default: this process's GPU if there is one)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Computes; returns 0, or 1 when some videos could not be used."""
    args = parser().parse_args(argv)
    if args.workers < 1:
        raise ClipkitError("--workers must be at least 1")
    found = [video_sets.read_video_set(args.set, args.root, split, args.videos) for split in args.split]
    videos = list({video.id: video for part in found for video in part.videos}.values())
    given = {key: getattr(args, key) for key in ("fps", "uniform", "segments") if getattr(args, key) is not None}
    make_sampling(given := given or {"fps": 1.0})  # a wrong number is told before CLIP is loaded
    source = FrameSource(given, args.short_side, args.backend, args.timeout)
    device = usable_device(args.device or own_device())
    clip, made_by = load_frozen(args.clip, args.pretrained, args.precision, device)
    captions = [text for part in found for video in part.videos for text in video.captions]
    embed_captions(args.out, captions, clip, made_by, tokens=args.tokens, dtype=args.dtype)
    broken = embed_frames(
        args.out, videos, source, clip, made_by, dtype=args.dtype, workers=args.workers, broken=args.broken
    )
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
