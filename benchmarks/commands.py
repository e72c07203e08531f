"""What commands cost beside what they cannot do without: `python benchmarks/commands.py --threads 1`.

`start` and `browse` are processes, over a process that imports the library that does their work. `predict` and `label`
run over a folder of photos of one megapixel with ViT-B/16 of random weights; of their time, models built, stands the
share that is spent in the image tower.

Aims: start and browse 1.2; shares 0.8. `clipkit try` has a benchmark of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from _photos import make_photos
from _timing import Report, Spread, interleaved, parser, ratio, start, synchronize

from clipkit import FrozenCLIP
from clipkit.predict.dense import DenseSegmenter
from clipkit.predict.label_photos import label_photos
from clipkit.predict.predict_files import predict_files
from clipkit.predict.predictor import open_predictor

NAMES = ("car", "road", "sky", "tree", "person")
PROCESSES = {
    "start": ("import open_clip", ["version"]),
    "browse": ("import torch, mmengine.runner, mmseg.models", ["browse", "lseg/lseg_tiny_shapes.py", "--out"]),
}


def encoder_share(work: Callable[[], object], device: str) -> tuple[float, float]:
    """Seconds that `work` takes, and how much of them the image tower has."""
    inside, features = 0.0, FrozenCLIP.features

    def timed(*args: Any, **kwargs: Any) -> Any:
        nonlocal inside
        synchronize(device)
        began = time.perf_counter()
        found = features(*args, **kwargs)
        synchronize(device)
        inside += time.perf_counter() - began
        return found

    with patch.object(FrozenCLIP, "features", timed):
        began = time.perf_counter()
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            work()
        spent = time.perf_counter() - began
    return spent, inside / spent


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--model", default="ViT-B-16-quickgelu", help="open_clip name, random weights")
    options.add_argument("--photos", type=int, default=16, help="in the folder (default: 16)")
    args = options.parse_args()
    start(args)
    size = (864, 1152)
    if args.quick:
        args.model, args.photos, size = "ViT-B-32", 2, (120, 160)
    report = Report(args, "commands", ["command", "seconds", "of it", "aim"])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}

        def process(*arguments: str) -> None:
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment, cwd=folder)

        for name, (imports, command) in PROCESSES.items():
            whole = ["-m", "clipkit", *command, *([str(folder / "browse")] if name == "browse" else [])]
            spent = interleaved(
                {"bare": lambda code=imports: process("-c", code), "own": lambda given=whole: process(*given)},
                args.rounds, args.device, 1,
            )  # fmt: skip
            over = ratio(spent, "own", "bare")
            own = Spread.of(spent["own"])
            report.row(
                name, own.text(".1f"), f"{over.text()} x `{imports}`", "<= 1.2", case=name, seconds=own, ratio=over
            )

        photos = make_photos(folder, args.photos, size)
        torch.manual_seed(0)
        predictor, files_of = open_predictor(
            "dense_clip/sclip_voc21.py", None, args.device,
            {"model.text.clip.name": args.model, "model.text.clip.pretrained": None, "model.text.templates": "simple"},
        )  # fmt: skip
        segmenter = DenseSegmenter.load(args.model, None, device=args.device)
        text = segmenter.encode(", ".join(NAMES))
        tries = iter(range(10**6))

        def predict() -> None:
            out = folder / f"predicted{next(tries)}"
            out.mkdir()
            predictor.set_labels(NAMES)
            predict_files(predictor, files_of(predictor, NAMES, out, 0.0), photos, NAMES, out, lambda *_: "")

        def label() -> None:
            out = folder / f"labelled{next(tries)}"
            label_photos(
                [str(path) for path in photos], lambda: lambda rgb: segmenter(rgb, text), NAMES, out, "coco", {}
            )

        for name, work in (("predict", predict), ("label", label)):
            encoder_share(work, args.device)
            found = [encoder_share(work, args.device) for _ in range(args.rounds)]
            spent, share = (Spread.of(values) for values in zip(*found))
            report.row(
                f"{name}, {args.photos} photos", spent.text(".1f"), f"{share.text()} in the image tower", ">= 0.8",
                case=name, model=args.model, photos=args.photos, seconds=spent, share=share,
            )  # fmt: skip


if __name__ == "__main__":
    main()
