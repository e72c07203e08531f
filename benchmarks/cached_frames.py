"""An epoch of training a temporal head: `python benchmarks/cached_frames.py`.

From raw video files (H.264, 640 x 360, 10 seconds): decoding, preprocessing, CLIP on frames and sentences, the head's
step. From the store of embeddings: reading it and the head's step. Both sides train the same head on a frozen CLIP
(seqTransf, batch 16, 12 frames), and their first losses are compared before a ratio is printed. What making the store
costs, once, is a column of its own.

Aim: 20 times.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
import time
from pathlib import Path

import clipkit_plugins.clip4clip  # noqa: F401
import torch
from _timing import Report, Spread, interleaved, parser, ratio, start
from mmengine.registry import DefaultScope
from video_decoding import write_film

from clipkit.engine.registry import MODELS
from clipkit.video.datasets import VideoTexts, collate_lists

BATCH = 16


def make_files(folder: Path, count: int, seconds: int, size: tuple[int, int]) -> Path:
    """A table of `count` videos, with 5 sentences each."""
    write_film(folder / "film.mp4", seconds, *size)
    rows = [["video", "sentence"]]
    for number in range(count):
        # A copy each: nobody may decode one for all.
        shutil.copy(folder / "film.mp4", folder / f"{number}.mp4")
        rows += [[f"{number}.mp4", f"sentence {k} of film {number}"] for k in range(5)]
    with (folder / "films.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "films.csv"


def epoch(model: torch.nn.Module, data: VideoTexts, optimizer: torch.optim.Optimizer, device: str) -> float:
    """One pass; returns its first loss."""
    losses = []
    for begin in range(0, len(data), BATCH):
        samples = collate_lists([data[i] for i in range(begin, min(begin + BATCH, len(data)))])
        samples = model.data_preprocessor(samples)
        loss = model(**samples, mode="loss")["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0]


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--model", default="ViT-B-32", help="open_clip name, random weights (default: ViT-B-32)")
    options.add_argument("--videos", type=int, default=32, help="files (default: 32)")
    args: argparse.Namespace = options.parse_args()
    start(args)
    seconds, size = 10, (360, 640)
    if args.quick:
        args.model, args.videos, seconds, size = "tiny-shapes", 4, 3, (64, 96)
    columns = ["model", "videos", "epoch, raw", "epoch, cached", "raw / cached (aim >= 20)", "making the store, once"]
    report = Report(args, "cached_frames", columns)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary, DefaultScope.overwrite_default_scope("clipkit"):
        folder = Path(temporary)
        table = make_files(folder, args.videos, seconds, size)
        model = MODELS.build(
            dict(type="CLIP4Clip", clip=dict(name=args.model), head=dict(type="seqTransf", from_text=False))
        ).to(args.device)
        exported = folder / "clip.pt"
        torch.save(model.clip.model.state_dict(), exported)  # random weights, the same on both sides
        clip = dict(name=args.model, pretrained=str(exported))
        common = dict(clip=clip, sampling=dict(fps=1.2), max_frames=12, sentences=1, test_mode=True)
        raw = VideoTexts("csv", str(table), **common)
        begin = time.perf_counter()
        cached = VideoTexts("csv", str(table), store=str(folder / "store"), dtype="fp32", **common)
        making = time.perf_counter() - begin
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 0.0)
        cases = {
            "raw": lambda: epoch(model, raw, optimizer, args.device),
            "cached": lambda: epoch(model, cached, optimizer, args.device),
        }
        first, other = cases["raw"](), cases["cached"]()
        if abs(first - other) > 1e-3 * abs(first):
            raise SystemExit(f"losses differ: raw {first}, cached {other}")
        spent = interleaved(cases, args.rounds, args.device, warmup=0)
    gain = ratio(spent, "raw", "cached")
    before, after = Spread.of(spent["raw"]), Spread.of(spent["cached"])
    report.row(
        args.model, str(args.videos), before.text(".2f", " s"), after.text(".3f", " s"), gain.text(".0f"),
        f"{making:.1f} s", model=args.model, videos=args.videos, raw_seconds=before, cached_seconds=after, ratio=gain,
        store_seconds=making,
    )  # fmt: skip


if __name__ == "__main__":
    main()
