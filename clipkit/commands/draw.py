"""`clipkit draw photo.jpg --strokes 16` and `clipkit draw --words "a red heart"`: drawings as SVG, PNG and film."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clipkit.commands import _options


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit draw`."""
    parser = argparse.ArgumentParser(
        prog="clipkit draw",
        description="Draw a photo with a few black strokes (CLIPasso), or words with coloured ones (CLIPDraw): strokes "
        "are moved until CLIP says so. Writes NAME.svg, NAME.png and, where PyAV is installed, NAME.mp4.",
        parents=[_options.device()],
    )
    parser.add_argument("photo", nargs="?", help="what to draw; best one object on a light ground, see --mask")
    parser.add_argument("--words", help='draw these instead: "a red heart"')
    parser.add_argument(
        "--away-from", action="append", default=[], metavar="WORDS", help="with --words: what it is not"
    )
    parser.add_argument("--strokes", type=int, metavar="N", help="fewer are more abstract (default: 16; words: 64)")
    parser.add_argument("--mask", metavar="FILE", help="a picture, white where the object is: the rest is not drawn")
    parser.add_argument("--steps", type=int, default=300, metavar="N", help="of the optimiser (default: 300)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="drawings; the best is kept (default: 3)")
    parser.add_argument("--size", type=int, default=224, metavar="PIXELS", help="the longer side (default: 224)")
    parser.add_argument(
        "--width", type=float, metavar="PIXELS", help="of a photo's strokes (default: 1.5 pixels of what CLIP sees)"
    )
    parser.add_argument("--checkpoint", metavar="FILE", help="kept on the way; a run that was ended goes on from it")
    parser.add_argument("--out", default="drawings", metavar="DIR", help="where the files go (default: drawings)")
    parser.add_argument(
        "--looks", metavar="NAME[:TAG]", help="whose attention says where strokes begin (default: --clip's)"
    )
    _options.add_clip(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Draws; returns 0."""
    reader = parser()
    args = reader.parse_args(argv)
    if (args.photo is None) == (not (args.words or "").split()):
        reader.error('give a photo, or --words "a red heart"')
    if min(args.steps, args.seeds, 1 if args.strokes is None else args.strokes) < 1 or args.size < 32:
        reader.error("--steps, --seeds and --strokes are at least 1, --size at least 32")
    if args.width is not None and not 0.1 <= args.width <= args.size:
        reader.error("--width is between 0.1 and --size")
    _draw(args)
    return 0


def _draw(args: argparse.Namespace) -> None:
    from importlib.util import find_spec

    from clipkit_plugins.sketch.clipasso import clipasso
    from clipkit_plugins.sketch.clipdraw import clipdraw
    from PIL import Image

    from clipkit.backbone import FrozenCLIP
    from clipkit.data.draw import save_picture
    from clipkit.errors import ClipkitError, shown
    from clipkit.nn import write_svg

    def load(text: str) -> FrozenCLIP:
        name, tag = _options.clip_and_tag(text)
        return FrozenCLIP.from_pretrained(name, tag, device=args.device)

    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    name = (
        shown("-".join(args.words.split())[:60]).replace("/", "-").strip(".") if args.words else Path(args.photo).stem
    )
    base = out / (name or "drawing")
    for source in filter(None, (args.photo, args.mask)):
        _options.refuse_to_replace(base.with_name(f"{base.name}.png"), source)
    beside: dict[str, Any] = {"steps": args.steps, "seeds": range(args.seeds), "progress": base.name}
    beside["checkpoint"] = args.checkpoint
    if find_spec("av") is not None:
        beside["film"] = base.with_name(f"{base.name}.mp4")
    clip = load(args.clip)
    if args.words:
        strokes, found = clipdraw(
            clip,
            args.words,
            away_from=args.away_from,
            strokes=args.strokes or 64,
            size=(args.size, args.size),
            **beside,
        )
    else:
        picture, mask = _options.read_picture(args.photo, args.size, least=max(8, clip.patch_size or 0)), None
        if args.mask:
            mask = _options.read_picture(args.mask, args.size, picture.shape[-2:])[:, 0]
            if mask.max() <= 0.5:
                raise ClipkitError(f"{args.mask}: is dark everywhere; make it white where the object is")
        looks = load(args.looks) if args.looks else None
        width = args.width or 1.5 * args.size / min(clip.image_size)
        strokes, found = clipasso(
            clip, picture, strokes=args.strokes or 16, masks=mask, looks=looks, width=width, **beside
        )
    best = int(found.loss.argmin())
    write_svg(strokes, base.with_name(f"{base.name}.svg"), best)
    pixels = (found.pictures[best].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    save_picture(Image.fromarray(pixels), base.with_name(f"{base.name}.png"))
    print(
        f"{base}.svg, .png{', .mp4' if 'film' in beside else ''}: loss {found.loss[best]:.4f}, the best of {args.seeds}"
    )
