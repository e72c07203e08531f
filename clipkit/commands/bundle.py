"""`clipkit bundle WORK_DIR OUT`: a trained model as a folder that anybody can open."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from clipkit.commands import _options


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit bundle`."""
    parser = argparse.ArgumentParser(
        prog="clipkit bundle",
        description="A trained model as a folder without code: weights (safetensors), the config as data, labels, "
        "scores and a model card. `clipkit predict OUT photo.jpg` opens it, and Segmenter.from_pretrained(OUT).",
    )
    parser.add_argument("work_dir", metavar="WORK_DIR", help="the folder that `clipkit train` filled; or a bundle")
    parser.add_argument("out", metavar="OUT", help="the bundle: a folder that is not there yet")
    parser.add_argument("--checkpoint", metavar="FILE", help="instead of the newest one in the work folder")
    parser.add_argument(
        "--licence", metavar="ID", help="for the card, as the hub writes it: apache-2.0, cc-by-4.0 (default: none said)"
    )
    parser.add_argument(
        "--push", metavar="OWNER/NAME", help="also upload it to Hugging Face, with the token of `hf auth login`"
    )
    parser.add_argument("--private", action="store_true", help="with --push: of a repository that is made")
    _options.add_cfg_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the bundle; returns 0."""
    args = parser().parse_args(argv)
    import os

    from clipkit.bundle import is_bundle, push_bundle
    from clipkit.engine.config import parse_options
    from clipkit.errors import ClipkitError
    from clipkit.predict.predictor import open_predictor

    if os.path.lexists(args.out):  # told now, not after the model was read
        raise ClipkitError(f"{args.out}: exists; a bundle is written to a new folder: remove it, or give another name")
    if not Path(args.work_dir).is_dir() and not is_bundle(args.work_dir):
        raise ClipkitError(f"{args.work_dir}: is no work folder: give the folder that `clipkit train` filled")
    predictor, _ = open_predictor(args.work_dir, args.checkpoint, "cpu", parse_options(args.cfg_options))
    folder = predictor.save_pretrained(args.out, licence=args.licence)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder}: {size / 2**20:.1f} MiB, for {type(predictor).__name__}.from_pretrained and `clipkit predict`")
    if args.push:
        address = push_bundle(folder, args.push, private=args.private or None)
        print(f"{address}: uploaded; others open it as hf-hub:{args.push}")
    return 0
