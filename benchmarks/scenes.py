"""Scenes a second of the generator at 64 pixels, in batches: `python benchmarks/scenes.py`.

Images with semantic and instance masks; and the same with boxes and captions, which are made when they are asked for.
On a CPU with 1 and with 2 threads, in turns. The bar: 2,000 scenes/s on 2 cores. Nothing is rendered twice: each
measurement takes a new seed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from _timing import Report, Spread, interleaved, parser, start

from clipkit.shapes import render


def main() -> None:
    options = parser(__doc__, rounds=15)
    options.add_argument("--batch", type=int, help="scenes a call (default: 256 on a CPU, 4096 on a GPU)")
    options.add_argument("--calls", type=int, default=4, help="calls a measurement (default: 4)")
    options.add_argument("--size", type=int, default=64)
    options.add_argument("--style", default="photo")
    args = options.parse_args()
    start(args)
    on_gpu = args.device.startswith("cuda")
    batch = args.batch or (4096 if on_gpu else 256)
    if args.quick:
        batch, args.calls = 32, 1
    seeds = itertools.count(10**6)

    def case(threads: int, words: bool) -> Callable[[], None]:
        def run() -> None:
            torch.set_num_threads(threads)
            for _ in range(args.calls):
                scenes = render(batch, size=args.size, style=args.style, seed=next(seeds), device=args.device)
                if words:
                    assert len(scenes.boxes) == len(scenes.captions) == batch

        return run

    counts = [args.threads] if on_gpu else sorted({1, min(2, args.threads)})
    todo = {(threads, words): case(threads, words) for threads in counts for words in (False, True)}
    seconds = interleaved(todo, args.rounds, args.device)
    report = Report(args, "scenes", ["threads", "what", "batch", "scenes/s"])
    for (threads, words), values in seconds.items():
        rate = Spread.of([batch * args.calls / value for value in values])
        what = "images, masks, boxes, captions" if words else "images, masks"
        report.row(
            str(threads),
            what,
            str(batch),
            rate.text(",.0f"),
            case=what,
            torch_threads=threads,
            size=args.size,
            style=args.style,
            batch=batch,
            scenes_per_second=rate,
        )


if __name__ == "__main__":
    main()
