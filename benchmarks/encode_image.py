"""FrozenCLIP.encode_image and features() against raw open_clip: `python benchmarks/encode_image.py`.

All cases run the *same* module object with the same weights. open_clip gets images that are already normalised and in
its precision; FrozenCLIP normalises them itself, so that its extra work is counted. The last column times open_clip a
second time: its distance from 1 is what this machine's noise can do.

Aims: encode_image <= 1.05 of open_clip's; features() with one dense map <= 1 + 1/L of it, L blocks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from _timing import Report, Spread, interleaved, parser, ratio, start

from clipkit.backbone import FrozenCLIP


def cases(clip: FrozenCLIP, images: torch.Tensor) -> dict:
    model = clip.model
    ready = clip._normalised(images)

    @torch.no_grad()
    def raw() -> torch.Tensor:
        return F.normalize(model.encode_image(ready), dim=-1)

    return {
        "open_clip": raw,
        "encode_image": lambda: clip.encode_image(images),
        "features": lambda: clip.features(images),
        "open_clip again": raw,
    }


def main() -> None:
    options = parser(__doc__, rounds=15)
    options.add_argument(
        "--models", nargs="+", default=["ViT-B-32", "ViT-B-16"], help="open_clip names, random weights"
    )
    options.add_argument("--precisions", nargs="+", default=["fp32"], help="fp32 bf16 fp16 (default: fp32)")
    options.add_argument("--batch", type=int, help="images a pass (default: 8 on a CPU, 256 on a GPU)")
    options.add_argument("--dense", default="maskclip", help="dense variant of features() (default: maskclip)")
    args = options.parse_args()
    start(args)
    batch = args.batch or (256 if args.device.startswith("cuda") else 8)
    if args.quick:
        args.models, batch = ["tiny-shapes"], 2

    columns = ["model", "precision", "batch", "open_clip", "encode_image / open_clip (aim <= 1.05)"]
    columns += ["features / open_clip (aim)", "features / encode_image", "open_clip / itself"]
    report = Report(args, "encode_image", columns)
    for name in args.models:
        for precision in args.precisions:
            torch.manual_seed(0)
            clip = FrozenCLIP.from_pretrained(name, precision=precision, dense=args.dense, device=args.device)
            images = torch.rand(batch, 3, *clip.image_size, device=args.device)
            todo = cases(clip, images)
            similar = F.cosine_similarity(todo["open_clip"]().float(), todo["encode_image"]().float()).min()
            if similar < 0.999:
                raise SystemExit(f"{name} {precision}: the two disagree (cosine {similar:.4f}); no time is comparable")
            seconds = interleaved(todo, args.rounds, args.device)
            raw = Spread.of([1000 * s for s in seconds["open_clip"]])
            encode = ratio(seconds, "encode_image", "open_clip")
            both = ratio(seconds, "features", "open_clip")
            own = ratio(seconds, "features", "encode_image")
            noise = ratio(seconds, "open_clip again", "open_clip")
            aim = 1 + 1 / clip.num_layers
            report.row(
                name,
                precision,
                str(batch),
                raw.text(".1f", " ms"),
                encode.text(),
                f"{both.text()} (<= {aim:.3f})",
                own.text(),
                noise.text(),
                model=name,
                precision=precision,
                batch=batch,
                open_clip_ms=raw,
                encode_image_ratio=encode,
                features_ratio=both,
                features_aim=aim,
                features_over_encode_image=own,
                noise_ratio=noise,
            )
            del clip, todo


if __name__ == "__main__":
    main()
