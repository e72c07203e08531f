"""What `clipkit try` costs beside its CLIP: `python benchmarks/try.py --threads 1`.

First answer: a process that reads one photo of 12 megapixels, encodes the words and writes the picture, over a process
that imports open_clip, builds the same model from the same file, encodes the same prompts and runs the image tower over
the same windows. Many photos: `clipkit try`'s loop, model and words at hand, over open_clip's image tower alone on as
many windows, which are at hand too.

Aims: 1.3 and 1.1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import open_clip
import torch
from _photos import make_photos
from _timing import Report, Spread, interleaved, parser, ratio, start

from clipkit.data import read_image
from clipkit.predict.dense import DenseSegmenter
from clipkit.predict.try_photos import segment_files

WORDS = "car, road, sky, tree, a person; pedestrian"
BARE = """
import json
import sys

import open_clip
import torch

given = json.loads(sys.argv[1])
torch.set_num_threads(given["threads"])
model = open_clip.create_model(given["name"], pretrained=given["weights"], device=given["device"]).eval()
with torch.no_grad():
    model.encode_text(open_clip.get_tokenizer(given["name"])(given["prompts"]).to(given["device"]))
    windows = torch.rand(given["windows"], 3, given["side"], given["side"], device=given["device"])
    for batch in windows.split(8):
        model.encode_image(batch)
"""


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--model", default="ViT-B-16-quickgelu", help="open_clip name, random weights")
    options.add_argument("--photos", type=int, default=100, help="for the second row (default: 100)")
    args: argparse.Namespace = options.parse_args()
    start(args)
    size = (3000, 4000)
    if args.quick:
        args.model, args.photos, size = "ViT-B-32", 2, (120, 160)
    report = Report(args, "try", ["what", "bare open_clip", "clipkit try / bare", "aim"])
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary, torch.no_grad():
        folder = Path(temporary)
        weights, photos = folder / "clip.pt", make_photos(folder, args.photos, size)
        torch.save(open_clip.create_model(args.model).state_dict(), weights)
        segmenter = DenseSegmenter.load(args.model, str(weights), device=args.device)
        bare = open_clip.create_model(args.model, pretrained=str(weights), device=args.device).eval()
        side, count = segmenter.window, len(segmenter.embed(read_image(photos[0])))
        windows = torch.rand(count, 3, side, side, device=args.device)
        mean, std = (
            torch.tensor(part, device=args.device)[:, None, None]
            for part in (bare.visual.image_mean, bare.visual.image_std)
        )
        theirs, ours = bare.encode_image((windows[:2] - mean) / std), segmenter.clip.encode_image(windows[:2], False)
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)
        text = segmenter.encode(WORDS)

        environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
        model = f"{args.model}:{weights}"
        command = [
            "-m",
            "clipkit",
            "try",
            str(photos[0]),
            WORDS,
            "--clip",
            model,
            "--out",
            str(folder),
            "--device",
            args.device,
        ]
        asked = segmenter.vocabulary(WORDS)
        words = [*(word for group in asked.words for word in group), *asked.background.words]
        given = {
            "name": args.model, "weights": str(weights), "threads": args.threads, "device": args.device,
            "windows": count, "side": side, "prompts": [prompt for word in words for prompt in asked.prompts(word)],
        }  # fmt: skip

        def process(*arguments: str) -> None:
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)

        def encode_all() -> None:
            for _ in photos:
                for batch in windows.split(8):
                    bare.encode_image(batch)

        first = {"bare": lambda: process("-c", BARE, json.dumps(given)), "try": lambda: process(*command)}

        def try_all() -> None:
            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
                segment_files(segmenter, photos, text, folder)

        many = {"bare": encode_all, "try": try_all}
        for what, cases, warmup, aim in (("first answer", first, 1, 1.3), (f"{args.photos} photos", many, 0, 1.1)):
            spent = interleaved(cases, args.rounds, args.device, warmup)
            alone, gain = Spread.of(spent["bare"]), ratio(spent, "try", "bare")
            report.row(
                what,
                alone.text(".1f", " s"),
                gain.text(),
                f"<= {aim}",
                model=args.model,
                case=what,
                windows=count,
                bare_seconds=alone,
                ratio=gain,
            )


if __name__ == "__main__":
    main()
