"""A pass over questions about photos: from the stored grids, and with CLIP's grid computed in every step.

    python benchmarks/vqa_grids.py

The same transformer trains on the same frozen CLIP (ViT-B/16 with random weights, photos of 224 x 224, 16 photos with 5
questions in a step); the first losses are compared before a ratio is printed. What making the store costs, once, is a
column of its own. Aim: 20 times with ViT-B/16; of the tiny CLIP the ratio is reported.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from _timing import Report, Spread, interleaved, parser, ratio, start
from clipkit_plugins.vqa import PhotoQuestions
from mmengine.registry import DefaultScope
from PIL import Image

from clipkit.data.images import read_image
from clipkit.embed.grids import picture_tensor
from clipkit.engine.registry import MODELS
from clipkit.shapes import render
from clipkit.shapes.chunks import to_bytes
from clipkit.video.datasets import collate_lists

BATCH, ASKED = 16, 5


def make_files(folder: Path, photos: int, size: int) -> Path:
    """Photos, and questions about them that each have an answer."""
    lines = []
    for number, rgb in enumerate(to_bytes(render(photos, seed=1, size=size).images)):
        Image.fromarray(rgb).save(folder / f"{number}.png")
        lines += [
            json.dumps({"image": f"{number}.png", "question": f"what is number {k}?", "answer": f"answer {k}"})
            for k in range(ASKED)
        ]
    (folder / "questions.jsonl").write_text("\n".join(lines))
    return folder / "questions.jsonl"


def epoch(model: torch.nn.Module, data: PhotoQuestions, optimizer: torch.optim.Optimizer, stored: bool) -> float:
    """One pass; returns its first loss."""
    losses = []
    for begin in range(0, len(data), BATCH):
        places = range(begin, min(begin + BATCH, len(data)))
        if stored:
            batch = collate_lists([data[i] for i in places])
        else:
            photos = [picture_tensor(read_image(data.photos[i]), model.size, model.clip.patch_size) for i in places]
            grid, _ = model.look(torch.stack(photos))
            asked = [data.questions(i) for i in places]
            batch = {
                "cells": list(grid.cells),
                "place": list(grid.place),
                "joint": list(grid.joint),
                "questions": [[one.text for one in own] for own in asked],
                "given": [[one.answers for one in own] for own in asked],
            }
        loss = model(**batch, mode="loss")["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0]


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--model", default="ViT-B-16", help="open_clip name, random weights (default: ViT-B-16)")
    options.add_argument("--photos", type=int, default=32, help="files (default: 32)")
    args: argparse.Namespace = options.parse_args()
    start(args)
    size = 224
    if args.quick:
        args.model, args.photos, size = "tiny-shapes", 4, 64
    columns = ["model", "photos", "epoch, encoding", "epoch, stored", "encoding / stored", "making the store, once"]
    report = Report(args, "vqa_grids", columns)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary, DefaultScope.overwrite_default_scope("clipkit"):
        folder = Path(temporary)
        questions = make_files(folder, args.photos, size)
        vocabulary = dict(file=str(folder / "vocabulary.json"), questions=str(questions), at_least=1)
        model = MODELS.build(dict(type="GridVQA", clip=dict(name=args.model), vocabulary=vocabulary, size=size)).to(
            args.device
        )
        exported = folder / "clip.pt"
        torch.save(model.clip.model.state_dict(), exported)  # random weights, the same on both sides
        begin = time.perf_counter()
        data = PhotoQuestions(
            str(questions), str(folder), each=None, size=size, store=str(folder / "store"),
            clip=dict(name=args.model, pretrained=str(exported)),
        )  # fmt: skip
        making = time.perf_counter() - begin
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 0.0)
        cases = {
            "encoding": lambda: epoch(model, data, optimizer, stored=False),
            "stored": lambda: epoch(model, data, optimizer, stored=True),
        }
        first, other = cases["encoding"](), cases["stored"]()
        if abs(first - other) > 1e-2 * abs(first):  # the store holds half precision
            raise SystemExit(f"losses differ: encoding {first}, stored {other}")
        spent = interleaved(cases, args.rounds, args.device, warmup=0)
    gain = ratio(spent, "encoding", "stored")
    before, after = Spread.of(spent["encoding"]), Spread.of(spent["stored"])
    report.row(
        args.model, str(args.photos), before.text(".2f", " s"), after.text(".3f", " s"), gain.text(".1f"),
        f"{making:.1f} s", model=args.model, photos=args.photos, encoding_seconds=before, stored_seconds=after,
        ratio=gain, store_seconds=making,
    )  # fmt: skip


if __name__ == "__main__":
    main()
