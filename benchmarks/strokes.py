"""Strokes painted and differentiated: only the pixels that they touch, and the dense way, every pixel to every stroke.

    python benchmarks/strokes.py --threads 1

16 black strokes, 1.5 pixels wide, on 224 x 224: forward and backward. The dense way takes the distance of each pixel
to 31 pieces of each stroke, as short programs in plain PyTorch do. Pictures are compared before a ratio is printed.
Memory is the peak above what was in use. Aim: 20 times as fast with at most 10 % of the memory; 30 ms for 16 strokes,
200 ms for 256.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from _memory import MIB, read_peak, reset_peak
from _timing import Report, Spread, interleaved, parser, ratio, start
from torch import Tensor

from clipkit.nn import Strokes

PIECES, SIGMA = 31, 0.29


def bent(count: int, size: int) -> Tensor:
    """`(count, 4, 2)` gently bent strokes, about a fifth of the side long."""
    g = torch.Generator().manual_seed(0)
    first = size * (0.1 + 0.8 * torch.rand(count, 1, 2, generator=g))
    angle = 6.28 * torch.rand(count, 1, generator=g) + (1.2 * torch.rand(count, 3, generator=g) - 0.6).cumsum(1)
    legs = torch.stack([angle.cos(), angle.sin()], -1) * size * 0.06
    return torch.cat([first, first + legs.cumsum(1)], 1)


def dense(points: Tensor, width: float, size: int) -> Tensor:
    """`(1, 1, size, size)`: all distances of all pixels to all pieces of all strokes."""
    t = torch.linspace(0, 1, PIECES + 1)[:, None]
    p0, p1, p2, p3 = (points[:, None, i] for i in range(4))
    line = (1 - t) ** 3 * p0 + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t**2 * p2 + t**3 * p3
    axis = torch.arange(size) + 0.5
    pixel = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(-1, 1, 2)
    begin, leg = line[:, None, :-1], (line[:, 1:] - line[:, :-1])[:, None]
    away = pixel - begin
    along = ((away * leg).sum(-1) / leg.square().sum(-1)).clamp(0, 1)
    distance = ((away - along[..., None] * leg).square().sum(-1).amin(-1) + 1e-12).sqrt()
    scale = 1 / (SIGMA * math.sqrt(2))
    cover = 0.5 * (torch.erf((width / 2 - distance) * scale) + torch.erf((width / 2 + distance) * scale))
    return torch.exp(torch.log1p(-cover * (1 - 1e-6)).sum(0)).view(1, 1, size, size)


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--strokes", type=int, nargs="+", default=[16, 256], help="how many (default: 16 256)")
    options.add_argument("--dense-up-to", type=int, default=16, help="the dense way for so many (default: 16)")
    args = options.parse_args()
    start(args)
    size = 224
    if args.quick:
        size, args.strokes = 48, [4]
    report = Report(args, "strokes", ["strokes", "ours", "dense", "dense / ours", "memory, ours", "memory, dense"])
    for count in args.strokes:
        strokes = Strokes.of(bent(count, size), 1.5, size=(size, size))
        points = strokes.points.detach().view(count, 4, 2).clone().requires_grad_()
        cases: dict[str, Callable[[], object]] = {"ours": lambda s=strokes: s().square().sum().backward()}
        if count <= args.dense_up_to:
            apart = (strokes()[:, :1] - dense(points, 1.5, size)).abs().mean().item()
            if apart > 2e-3:
                raise SystemExit(f"the pictures differ: {apart:.4f} on average")
            cases["dense"] = lambda p=points: dense(p, 1.5, size).square().sum().backward()
        memory = {}
        for name, case in cases.items():
            case()
            before = reset_peak(args.device)
            case()
            memory[name] = (read_peak(args.device) - before) / MIB
        spent = interleaved(cases, args.rounds, args.device, warmup=1)
        ours = Spread.of([1e3 * s for s in spent["ours"]])
        cells = [str(count), ours.text(".1f", " ms")]
        values: dict[str, object] = {"strokes": count, "ours_ms": ours, "ours_mib": memory["ours"]}
        if "dense" in cases:
            gain, slow = ratio(spent, "dense", "ours"), Spread.of([1e3 * s for s in spent["dense"]])
            cells += [slow.text(".0f", " ms"), gain.text(".0f")]
            values |= {"dense_ms": slow, "ratio": gain, "dense_mib": memory["dense"]}
        else:
            cells += ["", ""]
        cells += [f"{memory['ours']:.1f} MiB", f"{memory['dense']:.0f} MiB" if "dense" in memory else ""]
        report.row(*cells, **values)


if __name__ == "__main__":
    main()
