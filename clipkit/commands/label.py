"""`clipkit label PHOTOS "cat, bench" --format coco`: a folder of photos and words in, a labelled set out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clipkit.commands import _options

FORMATS = ("coco", "yolo", "voc", "masks")


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit label`."""
    parser = argparse.ArgumentParser(
        prog="clipkit label",
        description="Label photos by words, with a frozen CLIP or a trained model, as a set that other tools and "
        "training read. A run that was killed goes on where it stopped. Look at contact_sheet.png before you trust it.",
        parents=[_options.device()],
    )
    parser.add_argument("inputs", nargs="+", metavar="PHOTOS", help="photos, folders of photos")
    parser.add_argument(
        "words",
        metavar="WORDS",
        help='what to look for, in quotes: "cat, bench; park bench, grass" (; before a synonym)',
    )
    parser.add_argument("--format", default="coco", choices=FORMATS, help="what is written (default: coco)")
    parser.add_argument("--out", default="labels", metavar="DIR", help="where it goes (default: labels)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", metavar="WORK_DIR", help="a folder that `clipkit train` filled")
    _options.add_clip(which)
    parser.add_argument(
        "--min-score", type=float, metavar="S",
        help="what is less sure is left out, 0 to 1; of a region the mean over its pixels (default: 0.3)", default=0.3,
    )  # fmt: skip
    parser.add_argument(
        "--min-area",
        type=float,
        default=0.001,
        metavar="A",
        help="what covers less than this share of the photo is left out, 0 to 1 (default: 0.001)",
    )
    parser.add_argument("--boxes", action="store_true", help="write boxes alone, without outlines")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Labels; returns 0, or 1 when some photos could not be used."""
    args = parser().parse_args(argv)
    from clipkit.errors import ClipkitError
    from clipkit.predict.inputs import parse_words
    from clipkit.predict.label_photos import label_photos

    vocabulary = parse_words(args.words)
    if args.boxes and args.format == "masks":
        raise ClipkitError("--boxes are no masks: take --format coco, voc or yolo")
    good, bad = label_photos(
        args.inputs,
        lambda: _model(args, vocabulary),
        vocabulary.names,
        Path(args.out),
        args.format,
        {"words": args.words, "model": _identity(args)},
        min_score=args.min_score,
        min_area=args.min_area,
        boxes=args.boxes,
    )
    print(f"{good} of {good + bad} photos labelled, in {args.out}")
    return 1 if bad else 0


def _identity(args: argparse.Namespace) -> str:
    """The model, so that a run does not go on with another one."""
    if not args.model:
        return args.clip
    from clipkit.engine.work_folder import newest_checkpoint

    file = newest_checkpoint(args.model)
    return f"{file.resolve()}|{file.stat().st_mtime_ns}"


def _model(args: argparse.Namespace, vocabulary: Any) -> Any:
    if not args.model:
        from clipkit.predict.dense import DenseSegmenter
        from clipkit.text.familiar import warn_unfamiliar

        segmenter = DenseSegmenter.load(*_options.clip_and_tag(args.clip), device=args.device)
        warn_unfamiliar(segmenter.clip, vocabulary.words, args.clip, "take another --clip")
        text = segmenter.encode(vocabulary)
        return lambda rgb: segmenter(rgb, text)
    from clipkit.errors import ClipkitError
    from clipkit.predict.predictor import ImagePredictor, open_predictor

    predictor, _ = open_predictor(args.model, device=args.device)
    if not isinstance(predictor, ImagePredictor):
        raise ClipkitError(f"{args.model}: {type(predictor).__name__} finds nothing in photos")
    labels = _options.in_own_prompts(predictor.model, vocabulary)
    predictor.set_labels(labels)
    return lambda rgb: predictor(rgb, labels)
