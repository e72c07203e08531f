"""Whether the scenes of `glip/glip_tiny_relations.py` can be solved: `python benchmarks/glip_relations.py`.

A control for claim C23: the objects of a scene are given as tokens (shape, colour, box) in place of its pixels, to the
same text side, fusion and dot product. What it reaches and a training on pixels does not is a matter of seeing, not of
the phrases or of the fusion. Of a twin scene one phrase is asked; the share of phrases whose object scores best.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clipkit.detection.prompts import list_prompt
from clipkit.detection.shapes_grounding import ShapesGroundingDataset
from clipkit.engine import load_plugins
from clipkit.engine.registry import MODELS
from clipkit.nn import BiFuse, TextLayer

WIDTH, HEADS, BLOCKS, BATCH = 96, 4, 2, 256


class Control(nn.Module):
    """Blocks of the head in which objects read each other where `DyConv` lets places read their neighbours."""

    def __init__(self, deep: bool):
        super().__init__()
        self.text = MODELS.build({"type": "clipkit.ClipPrompts", "width": WIDTH, "heads": HEADS})
        self.see = nn.Sequential(nn.Linear(24, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))
        self.fuse = nn.ModuleList(
            BiFuse(WIDTH, WIDTH, WIDTH, HEADS, 1 / BLOCKS, dropout=0.0) for _ in range(BLOCKS * deep)
        )
        self.read = nn.ModuleList(TextLayer(WIDTH, HEADS, dropout=0.0) for _ in self.fuse)
        self.look = nn.ModuleList(TextLayer(WIDTH, HEADS, dropout=0.0) for _ in range(BLOCKS))
        self.project, self.bias = nn.Linear(WIDTH, WIDTH), nn.Parameter(torch.zeros(1))

    def forward(self, objects: Tensor, asked: list[list[str]]) -> list[Tensor]:
        """(B, 3, 24) -> of each scene the logits (3, phrases)."""
        text = self.text([list_prompt(phrases) for phrases in asked])
        words, seen = text.features, self.see(objects)
        every = torch.ones(len(seen), 1, seen.shape[1], dtype=torch.bool)
        for i, look in enumerate(self.look):
            if self.fuse:
                seen, words = self.fuse[i](seen, words, text.mask)
                words = self.read[i](words, text.attend)
            seen = look(seen, every)
        logits = seen @ self.project(F.normalize(words, dim=-1)).transpose(1, 2) + self.bias
        return [one @ own.float().T / own.sum(1) for one, own in zip(logits, text.phrases)]


def scenes(count: int, seed: int) -> tuple[Tensor, list]:
    """Objects (n, 3, 24), and of each scene its phrases and which of them are true of the twins."""
    data = ShapesGroundingDataset(count, seed=seed, ask="relations")
    labels, boxes = torch.from_numpy(data.labels[data.kept]), torch.from_numpy(data.boxes[data.kept]).float() / 64
    parts = [F.one_hot(labels % 12, 12), F.one_hot(labels // 12, 8), boxes]
    return torch.cat([part.float() for part in parts], 2), [data.relations[i] for i in data.kept]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=250, help=f"of {BATCH} scenes (default: 250)")
    options.add_argument("--scenes", type=int, default=16_384, help="that are drawn for training (default: 16384)")
    options.add_argument("--seed", type=int, default=0)
    args = options.parse_args()
    load_plugins("glip")
    torch.set_num_threads(1)
    (objects, relations), (held, asked) = scenes(args.scenes, 1), scenes(2048, 2)
    own = np.random.default_rng(0).integers(0, 2, len(asked)).tolist()
    for deep in (False, True):
        torch.manual_seed(args.seed)
        draw = np.random.default_rng(args.seed)
        model = Control(deep)
        optimizer = torch.optim.AdamW(model.parameters(), 1.5e-3, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.5e-3, args.steps, pct_start=0.1)
        for _ in range(args.steps):
            rows = draw.integers(0, len(objects), BATCH).tolist()
            drawn = [draw.permutation(4)[: draw.integers(1, 5)].tolist() for _ in rows]
            phrases = [[relations[i].phrases[k] for k in ks] for i, ks in zip(rows, drawn)]
            loss = objects.new_zeros(())
            for i, ks, logits in zip(rows, drawn, model(objects[rows], phrases)):
                truth = torch.tensor([[float(k == way) for k in ks] for way in (*relations[i].owns, None)])
                loss = loss + F.binary_cross_entropy_with_logits(logits, truth) / BATCH
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 2.0)
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            found = [
                int(logits.argmax())
                for start in range(0, len(asked), BATCH)
                for logits in model.eval()(
                    held[start : start + BATCH],
                    [[one.phrases[one.owns[i]]] for one, i in zip(asked[start:], own[start : start + BATCH])],
                )
            ]
        right = 100 * float(np.mean([a == b for a, b in zip(found, own)]))
        twin = 100 * float(np.mean([a == 1 - b for a, b in zip(found, own)]))
        row = {"head": "deep" if deep else "shallow", "steps": args.steps, "samples": args.steps * BATCH}
        print(json.dumps({**row, "right": round(right, 1), "twin": round(twin, 1), "phrases": len(asked)}), flush=True)


if __name__ == "__main__":
    main()
