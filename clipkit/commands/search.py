"""`clipkit search index VIDEOS… --out INDEX` and `clipkit search query INDEX "a red circle"`: text to file and time."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clipkit.commands import _options


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit search`."""
    parser = argparse.ArgumentParser(
        prog="clipkit search", description="Find the second of a video, or the image, that a text describes."
    )
    reading = [_options.device(), _options.videos()]
    commands = parser.add_subparsers(dest="command", required=True, metavar="index|query")
    index = commands.add_parser(
        "index", help="embed videos and images with CLIP; only what is new or has changed", parents=reading
    )
    index.add_argument("inputs", nargs="+", metavar="VIDEO", help="videos, images, folders of them")
    index.add_argument("--out", required=True, metavar="INDEX", help="the index, a folder of its own")
    index.add_argument("--clip", metavar="NAME", help="ViT-B-32, local-dir:FOLDER, …, or tiny_clip; needed once")
    index.add_argument("--pretrained", metavar="TAG|FILE", help="its weights: open_clip's tag, or a file")
    index.add_argument("--fps", type=float, help="frames a second that are indexed (default: the index's, else 2)")
    index.add_argument("--precision", help="fp32, bf16, fp16, auto (default: the index's, else auto: the fast one)")
    query = commands.add_parser("query", help="search an index", parents=reading)
    query.add_argument("index", metavar="INDEX")
    query.add_argument("text", metavar="TEXT", help='what to look for: "a red circle"')
    query.add_argument("--top", type=int, default=5, metavar="N", help="how many answers (default: 5)")
    query.add_argument("--contact-sheet", metavar="FILE", help="write a picture of thumbnails")
    query.add_argument("--clip", metavar="NAME", help="the model, if it has another name now")
    query.add_argument("--pretrained", metavar="TAG|FILE", help="its weights")
    query.add_argument("--faiss", action="store_true", help="compare with FAISS (same answers)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Indexes or searches; returns 0, or 1 when some files could not be indexed."""
    args = parser().parse_args(argv)
    return _index(args) if args.command == "index" else _query(args)


def _index(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from clipkit.data.video import DEFAULT_BACKEND
    from clipkit.errors import ClipkitError
    from clipkit.files import write_text
    from clipkit.search.index import SearchIndex, index_key
    from clipkit.search.media import list_media

    files = list_media(args.inputs)
    named, key = _about(args.out)
    fps = key.get("fps", 2.0) if args.fps is None else args.fps
    if not fps > 0:
        raise ClipkitError(f"--fps must be positive, got {fps}")
    clip, made_by, named = _load(args, named, args.precision or key.get("precision", "auto"))
    index = SearchIndex(args.out, index_key(made_by, fps))
    write_text(Path(args.out) / "model.json", json.dumps(named))
    before, bad = len(index), 0
    adding = index.add(files, clip, backend=args.backend or DEFAULT_BACKEND, timeout=args.timeout)
    for _, problem in tqdm(adding, "indexing", len(files), unit="file", delay=2, disable=None):
        if problem:
            bad += 1
            tqdm.write(f"skipped: {problem}", file=sys.stderr)
    good = len(files) - bad
    print(f"{good} of {len(files)} files; {len(index)} frames and images ({len(index) - before:+}) in {args.out}")
    return 1 if bad else 0


def _query(args: argparse.Namespace) -> int:
    from clipkit.data.video import DEFAULT_BACKEND
    from clipkit.errors import ClipkitError, shown
    from clipkit.search.index import SearchIndex
    from clipkit.search.sheet import contact_sheet, interval

    if args.top < 1:
        raise ClipkitError(f"--top must be at least 1, got {args.top}")
    index = SearchIndex(args.index)
    clip, made_by, named = _load(args, _about(args.index)[0], "fp32")
    if made_by["weights"] != index.key.get("weights"):
        raise ClipkitError(f"{args.index}: was made by another model than {named['clip']}; name that one with --clip")
    moments = index.search(clip.encode_text([args.text])[0].float().cpu().numpy(), args.top, faiss=args.faiss)
    for rank, moment in enumerate(moments, 1):
        print(f"{rank}  {moment.score:.3f}  {interval(moment):>15}  {shown(moment.path, 4096)}")
    if not moments:
        print("the index is empty")
    elif args.contact_sheet:
        from PIL import Image

        from clipkit.data.draw import save_picture

        sheet = contact_sheet(args.text, moments, backend=args.backend or DEFAULT_BACKEND, timeout=args.timeout)
        save_picture(Image.fromarray(sheet), args.contact_sheet)
        print(f"thumbnails in {args.contact_sheet}")
    return 0


def _about(folder: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an existing index says of itself: the model's name, and its key."""
    from clipkit.errors import ClipkitError
    from clipkit.safe import read_json

    model, store = Path(folder) / "model.json", Path(folder) / "frames/store.json"
    if not (model.is_file() and store.is_file()):
        return {}, {}
    try:
        named, key = read_json(model), read_json(store)["key"]
        if not all(isinstance(named.get(part), (str, type(None))) for part in ("clip", "pretrained")):
            raise ValueError
        if not isinstance(key, dict) or not isinstance(key.get("fps", 2.0), (int, float)):
            raise ValueError
    except (ValueError, KeyError):
        raise ClipkitError(f"{folder}: its {model.name} or {store.name} is damaged; make the index again") from None
    return named, key


def _load(
    args: argparse.Namespace, named: dict[str, Any], precision: str
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The model, the part of the index's key that it makes, and how to load it again."""

    from clipkit.device import own_device, usable_device
    from clipkit.embed.encoder import load_frozen
    from clipkit.errors import ClipkitError

    name = args.clip or named.get("clip")
    if name is not None and not args.clip:
        _refuse_own_model(Path(args.index if args.command == "query" else args.out), named)
    if name is None:
        raise ClipkitError("a new index needs --clip NAME (ViT-B-32 with --pretrained openai, …, or tiny_clip)")
    pretrained = args.pretrained or (named.get("pretrained") if name == named.get("clip") else None)
    device = usable_device(args.device or own_device())
    clip, made_by = load_frozen(name, pretrained, precision, device)
    return clip, made_by, {"clip": _absolute(name), "pretrained": pretrained and _absolute(pretrained)}


def _absolute(name: str) -> str:
    """A folder or file by its whole path, so that the index means the same model from everywhere."""
    prefix = "local-dir:" if name.startswith("local-dir:") else ""
    place = Path(name.removeprefix(prefix)).expanduser()
    return f"{prefix}{place.absolute()}" if prefix or place.is_file() else name


def _refuse_own_model(index: Path, named: dict[str, Any]) -> None:
    """An index may come from a stranger: what it brings along is no model to load unasked."""
    from clipkit.errors import ClipkitError

    for name in filter(None, (named["clip"], named.get("pretrained"))):
        place = Path(name.removeprefix("local-dir:"))
        is_path = name.startswith("local-dir:") or place.exists() or len(place.parts) > 2
        if is_path and (not place.is_absolute() or index.resolve() in (place.resolve(), *place.resolve().parents)):
            raise ClipkitError(
                f"{index / 'model.json'}: names a model by a path inside or relative to the index, which is not "
                "followed; if you know the model, name it with --clip"
            )
