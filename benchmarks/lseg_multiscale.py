"""LSeg's multi-scale and mirrored evaluation as the original drives it, and as clipkit does.

    python benchmarks/lseg_multiscale.py

One image, one model object, the protocol of the original: scales 0.5 to 1.75 of 520 pixels, mirror images, windows of
480 at stride 320. An image of 683 x 512 has 18 windows. "As the original": each window and each mirror image alone (36
image forwards), the text of all labels encoded in each of them. "Text once, windows alone": the same, with the text
encoded once. "clipkit": `multi_scale`, which also shows the network several windows at a time. All three encode text
within the measured time; their logits are compared before their times are. The default tower is LSeg's ViT-B/32,
`--tower vit_large_patch16_384` is its ViT-L/16. Weights are random. Aim: clipkit at least 3 times as fast on a CPU.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import torch
import torch.nn.functional as F
from _lseg import TOWERS, build_lseg
from _timing import Report, Spread, interleaved, parser, ratio, start

from clipkit.inference import multi_scale

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
BLACK = -1.0  # of images normalised by mean 0.5 and std 0.5
CASES = {"original": "as the original", "text once": "text once, windows alone", "clipkit": "clipkit"}


def encode(model: Any) -> torch.Tensor:
    return model.text.clip.encode_text(model.classes)


def forward(model: Any, images: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    logits = model.label_logits(model.extract_feat(images), text)
    return F.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=True)


@torch.no_grad()
def one_by_one(model: Any, image: torch.Tensor, args: argparse.Namespace, text_once: bool) -> torch.Tensor:
    """The protocol, a window at a time."""
    text = encode(model) if text_once else None

    def network(window: torch.Tensor) -> torch.Tensor:
        return forward(model, window, encode(model) if text is None else text)

    high, wide = image.shape[-2:]
    total = image.new_zeros(1, args.labels, high, wide)
    for scale in SCALES:
        long = math.ceil(args.base * scale)
        h, w = (long, int(wide * long / high + 0.5)) if high > wide else (int(high * long / wide + 0.5), long)
        scaled = F.interpolate(image, (h, w), mode="bilinear", align_corners=True)
        logits, count = image.new_zeros(1, args.labels, h, w), image.new_zeros(1, 1, h, w)
        stride = args.window * 2 // 3
        for y in range(0, max(math.ceil((h - args.window) / stride), 0) * stride + 1, stride):
            for x in range(0, max(math.ceil((w - args.window) / stride), 0) * stride + 1, stride):
                piece = scaled[..., y : y + args.window, x : x + args.window]
                ph, pw = piece.shape[-2:]
                piece = F.pad(piece, (0, args.window - pw, 0, args.window - ph), value=BLACK)
                out = network(piece) + network(piece.flip(-1)).flip(-1)
                logits[..., y : y + ph, x : x + pw] += out[..., :ph, :pw]
                count[..., y : y + ph, x : x + pw] += 1
        total += F.interpolate(logits / count, (high, wide), mode="bilinear", align_corners=True)
    return total


@torch.no_grad()
def ours(model: Any, image: torch.Tensor, args: argparse.Namespace) -> torch.Tensor:
    text = encode(model)
    options = dict(flip=True, base_size=args.base, window=args.window, batch_size=args.batch, pad_value=BLACK)
    return multi_scale(lambda windows: forward(model, windows, text), image, SCALES, **options)


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--tower", default="vit_base_patch32_384", choices=TOWERS, help="default: LSeg's ViT-B/32")
    options.add_argument("--text", default="ViT-B-32", help="open_clip's name of the text tower (default: ViT-B-32)")
    options.add_argument("--labels", type=int, default=150)
    options.add_argument("--batch", type=int, default=8, help="windows in a forward of clipkit's (default: 8)")
    options.add_argument("--precision", default="fp32", help="of the image side, of all cases: fp32 bf16 fp16")
    args = options.parse_args()
    start(args)
    args.base, args.window, size = 520, 480, (512, 683)
    if args.quick:
        args.tower, args.text, args.labels, args.base, args.window = "vit_tiny_patch16_224", "tiny-shapes", 5, 70, 64
        size = (69, 92)

    model = build_lseg(args.tower, args.text, args.labels, args.device, args.precision)
    image = 2 * torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)).to(args.device) - 1
    cases = {
        "original": lambda: one_by_one(model, image, args, text_once=False),
        "text once": lambda: one_by_one(model, image, args, text_once=True),
        "clipkit": lambda: ours(model, image, args),
    }
    report = Report(args, "lseg_multiscale", ["tower", "labels", "case", "time", "as the original / this"])
    expected = cases["text once"]()  # also the warm-up
    apart = float((cases["clipkit"]() - expected).abs().max() / expected.abs().max())
    if apart > (1e-5 if args.precision == "fp32" else 2e-2):
        raise SystemExit(f"the results differ by {apart:.1e} of the largest logit: no time is comparable")
    seconds = interleaved(cases, args.rounds, args.device, warmup=0)
    for name, title in CASES.items():
        took, gain = Spread.of(seconds[name]), ratio(seconds, "original", name)
        report.row(
            args.tower,
            str(args.labels),
            title,
            took.text(".1f", " s"),
            gain.text(".2f"),
            tower=args.tower,
            text=args.text,
            labels=args.labels,
            precision=args.precision,
            batch=args.batch,
            case=name,
            seconds=took,
            gain=gain,
            largest_difference=apart,
        )


if __name__ == "__main__":
    main()
