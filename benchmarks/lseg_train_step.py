"""A training step of LSeg with ViT-L/16 at crop 480, images a second.

    python benchmarks/lseg_train_step.py --device cuda

One step is forward, cross-entropy over all pixels and 150 labels, backward, SGD with momentum. Rows:

- "original's arithmetic": float32, and the text of all labels encoded in every step through a text tower whose weights
  require gradients (it is left out of the optimiser only), in fp16 on a GPU, as the original loads it there;
- "fp32": the same without the text, which clipkit encodes once;
- "bf16": clipkit's `precision="bf16"`.

Ratios are of steps that take turns. The share of the peak is the step's operations, counted by torch's FlopCounterMode
(matrix products, convolutions, attention), a second, over those of one large square matrix product in the row's
dtype, measured in the same run. Weights are random. Aim: bf16 at least twice as fast as the original's arithmetic.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from _lseg import TOWERS, build_lseg
from _timing import Report, Spread, interleaved, parser, ratio, start
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.utils.flop_counter import FlopCounterMode

CASES = {"original": "original's arithmetic", "fp32": "fp32, text once", "bf16": "clipkit, bf16"}


class Step:
    """One training step at a time of a model of its own; `loss` of the last."""

    def __init__(self, model: Any, images: torch.Tensor, target: torch.Tensor, text_in_every_step: bool):
        self.model, self.images = model.train(), images
        self.samples = []
        for ids in target:
            self.samples.append(SegDataSample())
            self.samples[-1].gt_sem_seg = PixelData(data=ids[None])
        trained = [p for name, p in model.named_parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(trained, lr=1e-4, momentum=0.9, weight_decay=1e-4)
        self.clip: Any = None
        if text_in_every_step:
            self.clip = copy.deepcopy(model.text.clip.model).requires_grad_(True)
            if images.is_cuda:
                self.clip.half()
        self.loss = 0.0

    def __call__(self) -> None:
        if self.clip is not None:
            ids = self.model.text.clip.tokenize(self.model.classes).to(self.images.device)
            self.model.train_text = F.normalize(self.clip.encode_text(ids).float(), dim=1)
        loss = self.model.loss(self.images, self.samples)["loss"]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.loss = float(loss.detach())


def count_operations(step: Step) -> float:
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def matrix_peak(size: int, dtype: torch.dtype, args: argparse.Namespace) -> float:
    """Operations a second of a square product; the best of some."""
    a, b = (torch.randn(size, size, device=args.device).to(dtype) for _ in range(2))
    case: dict[str, Callable[[], object]] = {"product": lambda: a @ b}
    return 2 * size**3 / min(interleaved(case, 10, args.device)["product"])


def main() -> None:
    options = parser(__doc__, rounds=15)
    options.add_argument("--tower", default="vit_large_patch16_384", choices=TOWERS, help="default: LSeg's ViT-L/16")
    options.add_argument("--text", default="ViT-B-32", help="open_clip's name of the text tower (default: ViT-B-32)")
    options.add_argument("--labels", type=int, default=150)
    options.add_argument("--batch", type=int, default=8, help="images a step (default: 8)")
    options.add_argument("--crop", type=int, default=480)
    options.add_argument("--product", type=int, default=8192, help="side of the matrix product (default: 8192)")
    args = options.parse_args()
    start(args)
    if args.quick:
        args.tower, args.text, args.labels, args.batch = "vit_tiny_patch16_224", "tiny-shapes", 5, 2
        args.crop, args.product = 64, 256

    generator = torch.Generator().manual_seed(0)
    images = (2 * torch.rand(args.batch, 3, args.crop, args.crop, generator=generator) - 1).to(args.device)
    target = torch.randint(args.labels, (args.batch, args.crop, args.crop), generator=generator).to(args.device)

    def build(precision: str, text_in_every_step: bool = False) -> Step:
        model = build_lseg(args.tower, args.text, args.labels, args.device, precision)
        return Step(model, images, target, text_in_every_step)

    steps = {"original": build("fp32", text_in_every_step=True), "fp32": build("fp32"), "bf16": build("bf16")}
    operations = {name: count_operations(step) for name, step in steps.items()}
    first = {name: step.loss for name, step in steps.items()}
    for name, allowed in (("fp32", 2e-3), ("bf16", 3e-2)):  # the original's text tower is in fp16
        if abs(first[name] - first["original"]) > allowed * first["original"]:
            raise SystemExit(f"first losses differ: {first}; no time is comparable")
    peaks = {dtype: matrix_peak(args.product, dtype, args) for dtype in (torch.float32, torch.bfloat16)}

    columns = ["tower", "batch", "case", "images/s", "times the original's", "TFLOP/s", "share of the product's"]
    report = Report(args, "lseg_train_step", columns)
    seconds = interleaved(steps, args.rounds, args.device)
    for name, title in CASES.items():
        rate = Spread.of([args.batch / s for s in seconds[name]])
        gain = ratio(seconds, "original", name)
        speed = Spread.of([operations[name] / s / 1e12 for s in seconds[name]])
        peak = peaks[torch.bfloat16 if name == "bf16" else torch.float32] / 1e12
        report.row(
            args.tower,
            str(args.batch),
            title,
            rate.text(".2f"),
            gain.text(".2f"),
            speed.text(".2f"),
            f"{speed.median / peak:.0%} of {peak:.2f}",
            tower=args.tower,
            text=args.text,
            labels=args.labels,
            batch=args.batch,
            crop=args.crop,
            case=name,
            images_per_second=rate,
            gain=gain,
            tflops=speed,
            product_tflops=peak,
            product_size=args.product,
            first_loss=first[name],
        )


if __name__ == "__main__":
    main()
