"""`clipkit edit photo.jpg --from "a red star" --to "a blue star"`: a picture moved until CLIP says so, and the film."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clipkit.commands import _options


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit edit`."""
    parser = argparse.ArgumentParser(
        prog="clipkit edit",
        description="Change a photo by words: its waves or pixels, or a generator's latents (VQGAN-CLIP), are moved "
        "until CLIP sees the one instead of the other. Writes NAME.png and, where PyAV is installed, NAME.mp4.",
        parents=[_options.device()],
    )
    parser.add_argument("photo", help="what to change")
    parser.add_argument("--to", required=True, metavar="WORDS", help='what it shall be: "a blue star"')
    parser.add_argument("--from", dest="base", required=True, metavar="WORDS", help='what it is now: "a red star"')
    parser.add_argument(
        "--generator", metavar="DIR", help="a folder of diffusers' VQModel (config.json and safetensors)"
    )
    parser.add_argument(
        "--way", choices=("fourier", "pixels"), help="without a generator: what is moved (default: fourier)"
    )
    parser.add_argument("--steps", type=int, default=100, metavar="N", help="of the optimiser (default: 100)")
    parser.add_argument("--lr", type=float, metavar="RATE", help="of the optimiser (default: fourier 0.05, others 0.1)")
    parser.add_argument(
        "--keep", type=float, default=0.0, metavar="WEIGHT", help="of the mean square of what changes (default: 0)"
    )
    parser.add_argument("--size", type=int, default=224, metavar="PIXELS", help="the longer side (default: 224)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the warps (default: 0)")
    parser.add_argument("--out", default="edits", metavar="DIR", help="where the files go (default: edits)")
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="written on the way; a run that was stopped is taken up from it"
    )
    _options.add_clip(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Edits; returns 0."""
    reader = parser()
    args = reader.parse_args(argv)
    if args.steps < 1 or args.size < 32 or not args.keep >= 0 or (args.lr is not None and not args.lr > 0):
        reader.error("--steps is at least 1, --size at least 32, --keep at least 0, --lr more than 0")
    if not args.to.split() or not args.base.split() or args.to.split() == args.base.split():
        reader.error("--from and --to say what is seen now and what shall be: give different words")
    if not 0 <= args.seed < 2**63:
        reader.error(f"--seed is between 0 and 2**63, got {args.seed}")
    if args.generator and args.way:
        reader.error("--way is for edits without --generator")
    _edit(args)
    return 0


def _edit(args: argparse.Namespace) -> None:
    from importlib.util import find_spec

    from clipkit_plugins.latent_edit.edit import edit_picture
    from clipkit_plugins.latent_edit.vq_files import read_vq_model
    from PIL import Image

    from clipkit.backbone import FrozenCLIP
    from clipkit.data.draw import save_picture

    model = read_vq_model(args.generator) if args.generator else None
    picture = _options.read_picture(args.photo, args.size)
    if model is not None:  # sides that its stride divides
        shape = [max(1, side // model.stride) * model.stride for side in picture.shape[-2:]]
        picture = _options.read_picture(args.photo, args.size, shape)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    base = out / Path(args.photo).stem
    _options.refuse_to_replace(base.with_name(f"{base.name}.png"), args.photo)
    beside: dict[str, Any] = {"film": base.with_name(f"{base.name}.mp4")} if find_spec("av") is not None else {}
    name, tag = _options.clip_and_tag(args.clip)
    edited, found = edit_picture(
        FrozenCLIP.from_pretrained(name, tag, device=args.device),
        picture,
        args.to,
        args.base,
        way="vq" if model is not None else args.way or "fourier",
        model=model,
        keep_weight=args.keep,
        steps=args.steps,
        lr=args.lr,
        seed=args.seed,
        every=max(1, args.steps // 40),
        checkpoint=args.checkpoint,
        progress=base.name,
        **beside,
    )
    pixels = (edited[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    save_picture(Image.fromarray(pixels), base.with_name(f"{base.name}.png"))
    print(f"{base}.png{', .mp4' if beside else ''}: loss {found.loss[0]:.4f} after {int(found.step[0])} steps")
