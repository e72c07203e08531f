"""`clipkit predict CONFIG CHECKPOINT INPUT… --labels "…" --out DIR`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clipkit.engine.test import CHECKPOINT_HELP, add_labels, in_own_prompts, read_labels


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit predict`."""
    parser = argparse.ArgumentParser(
        prog="clipkit predict",
        description="Segment images with any labels: an overlay with legend, an indexed PNG and a JSON for each.",
    )
    parser.add_argument("config", help="a config file, or the name of an installed one")
    parser.add_argument("checkpoint", help=CHECKPOINT_HELP)
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="images or folders of images")
    add_labels(parser, "what to look for, instead of what was trained")
    parser.add_argument("--out", default="predictions", metavar="DIR", help="where results go (default: predictions)")
    parser.add_argument("--device", help="cpu, cuda, … (default: a GPU if there is one)")
    parser.add_argument("--cfg-options", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Predicts; returns 0, or 1 when some images could not be used."""
    args = parser().parse_args(argv)
    from clipkit.data import list_images
    from clipkit.engine.checkpoint import given_checkpoint
    from clipkit.engine.config import parse_options
    from clipkit.engine.segmenter import Segmenter
    from clipkit.errors import ClipkitError, one_line

    files = list_images(args.inputs)
    labels = read_labels(args)
    checkpoint = given_checkpoint(args.checkpoint)
    segmenter = Segmenter.load(args.config, checkpoint, args.device, parse_options(args.cfg_options))
    if labels is not None:
        labels = in_own_prompts(segmenter.model, labels)
    names = segmenter.set_labels(labels)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    bad = 0
    taken: set[str] = set()
    for file in files:
        try:
            stem = _free_name(file, taken)
            record = write_result(segmenter, file, labels, out, stem)
            shares = ", ".join(f"{name} {share:.0f}%" for name, share in list(record["shares"].items())[:5])
            print(f"{file} -> {out / stem}_overlay.png  {shares}")
        except (ClipkitError, ValueError, OSError) as error:  # noqa: PERF203
            bad += 1
            print(f"skipped: {one_line(error)}", file=sys.stderr)
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


def write_result(segmenter: Any, file: Path, labels: Any, out: Path, stem: str) -> dict[str, Any]:
    """Segments one image and writes `<stem>_overlay.png`, `<stem>_labels.png` (values are label indices) and
    `<stem>.json`; returns what the JSON holds."""
    from PIL import Image

    from clipkit.data import enlarge, overlay, palette, read_image, save_indexed_png, used_entries, with_legend

    image = read_image(file)
    result = segmenter(image, labels)
    index = result.labels.numpy()
    colours = palette(len(result.names))
    shown = enlarge(overlay(image, index, colours), 320)  # one of 64 pixels would be smaller than its legend
    picture = with_legend(shown, used_entries([index], result.names, colours))
    Image.fromarray(picture).save(out / f"{stem}_overlay.png")
    save_indexed_png(index, out / f"{stem}_labels.png", len(result.names))
    scores = {
        name: round(float(result.scores[result.labels == i].mean()), 4)
        for i, name in enumerate(result.names)
        if bool((result.labels == i).any())
    }
    record = {
        "image": str(file),
        "size": [int(index.shape[1]), int(index.shape[0])],
        "labels": list(result.names),
        "label_map": f"{stem}_labels.png",
        "shares": {name: round(share, 3) for name, share in result.shares().items()},
        "mean_scores": scores,
    }
    (out / f"{stem}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return record
