"""GroupViT's zero-shot segmentation of one image as the original drives it, and as clipkit does.

    python benchmarks/groupvit.py

One image, one model object (ViT-S/16 with random weights), the original's protocol: short side 448, windows of 448 at
stride 224, background. "As the original": each window alone, and encoded twice, once for the maps of its groups and
once for their features. "clipkit": every window once, several at a time. An image of 683 x 512 has 2 windows. The
outputs are compared before the times are. Text is encoded once in both. Aim: clipkit at least 1.8 times as fast.
"""

from __future__ import annotations

import argparse
import math

import torch
import torch.nn.functional as F
from _timing import Report, Spread, interleaved, parser, ratio, start

from clipkit.engine.plugins import load_plugins
from clipkit.engine.registry import MODELS
from clipkit.inference import sliding_window

CASES = {"original": "as the original", "clipkit": "clipkit"}


def build(args: argparse.Namespace) -> torch.nn.Module:
    load_plugins("groupvit")
    torch.manual_seed(0)
    quick = args.quick
    names = ["background", *(f"class {i}" for i in range(args.labels))]
    encoder = dict(dim=384, heads=6, depths=(6, 3, 3), tokens=(64, 8, 0), groups=(64, 8, 0), init="unit")
    if quick:
        encoder = dict(dim=32, heads=2, depths=(1, 1, 1), tokens=(8, 4, 0), groups=(8, 4, 0), init="unit")
    config = dict(
        type="GroupViT",
        classes=names,
        text=dict(layers=2, hidden=64) if quick else dict(),
        tokens=dict(type="PatchTokens", dim=encoder["dim"], patch=16, size=224),
        encoder=encoder,
        hidden=64 if quick else 4096,
        top_classes=5,
        threshold=0.95,
        precision="fp32",
    )
    return MODELS.build(config).to(args.device).eval()


@torch.no_grad()
def original(model: torch.nn.Module, image: torch.Tensor, window: int) -> torch.Tensor:
    """A window at a time: its maps from one pass, its features from another."""
    high, wide = image.shape[-2:]
    stride = window // 2
    total, count = None, image.new_zeros(1, 1, high, wide)
    for y in range(max(math.ceil((high - window) / stride), 0) + 1):
        for x in range(max(math.ceil((wide - window) / stride), 0) + 1):
            top, left = (max(min(i * stride, side - window), 0) for i, side in ((y, high), (x, wide)))
            piece = image[..., top : top + window, left : left + window]
            maps = model.encode(piece)[2]
            groups, whole, _ = model.encode(piece)
            scores = model.scale() * F.normalize(groups, dim=-1) @ model.label_text.T
            of_image = model.scale() * F.normalize(whole, dim=-1) @ model.label_text.T
            best = of_image.topk(5, dim=1)
            few = torch.full_like(of_image, -torch.inf).scatter_(1, best.indices, best.values)
            found = scores.softmax(2) * few.softmax(1)[:, None]
            behind = found.amax(2, keepdim=True) < min(0.95, float(found.max()))
            found = torch.cat([found, behind.to(found)], dim=2)[0]
            hard = F.interpolate(maps, piece.shape[-2:], mode="bilinear").argmax(1)[0]
            if total is None:
                total = image.new_zeros(1, found.shape[1], high, wide)
            total[0, :, top : top + window, left : left + window] += found[hard].permute(2, 0, 1)
            count[..., top : top + window, left : left + window] += 1
    assert total is not None
    return total / count


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--labels", type=int, default=80)
    options.add_argument("--batch", type=int, default=8, help="windows in a forward of clipkit's (default: 8)")
    args = options.parse_args()
    start(args)
    window, size = (448, (448, 598)) if not args.quick else (64, (64, 96))  # 512 x 683 with a short side of 448
    model = build(args)
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0)).to(args.device)

    @torch.no_grad()
    def ours() -> torch.Tensor:
        return sliding_window(model.encode_decode, image, window=window, stride=window // 2, batch_size=args.batch)

    cases = {"original": lambda: original(model, image, window), "clipkit": ours}
    report = Report(args, "groupvit", ["labels", "case", "time", "as the original / this"])
    expected, found = cases["original"](), cases["clipkit"]()  # also the warm-up
    apart = float((found - expected).abs().max())
    if apart > 1e-4 or not torch.equal(found.argmax(1), expected.argmax(1)):
        raise SystemExit(f"the results differ by {apart:.1e}: no time is comparable")
    seconds = interleaved(cases, args.rounds, args.device, warmup=0)
    for name, title in CASES.items():
        took, gain = Spread.of(seconds[name]), ratio(seconds, "original", name)
        report.row(
            str(args.labels),
            title,
            took.text(".2f", " s"),
            gain.text(".2f"),
            labels=args.labels,
            batch=args.batch,
            case=name,
            seconds=took,
            gain=gain,
            largest_difference=apart,
        )


if __name__ == "__main__":
    main()
