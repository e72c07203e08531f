"""`clipkit predict CONFIG CHECKPOINT INPUT… --labels "…" --out DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from clipkit.commands import _options


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit predict`."""
    parser = argparse.ArgumentParser(
        prog="clipkit predict",
        description="Segment or detect with any labels: a picture with legend and a JSON for each image; a segmenter "
        "also writes an indexed PNG, a detector one file of all detections in COCO's format.",
        parents=[
            _options.config(),
            _options.checkpoint(),
            _options.labels("what to look for, instead of what was trained"),
            _options.device(),
        ],
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="images or folders of images")
    parser.add_argument("--out", default="predictions", metavar="DIR", help="where results go (default: predictions)")
    parser.add_argument("--min-score", type=float, default=0.3, metavar="S", help="detections to draw (default: 0.3)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Predicts; returns 0, or 1 when some images could not be used."""
    args = parser().parse_args(argv)
    from clipkit.data import list_images
    from clipkit.engine.checkpoint import given_checkpoint
    from clipkit.engine.config import parse_options
    from clipkit.errors import ClipkitError, one_line, shown
    from clipkit.predict.predictor import open_predictor

    files = list_images(args.inputs)
    labels = _options.read_labels(args)
    checkpoint = given_checkpoint(args.checkpoint)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    predictor, files_of = open_predictor(args.config, checkpoint, args.device, parse_options(args.cfg_options))
    if files_of is None:
        raise ClipkitError(f"{args.config}: {type(predictor).__name__} writes no files: use `clipkit test`, or Python")
    if labels is not None:
        labels = _options.in_own_prompts(predictor.model, labels)
    names = predictor.set_labels(labels)
    writer = files_of(predictor, labels, out, args.min_score)
    bad = 0
    taken = set(writer.reserved)
    for file in files:
        try:
            stem = _free_name(file, taken)
            found = writer.write(file, stem)
            print(shown(f"{file} -> {out / stem}_{writer.picture}  {found}", 4096))
        except (ClipkitError, ValueError, OSError) as error:  # noqa: PERF203
            bad += 1
            print(f"skipped: {one_line(error)}", file=sys.stderr)
    writer.finish()
    print(f"{len(files) - bad} of {len(files)} images, {len(names)} labels, results in {out}")
    return 1 if bad else 0


def _free_name(file: Path, taken: set[str]) -> str:
    """The file's stem; a second file of the same name (another folder, another ending) gets a number."""
    stem, number = file.stem, 1
    while stem in taken:
        number += 1
        stem = f"{file.stem}-{number}"
    taken.add(stem)
    return stem
