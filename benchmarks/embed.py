"""What `clipkit embed` can do a second, stage by stage: `python benchmarks/embed.py`.

Made-up photos (JPEG, 512 x 384, about 45 KiB) in a webdataset archive: reading its members, decoding and resizing
them, encoding what that gives, and all of it at once into a store. On a CPU seconds are those of the process, which
others that run beside it do not lengthen; on a GPU they are a clock's. `docs/scale.md` makes of these what many
machines would take.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from _timing import Report, parser, start, synchronize
from PIL import Image

from clipkit.backbone import FrozenCLIP
from clipkit.data.samples import Sample, plan, read_part
from clipkit.device import images_at_once
from clipkit.embed.bulk import embed_parts
from clipkit.embed.crew import Alone
from clipkit.embed.frame_source import FrameSource
from clipkit.safe import read_bytes
from clipkit.shapes import render


def photo(number: int) -> bytes:
    """A scene under noise, which makes the file as large as a photo's."""
    picture = (render(1, size=512, seed=number).images[0] * 255).byte().movedim(0, -1).numpy()[:384].astype(np.int16)
    noise = np.random.default_rng(number).normal(0, 9, picture.shape)
    file = io.BytesIO()
    Image.fromarray((picture + noise).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def write_archive(path: Path, count: int) -> None:
    photos = [photo(number) for number in range(min(count, 16))]
    with tarfile.open(path, "w") as archive:
        for number in range(count):
            member = tarfile.TarInfo(f"{number:06d}.jpg")
            member.size = len(photos[number % len(photos)])
            archive.addfile(member, io.BytesIO(photos[number % len(photos)]))


def main() -> None:
    options = parser(__doc__, rounds=1)
    options.add_argument("--model", default="ViT-B-32", help="open_clip name, random weights (default: ViT-B-32)")
    options.add_argument("--precision", default="fp32", help="fp32, bf16, fp16 (default: fp32)")
    options.add_argument("--pictures", type=int, default=512, help="in the archive (default: 512)")
    options.add_argument("--workers", type=int, default=4, help="threads that decode (default: 4)")
    args = options.parse_args()
    start(args)
    name, count = ("tiny-shapes", 32) if args.quick else (args.model, args.pictures)
    torch.manual_seed(0)
    clip = FrozenCLIP.from_pretrained(name, precision=args.precision, device=args.device)
    clock = time.perf_counter if args.device.startswith("cuda") else time.process_time
    report = Report(args, "embed", ["stage", "model", "pictures/s", "KiB a picture"])

    def measure(stage: str, call: Callable[[], int]) -> None:
        synchronize(args.device)
        begun = clock()
        done = call()
        synchronize(args.device)
        rate = done / (clock() - begun)
        report.row(stage, name, f"{rate:.1f}", f"{size / 1024:.1f}", stage=stage, model=name, rate=rate, bytes=size)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "0.tar"
        write_archive(path, count)
        parts, _ = plan([str(path)])
        found = [thing for thing in read_part(parts[0], "pictures") if isinstance(thing, Sample)]
        contents = [sample.picture or b"" for sample in found]
        size = sum(map(len, contents)) / count

        def decode() -> int:
            for content in contents[: count // 2]:
                clip.preprocess(Image.fromarray(read_bytes(content)))
            return count // 2

        batch = images_at_once(args.device)
        pixels = torch.rand(batch, 3, *clip.image_size).to(args.device)

        @torch.no_grad()
        def encode() -> int:
            for _ in range(max(count // batch, 1)):
                clip.encode_image(pixels)
            return max(count // batch, 1) * batch

        @torch.no_grad()
        def embed() -> int:
            crew = Alone(clip, {"weights": clip.weights_hash, "precision": args.precision}, args.workers)
            embed_parts(f"{folder}/out", parts, "pictures", FrameSource({"fps": 1.0}), crew, progress=False)
            return count

        if args.device.startswith("cuda"):
            encode()  # the first pass also loads the kernels
        measure("read the archive", lambda: sum(1 for _ in read_part(parts[0], "pictures")))
        measure("decode and resize, one thread", decode)
        measure("encode", encode)
        measure("all, into a store", embed)


if __name__ == "__main__":
    main()
