"""Evaluating text-video retrieval: `python benchmarks/retrieval_evaluation.py`.

From sentence and frame embeddings to R@k both ways, by `clipkit.evaluation.retrieve` and by the loop of released code:
for every batch of 16 texts and every batch of 16 videos the frames are normalised and pooled, the temporal module runs,
a 16 x 16 product goes to the CPU as an array; then the matrix is sorted. MSVD's loop has its videos in batches of one,
because a video is loaded once a sentence and the repetitions are dropped afterwards.

The loop is timed on a slice, every k-th pair of batches, and its time is scaled to all pairs; sorting is timed whole.
Both sides use one head with the same weights (the loop's meanP is the released arithmetic, step by step), and their
scores on the slice are compared before a ratio is printed. `loop / product` is the limit for heads that pool: the ratio
if nothing but the matrix product of all texts and videos took time.

Aims: meanP on 1,000 x 1,000: 50 times; seqTransf on 1,000 x 1,000: 30 times; MSVD's 27,763 x 670: 500 times.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import torch
from _timing import Report, Spread, parser, start, synchronize

from clipkit.adapters import MeanPool, QueryScoring, SeqTransformer, TightTransformer
from clipkit.evaluation import retrieve
from clipkit.evaluation.video_retrieval import score_rows

BATCH = 16


@dataclass
class Case:
    """One row: `texts` of `videos` in turn; the loop does every `every`-th pair of its batches."""

    name: str
    head: str
    texts: int
    videos: int
    every: int
    aim: int | None = None
    video_batch: int = BATCH


CASES = (
    Case("MSR-VTT 1k-A", "meanP", 1000, 1000, 20, 50),
    Case("MSR-VTT 1k-A", "seqTransf", 1000, 1000, 100, 30),
    Case("MSVD", "meanP", 27763, 670, 3000, 500, 1),
    Case("MSVD", "seqTransf", 27763, 670, 20000, 500, 1),
    Case("MSR-VTT 1k-A", "query scoring", 1000, 1000, 20),
)
QUICK = (
    Case("quick", "meanP", 96, 64, 2),
    Case("quick", "seqTransf", 96, 64, 4),
    Case("quick", "tightTransf", 48, 32, 2),
)


def build(name: str, dim: int) -> torch.nn.Module:
    torch.manual_seed(0)
    heads = {
        "meanP": MeanPool,
        "seqTransf": lambda: SeqTransformer(dim),
        "query scoring": QueryScoring,
        "tightTransf": lambda: TightTransformer(dim),
    }
    return heads[name]().eval()


def material(case: Case, frames: int, dim: int, device: str) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(0)
    text = torch.randn(case.texts, dim, generator=g)
    video = torch.randn(case.videos, frames, dim, generator=g)
    mask = torch.ones(case.videos, frames, dtype=torch.bool)
    owner = torch.arange(case.texts) % case.videos
    return text.to(device), video.to(device), mask.to(device), owner.sort().values


def released_mean(text: torch.Tensor, video: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Scores `(n, m)` of meanP in the released order: unit frames, masked, summed, divided, unit; times unit texts."""
    video = video / video.norm(dim=-1, keepdim=True)
    kept = mask.float()[..., None]
    count = kept.sum(1)
    count[count == 0] = 1
    video = (video * kept).sum(1) / count
    video = video / video.norm(dim=-1, keepdim=True)
    return text / text.norm(dim=-1, keepdim=True) @ video.T


@torch.no_grad()
def loop(head: torch.nn.Module, case: Case, text: torch.Tensor, video: torch.Tensor, mask: torch.Tensor):
    """(seconds a pair of batches, its count, blocks of scores by their corner)."""
    corners = [(i, j) for i in range(0, case.texts, BATCH) for j in range(0, case.videos, case.video_batch)]
    chosen = corners[:: case.every]
    blocks = {}
    similarity = released_mean if case.head == "meanP" else head.similarity
    begin = time.perf_counter()
    for i, j in chosen:
        part = slice(j, j + case.video_batch)
        blocks[i, j] = similarity(text[i : i + BATCH], video[part], mask[part]).cpu().numpy()
    return (time.perf_counter() - begin) / len(chosen), len(corners), blocks


def product_alone(text: torch.Tensor, videos: torch.Tensor) -> float:
    """Seconds of the one matrix product that no evaluation of pooled videos can do without, a block at a time."""
    begin = time.perf_counter()
    for block in text.split(1024):
        block @ videos.T
    synchronize(str(text.device))
    return time.perf_counter() - begin


def sorting(texts: int, videos: int) -> float:
    """Seconds of the released metrics on a matrix: rows are sorted and searched, both ways; with several sentences a
    video the groups are padded to the longest and sorted twice."""
    rng = np.random.default_rng(0)
    begin = time.perf_counter()
    if texts == videos:
        matrix = rng.standard_normal((texts, videos)).astype(np.float32)
        for scores in (matrix, matrix.T):
            np.where(np.sort(-scores, axis=1) + np.diag(scores)[:, None] == 0)
        return time.perf_counter() - begin
    longest = 81  # sentences of one of MSVD's test videos, so (670, 81, 670) is what is sorted
    part = 10  # videos that are timed, of all
    padded = torch.from_numpy(rng.standard_normal((part, longest, videos)).astype(np.float32))
    begin = time.perf_counter()
    padded.argsort(-1, descending=True).argsort(-1)
    return (time.perf_counter() - begin) * videos / part


def measure(report: Report, case: Case, args: argparse.Namespace) -> None:
    head = build(case.head, args.dim).to(args.device).requires_grad_(False)
    text, video, mask, owner = material(case, args.frames, args.dim, args.device)
    rows = score_rows(head, text, video, mask)
    ratios, ours, theirs, limits = [], [], [], []
    for round_number in range(args.rounds + 1):  # the first warms up
        synchronize(args.device)
        begin = time.perf_counter()
        retrieve(head, text, video, mask, owner).metrics()
        synchronize(args.device)
        mine = time.perf_counter() - begin
        product = product_alone(text, video[:, 0]) if head.pools else None
        each, count, blocks = loop(head, case, text, video, mask)
        other = each * count + sorting(case.texts, case.videos)
        for (i, j), block in blocks.items():
            found = rows(torch.arange(i, min(i + BATCH, case.texts)))[:, j : j + case.video_batch].cpu().numpy()
            if np.abs(found - block).max() > 1e-4 * max(1.0, np.abs(block).max()):
                raise SystemExit(f"{case.name} {case.head}: scores differ by {np.abs(found - block).max()}")
        if round_number:
            ours.append(mine)
            theirs.append(other)
            ratios.append(other / mine)
            limits.append(other / product if product else float("nan"))
    aim = "" if case.aim is None else f" (aim >= {case.aim})"
    report.row(
        case.name, case.head, f"{case.texts:,} x {case.videos:,}", f"{len(blocks):,} of {count:,}",
        Spread.of(theirs).text(".1f", " s"), Spread.of(ours).text(".3f", " s"), Spread.of(ratios).text(".0f") + aim,
        Spread.of(limits).text(".0f") if head.pools else "",
        case=case.name, head=case.head, texts=case.texts, videos=case.videos, frames=args.frames, dim=args.dim,
        timed_calls=len(blocks), all_calls=count, loop_seconds=Spread.of(theirs), seconds=Spread.of(ours),
        ratio=Spread.of(ratios), aim=case.aim, limit=Spread.of(limits) if head.pools else None,
    )  # fmt: skip


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--frames", type=int, default=12, help="of a video (default: 12)")
    options.add_argument("--dim", type=int, default=512, help="of the embeddings (default: 512)")
    args = options.parse_args()
    start(args)
    if args.quick:
        args.dim = 64
    columns = ["set", "head", "texts x videos", "calls timed", "loop, scaled to all", "clipkit", "loop / clipkit"]
    columns.append("loop / product")
    report = Report(args, "retrieval_evaluation", columns)
    for case in QUICK if args.quick else CASES:
        measure(report, case, args)


if __name__ == "__main__":
    main()
