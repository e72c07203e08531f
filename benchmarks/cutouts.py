"""32 warped copies of a picture: by one sampling for all, and by torchvision's transforms copy by copy.

    python benchmarks/cutouts.py --threads 1

Each copy is turned and sheared, seen askew, cropped and shown in other light (VQGAN-CLIP's list but for hue), forward
and backward from 256 x 256 to 224 x 224. With nothing to draw by lot the two give the same picture, which is compared
before a ratio is printed. Aim: 3 times as fast.
"""

from __future__ import annotations

import torch
from _timing import Report, Spread, interleaved, parser, ratio, start
from torchvision import transforms as tv

from clipkit.optimise import Cutouts
from clipkit.shapes import render


def main() -> None:
    options = parser(__doc__, rounds=7)
    options.add_argument("--copies", type=int, default=32, help="of the picture (default: 32)")
    args = options.parse_args()
    start(args)
    side, size = (256, 224) if not args.quick else (72, 64)
    args.copies = 4 if args.quick else args.copies
    picture = render(1, size=side, seed=0).images.to(args.device).requires_grad_()
    plain = Cutouts(size, 1, perspective=0, crop=(1, 1))(picture)[0]
    theirs = tv.Resize((size, size), antialias=False)(picture)
    if (plain - theirs)[..., 1:-1, 1:-1].abs().max() > 1e-4:
        raise SystemExit("without a warp the two differ")
    cutouts = Cutouts(
        size, args.copies, perspective=0.5, crop=(0.7, 0.9), degrees=15, translate=0.1, shear=5, jitter=0.1
    )
    one = tv.Compose(
        [
            tv.RandomAffine(15, (0.1, 0.1), shear=5, interpolation=tv.InterpolationMode.BILINEAR, fill=1.0),
            tv.RandomPerspective(0.5, p=1.0, fill=1.0),
            tv.RandomResizedCrop(size, (0.7, 0.9), (1.0, 1.0), antialias=False),
            tv.ColorJitter(0.1, 0.1, 0.1),
        ]
    )
    cases = {
        "ours": lambda: cutouts(picture)[0].square().sum().backward(),
        "torchvision": lambda: torch.cat([one(picture) for _ in range(args.copies)]).square().sum().backward(),
    }
    spent = interleaved(cases, args.rounds, args.device, warmup=1)
    gain = ratio(spent, "torchvision", "ours")
    ours, loop = (Spread.of([1e3 * s for s in spent[name]]) for name in ("ours", "torchvision"))
    report = Report(args, "cutouts", ["copies", "ours", "torchvision's loop", "torchvision / ours"])
    report.row(
        str(args.copies), ours.text(".0f", " ms"), loop.text(".0f", " ms"), gain.text(".1f"),
        copies=args.copies, ours_ms=ours, torchvision_ms=loop, ratio=gain,
    )  # fmt: skip


if __name__ == "__main__":
    main()
