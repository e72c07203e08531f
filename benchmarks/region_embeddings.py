"""Embedding the regions of images with a frozen CLIP: `python benchmarks/region_embeddings.py`.

Crops/s of `CLIPTeacher.regions` (pictures and boxes in, embeddings out) as a share of what the raw encoder does on
crops that are ready, normalised and on the device; and against the loop that PyTorch implementations use: PIL cuts and
resizes one box after another, then the crops of an image are encoded in batches. All encode as many crops in batches of
one size with the same weights. The last column times the raw encoder a second time: its distance from 1 is noise.

The second table goes from JPEG files to a teacher store on disk: hashing, decoding, embedding, writing.

Aims: a share of 0.95 on a CPU and 0.85 on a GPU; on a GPU 5 times the PIL loop; on one H200 20,000 crops/s from files.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from _timing import Report, Spread, interleaved, parser, ratio, start, synchronize
from PIL import Image

from clipkit.adapters import CLIPTeacher, scale_boxes
from clipkit.backbone import FrozenCLIP
from clipkit.data.proposals import ImageFile, list_dataset
from clipkit.embed.encoder import load_teacher
from clipkit.embed.regions import embed_regions

SCALES = (1.0, 1.5)


def pictures(count: int, height: int = 480, width: int = 640) -> torch.Tensor:
    """`(count, H, W, 3)` uint8 with structure at all sizes, so that JPEG files of them are of usual size."""
    g = torch.Generator().manual_seed(0)
    layers = [torch.rand(count, 3, height // 2**n, width // 2**n, generator=g) for n in range(1, 6)]
    whole = sum(F.interpolate(layer, (height, width), mode="bilinear") for layer in layers) / len(layers)
    return (whole * 255).byte().movedim(1, -1).contiguous()


def proposals(count: int, height: int = 480, width: int = 640, seed: int = 0) -> np.ndarray:
    """`(count, 4)` with sides log-uniform from 12 pixels to the picture's."""
    rng = np.random.default_rng(seed)
    sides = np.exp(rng.uniform(np.log(12), np.log([width, height]), (count, 2)))
    corner = rng.random((count, 2)) * (np.array([width, height]) - sides)
    return np.concatenate([corner, corner + sides], 1)


class RandomProposals:
    """Boxes from a seed; stands for a file of proposals."""

    key = {"from": "random"}

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, image: ImageFile, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        boxes = proposals(self.count, *pixels.shape[:2], seed=int(Path(image.name).stem))
        return boxes, np.linspace(1, 0.01, self.count)


@torch.no_grad()
def raw_encoder(clip: FrozenCLIP, ready: torch.Tensor, crops: int) -> None:
    """Encodes `crops` crops, in batches of as many as are `ready`."""
    for begin in range(0, crops, len(ready)):
        F.normalize(clip.model.encode_image(ready[: crops - begin]), dim=-1)


@torch.no_grad()
def pil_loop(clip: FrozenCLIP, images: list[Image.Image], boxes: list[torch.Tensor], batch: int) -> torch.Tensor:
    """(sum of boxes, D): CLIP's own PIL preprocessing, squashed as ours, one box after another."""
    rows = []
    for image, own in zip(images, boxes):
        total: torch.Tensor | float = 0.0
        for scale in SCALES:
            crops = []
            for x1, y1, x2, y2 in scale_boxes(own, scale).tolist():
                box = (max(int(x1 // 1), 0), max(int(y1 // 1), 0))
                box += (min(int(-(-x2 // 1)), image.width), min(int(-(-y2 // 1)), image.height))
                crop = image.crop(box).resize(clip.image_size[::-1], Image.Resampling.BICUBIC)
                crops.append(clip.preprocess(crop))
            parts = torch.stack(crops).to(clip.device).split(batch)
            total = total + torch.cat([clip.encode_image(part, normalize=False) for part in parts]).float()
        rows.append(F.normalize(torch.as_tensor(total), dim=-1))
    return torch.cat(rows)


def measure_regions(report: Report, args: argparse.Namespace, precision: str, batch: int, aim: float) -> None:
    """One row of the first table."""
    torch.manual_seed(0)
    clip = FrozenCLIP.from_pretrained(args.model, precision=precision, device=args.device)
    teacher = CLIPTeacher(clip, SCALES, crop_batch=batch)
    pixels = pictures(args.images)
    views = pixels.to(args.device).movedim(-1, 1).float() / 255
    whole = [Image.fromarray(p.numpy()) for p in pixels]
    boxes = [torch.from_numpy(proposals(args.boxes, seed=n)) for n in range(args.images)]
    crops = args.images * args.boxes * len(SCALES)
    ready = clip._normalised(torch.rand(min(batch, crops), 3, *clip.image_size, device=args.device))
    cases = {
        "raw": partial(raw_encoder, clip, ready, crops),
        "regions": partial(teacher.regions, views, boxes),
        "PIL loop": partial(pil_loop, clip, whole, boxes, batch),
        "raw again": partial(raw_encoder, clip, ready, crops),
    }
    similar = F.cosine_similarity(cases["regions"](), cases["PIL loop"]()).min()
    if similar < 0.999:
        raise SystemExit(f"{precision}: the two disagree (cosine {similar:.4f}); no time is comparable")
    seconds = interleaved(cases, args.rounds, args.device, warmup=1)
    rate = Spread.of([crops / s for s in seconds["raw"]])
    share, loop = ratio(seconds, "raw", "regions"), ratio(seconds, "PIL loop", "regions")
    noise = ratio(seconds, "raw", "raw again")
    report.row(
        args.model, precision, str(crops), rate.text(".0f", " crops/s"), share.text(), loop.text(".2f"), noise.text(),
        model=args.model, precision=precision, crops=crops, raw_crops_per_second=rate, share_of_raw=share,
        share_aim=aim, over_pil_loop=loop, noise_ratio=noise,
    )  # fmt: skip


def measure_files(report: Report, args: argparse.Namespace, precision: str) -> None:
    """One row of the second table."""
    with tempfile.TemporaryDirectory() as folder:
        jpeg = Path(folder) / "images"
        jpeg.mkdir()
        some = pictures(min(args.files, 32))
        for number in range(args.files):
            Image.fromarray(some[number % len(some)].numpy()).save(jpeg / f"{number:06d}.jpg", quality=90)
        torch.manual_seed(0)
        teacher, made_by = load_teacher(args.model, None, precision, torch.device(args.device))
        source, listed = RandomProposals(args.boxes), list_dataset(jpeg)
        work = {"most": args.boxes, "workers": args.workers, "progress": False}
        embed_regions(f"{folder}/warm", jpeg, listed[:1], source, teacher, made_by, **work)
        synchronize(args.device)
        begin = time.perf_counter()
        embed_regions(f"{folder}/store", jpeg, listed, source, teacher, made_by, **work)
        synchronize(args.device)
        spent = time.perf_counter() - begin
        size = sum(path.stat().st_size for path in Path(f"{folder}/store").iterdir()) / 2**20
    crops = args.files * args.boxes * len(SCALES)
    report.row(
        args.model, precision, f"{args.files} x {args.boxes} x {len(SCALES)}", f"{crops / spent:.0f}",
        f"{args.files / spent:.1f}", f"{size:.1f}", model=args.model, precision=precision, files=args.files,
        boxes=args.boxes, crops_per_second=crops / spent, images_per_second=args.files / spent, mib=size,
    )  # fmt: skip


def main() -> None:
    options = parser(__doc__, rounds=7)
    options.add_argument("--model", default="ViT-B-32", help="open_clip name, random weights (default: ViT-B-32)")
    options.add_argument("--precisions", nargs="+", default=["bf16"], help="fp32 bf16 fp16 (default: bf16)")
    options.add_argument("--images", type=int, help="pictures of 640 x 480 a measurement (default: 1 CPU, 16 GPU)")
    options.add_argument("--boxes", type=int, help="of each picture (default: 32 CPU, 300 GPU)")
    options.add_argument("--files", type=int, help="JPEG files of the second table (default: 8 CPU, 512 GPU)")
    options.add_argument("--workers", type=int, default=8, help="threads that read files (default: 8)")
    args = options.parse_args()
    start(args)
    on_gpu = args.device.startswith("cuda")
    args.images = args.images or (16 if on_gpu else 1)
    args.boxes = args.boxes or (300 if on_gpu else 32)
    args.files = args.files or (512 if on_gpu else 8)
    if args.quick:
        args.model, args.images, args.boxes, args.files = "tiny-shapes", 1, 8, 2
    batch, aim = (256, 0.85) if on_gpu else (32, 0.95)

    columns = ["model", "precision", "crops", "raw encoder", f"regions: share of raw (aim >= {aim})"]
    columns += ["PIL loop / regions, time" + (" (aim >= 5)" if on_gpu else ""), "raw / itself"]
    report = Report(args, "region_embeddings", columns)
    for precision in args.precisions:
        measure_regions(report, args, precision, batch, aim)
    print()
    columns = ["model", "precision", "files x boxes x crops", "crops/s", "images/s", "MiB on disk"]
    report = Report(args, "region_embeddings_files", columns)
    for precision in args.precisions:
        measure_files(report, args, precision)


if __name__ == "__main__":
    main()
