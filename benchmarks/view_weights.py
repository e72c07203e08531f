"""The search of PointCLIP's view weights: by logits of each view that were multiplied once, and by the released loop.

    python benchmarks/view_weights.py

ModelNet40's test set in size: 2,468 clouds, 6 views, 40 classes, embeddings of 512; random features around the text.
clipkit tries all 4,096 combinations; the loop, which multiplies all features anew for each, is timed over some of them
and scaled, after both have found the same weights on a set that is small enough. Aim: 100 times.
"""

from __future__ import annotations

import argparse
from itertools import islice, product

import torch
from _timing import Report, Spread, interleaved, parser, ratio, start
from clipkit_plugins.pointclip.search import search_view_weights
from torch import Tensor

VALUES = (0.25, 0.5, 0.75, 1.0)


def loop(features: Tensor, text: Tensor, labels: Tensor, some: int | None = None) -> tuple[tuple[float, ...], float]:
    """The released search over the first `some` combinations."""
    views, best, found = features.shape[1], -1.0, (0.0,)
    repeated = text.repeat(1, views)
    for weights in islice(product(VALUES, repeat=views), some):
        weighted = (features * torch.tensor(weights).view(1, -1, 1)).reshape(len(features), -1)
        logits = 100.0 * weighted @ repeated.T
        right = logits.topk(5, 1)[1][:, 0].eq(labels).float().sum().item()
        if right > best:
            best, found = right, weights
    return found, 100 * best / len(features)


def made(clouds: int, views: int, classes: int, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features `(N, V, D)` around their class's text, text and labels."""
    text = torch.nn.functional.normalize(torch.randn(classes, dim), dim=1)
    labels = torch.randint(classes, (clouds,))
    noise = torch.randn(clouds, views, dim) * torch.linspace(0.08, 0.2, views).view(1, -1, 1)
    return torch.nn.functional.normalize(text[labels][:, None] + noise, dim=2), text, labels


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--some", type=int, default=16, help="combinations that the loop is timed over (default: 16)")
    args: argparse.Namespace = options.parse_args()
    start(args)
    torch.manual_seed(0)
    small = made(200, 4, 10, 64)
    theirs, ours = loop(*small), search_view_weights(small[0] @ small[1].T, small[2], VALUES)
    if theirs[0] != tuple(ours.weights.tolist()) or abs(theirs[1] - ours.accuracy) > 1e-3:
        raise SystemExit(f"the two searches differ: {theirs} and {ours}")
    views = 3 if args.quick else 6
    features, text, labels = made(60 if args.quick else 2468, views, 40, 512)
    combinations = len(VALUES) ** views
    some = min(args.some, combinations)
    cases = {
        "loop": lambda: loop(features, text, labels, some),
        "clipkit": lambda: search_view_weights(features @ text.T, labels, VALUES),
    }
    spent = interleaved(cases, args.rounds, "cpu", warmup=0 if args.quick else 1)
    spent["loop"] = [seconds * combinations / some for seconds in spent["loop"]]
    gain = ratio(spent, "loop", "clipkit")
    before, after = Spread.of(spent["loop"]), Spread.of(spent["clipkit"])
    columns = ["combinations", "the loop, scaled to all", "clipkit", "loop / clipkit"]
    Report(args, "view_weights", columns).row(
        str(combinations), before.text(".1f", " s"), after.text(".2f", " s"), gain.text(".0f"),
        combinations=combinations, timed=some, loop_seconds=before, clipkit_seconds=after, ratio=gain,
    )  # fmt: skip


if __name__ == "__main__":
    main()
