"""`clipkit try PHOTO… "cat, bench, grass"`: a frozen CLIP says where the words are. Nothing is trained."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from clipkit.commands import _options


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit try`."""
    parser = argparse.ArgumentParser(
        prog="clipkit try",
        description="Segment your photos by your words with a frozen CLIP, without training: PHOTO_try.png shows each "
        "photo beside its regions with their names, FILM_try.mp4 two frames a second of a film. It segments "
        "only; boxes and counts are for trained detectors.",
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="PHOTO", help="photos, films, folders of them, http(s) addresses of photos"
    )
    parser.add_argument(
        "words",
        metavar="WORDS",
        help='what to look for, in quotes: "cat, bench; park bench, grass" (; before a synonym)',
    )
    parser.add_argument("--out", default=".", metavar="DIR", help="where pictures go (default: here)")
    parser.add_argument("--show", action="store_true", help="open the pictures when they are done")
    _options.add_clip(parser)
    parser.add_argument(
        "--dense",
        default="sclip",
        help="how CLIP's last layer is read: sclip (default), maskclip, clearclip, naclip, vanilla",
    )
    parser.add_argument("--device", help="cpu, cuda, mps (default: a GPU if there is one)")
    _options.add_batch_size(parser, "pieces of a photo")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Segments; returns 0, or 1 when some photos could not be used."""
    args = parser().parse_args(argv)
    from clipkit.predict.try_photos import run_try

    name, tag = _options.clip_and_tag(args.clip)
    pictures, bad = run_try(
        args.inputs,
        args.words,
        Path(args.out),
        clip=name,
        pretrained=tag,
        dense=args.dense,
        device=args.device,
        batch_size=args.batch_size,
    )
    if args.show:
        _open(pictures)
    return 1 if bad else 0


def _open(pictures: Sequence[Path]) -> None:
    """Shows pictures with the system's viewer, ten at most: a folder of 500 photos would open 500 windows."""
    import webbrowser

    for picture in pictures[:10]:
        webbrowser.open(picture.resolve().as_uri())
    if len(pictures) > 10:
        print(f"opened 10 of {len(pictures)} pictures", file=sys.stderr)
