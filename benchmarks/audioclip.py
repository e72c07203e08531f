"""A training step of a tower for sound: from stored spectrograms and embeddings, and with rendering and encoding in it.

    python benchmarks/audioclip.py

The same tower trains on the same scenes of the embedded world, 128 in a step: in one case their spectrograms and the
tiny CLIP's embeddings of pictures and captions are read from the store, in the other scenes and sounds are rendered and
CLIP sees and reads them in every step. The first losses are compared before a ratio is printed. What making the store
costs, once, is a column of its own. Aim: 4 times.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import torch
from _timing import Report, Spread, interleaved, parser, ratio, start
from clipkit_plugins.audioclip import SceneSounds
from clipkit_plugins.audioclip.dataset import SCENES
from mmengine.registry import DefaultScope

from clipkit.engine.registry import MODELS
from clipkit.shapes import render, render_sounds
from clipkit.shapes.chunks import CHUNK, SEED_STEP
from clipkit.shapes.evaluate import embed_images, embed_texts
from clipkit.video.datasets import collate_lists

BATCH = 128


def encoded(model: torch.nn.Module, number: int, seed: int) -> dict[str, list]:
    """Batch `number` of the scenes that `SceneSounds` stores, made here and now."""
    scenes = render(CHUNK, seed=SCENES + seed * SEED_STEP + number * BATCH // CHUNK, objects=(1, 1), split=None)
    begin = number * BATCH % CHUNK
    part = slice(begin, begin + BATCH)
    sounds = model.spectrogram(render_sounds(scenes)[part])
    images = embed_images(model.clip, (scenes.images[part] * 255).round() / 255)
    texts = embed_texts(model.clip, scenes.full_captions[part])
    return {"sound": list(sounds[:, None]), "image": list(images), "text": list(texts)}


def steps(model: torch.nn.Module, data: SceneSounds, optimizer: torch.optim.Optimizer, stored: bool) -> float:
    """One pass over the scenes; returns its first loss."""
    losses = []
    for number in range(len(data) // BATCH):
        torch.manual_seed(number)  # the same augmentations on both sides
        if stored:
            batch = collate_lists([data[i] for i in range(number * BATCH, (number + 1) * BATCH)])
            batch.pop("label")
        else:
            batch = encoded(model, number, 1)
        torch.manual_seed(number)
        loss = sum(model(**batch, mode="loss").values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0]


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--scenes", type=int, default=512, help="in a pass (default: 512)")
    args: argparse.Namespace = options.parse_args()
    start(args)
    if args.quick:
        args.scenes = BATCH
    columns = ["scenes", "pass, encoding", "pass, stored", "encoding / stored", "making the store, once"]
    report = Report(args, "audioclip", columns)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, DefaultScope.overwrite_default_scope("clipkit"):
        begin = time.perf_counter()
        data = SceneSounds(args.scenes, clip="tiny_clip", store=folder, seed=1)
        making = time.perf_counter() - begin
        model = MODELS.build(dict(type="AudioCLIP", clip="tiny_clip")).to(args.device)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 0.0)
        cases = {
            "encoding": lambda: steps(model, data, optimizer, stored=False),
            "stored": lambda: steps(model, data, optimizer, stored=True),
        }
        first, other = cases["encoding"](), cases["stored"]()
        if abs(first - other) > 1e-2 * abs(first):  # the store's spectrograms are half precision
            raise SystemExit(f"losses differ: encoding {first}, stored {other}")
        spent = interleaved(cases, args.rounds, args.device, warmup=0)
    gain = ratio(spent, "encoding", "stored")
    before, after = Spread.of(spent["encoding"]), Spread.of(spent["stored"])
    report.row(
        str(args.scenes), before.text(".2f", " s"), after.text(".2f", " s"), gain.text(".1f"), f"{making:.1f} s",
        scenes=args.scenes, encoding_seconds=before, stored_seconds=after, ratio=gain, store_seconds=making,
    )  # fmt: skip


if __name__ == "__main__":
    main()
