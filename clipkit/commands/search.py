"""`clipkit search index PHOTOS…` and `clipkit search query "a red circle"`: from words to a file and its second."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path

from clipkit.commands import _options

INDEX = "clipkit_index"  # of clipkit.search.index; help imports nothing heavy
_WORDS = (
    'what to look for: "a red circle", or "a red circle, not grass"; before it the index, unless that is '
    f"{INDEX} in this folder"
)


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit search`."""
    parser = argparse.ArgumentParser(
        prog="clipkit search",
        description="Find the image, or the second of a video, that a text describes: first `clipkit search index "
        'photos`, then `clipkit search query "a red ball"`.',
    )
    reading = [_options.device(), _options.videos()]
    commands = parser.add_subparsers(dest="command", required=True, metavar="index|query|compress")
    index = commands.add_parser(
        "index",
        help="embed videos and images with CLIP; only what is new or has changed",
        parents=reading,
        description="Embed videos and images with CLIP, so that they are found; again: what is new or has changed.",
    )
    index.add_argument(
        "inputs", nargs="+", metavar="PHOTOS", help="images, videos, folders of them; what `clipkit embed` wrote"
    )
    index.add_argument(
        "--out", default=INDEX, metavar="INDEX", help=f"the index, a folder of its own (default: {INDEX})"
    )
    index.add_argument(
        "--clip", metavar="NAME",
        help="ViT-B-32, local-dir:FOLDER, …, or tiny_clip (default: the index's; of a new one, ViT-B-16-quickgelu with "
        "OpenAI's weights, which are fetched once)",
    )  # fmt: skip
    index.add_argument("--pretrained", metavar="TAG|FILE", help="its weights: open_clip's tag, or a file")
    index.add_argument("--fps", type=float, help="frames a second that are indexed (default: the index's, else 2)")
    index.add_argument(
        "--resize", choices=("own", "squash"),
        help="how a picture becomes CLIP's square: by CLIP's own preprocessing, which mostly takes the middle, or all "
        "of it squashed (default: the index's, else own)",
    )  # fmt: skip
    index.add_argument("--precision", help="fp32, bf16, fp16, auto (default: the index's, else auto: the fast one)")
    index.add_argument(
        "--store", metavar="milvus:FILE.db|URI",
        help="send the rows to Milvus too (pip install 'openclipkit[milvus]'), for `query --store`: to a file or a "
        "server, milvus:http://HOST:19530, whose token MILVUS_TOKEN has; #NAME after it names the collection",
    )  # fmt: skip
    query = commands.add_parser(
        "query", help="search an index", parents=reading, description="Find images and seconds of videos in an index."
    )
    query.add_argument("words", nargs="*", metavar="[INDEX] TEXT", help=_WORDS)
    query.add_argument("--image", metavar="PHOTO", help="look for what looks like this picture (with TEXT: for both)")
    query.add_argument("--json", action="store_true", help="print the answers as JSON: path, score, start, end, …")
    query.add_argument("--top", type=int, default=5, metavar="N", help="how many answers (default: 5)")
    query.add_argument("--contact-sheet", metavar="FILE", help="write a picture of thumbnails")
    query.add_argument(
        "--clip",
        metavar="NAME",
        help="the index's model, where it is called otherwise here (default: as the index says)",
    )
    query.add_argument("--pretrained", metavar="TAG|FILE", help="its weights")
    query.add_argument(
        "--path", metavar="PATTERN", help="only files whose path this means, such as '*/holiday/*.mp4' (* means / too)"
    )
    query.add_argument(
        "--between", nargs=2, type=float, metavar="SECONDS",
        help="only frames of films that begin within these seconds, or are on show all the while",
    )  # fmt: skip
    query.add_argument(
        "--approximate",
        action="store_true",
        help="look where `clipkit search compress` leads; far faster, nearly the same",
    )
    query.add_argument("--store", metavar="milvus:…", help="ask where `clipkit search index --store` sent the rows")
    query.add_argument("--faiss", action="store_true", help="let FAISS compare, for large indexes; the same answers")
    compress = commands.add_parser(
        "compress",
        help="make an index of an index, for millions of pictures: `query --approximate`",
        description="Train a FAISS index (pip install faiss-cpu) over an index, for `query --approximate`; again when "
        "files came.",
    )
    compress.add_argument("index", nargs="?", default=INDEX, help=f"the index (default: {INDEX})")
    compress.add_argument(
        "--factory", default="IVF1024,PQ128x4fs",
        help="FAISS's factory string: IVF4096,PQ64; HNSW32; … (default: IVF1024,PQ128x4fs, for a million, 512 wide)",
    )  # fmt: skip
    compress.add_argument(
        "--recall", type=float, default=0.97, help="share of the 10 nearest rows that are to be found (default: 0.97)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Indexes or searches; returns 0, or 1 when some files could not be indexed."""
    reader = parser()
    args = reader.parse_args(argv)
    if args.command == "query":
        try:
            args.index, args.text = _index_and_text(args.words, args.image)
        except ValueError as error:
            reader.error(str(error))
    return {"index": _index, "query": _query, "compress": _compress}[args.command](args)


def _index(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from clipkit.data.video import DEFAULT_BACKEND
    from clipkit.errors import ClipkitError
    from clipkit.files import write_text
    from clipkit.search.embedded import embedded_records, is_embedded, made_by_of, open_embedded
    from clipkit.search.index import SearchIndex
    from clipkit.search.media import find_media, tell_unread
    from clipkit.search.milvus import Milvus, check_address
    from clipkit.search.model import about_index, index_key, load_model

    if args.store:
        check_address(args.store)
    computed = [open_embedded(path) for path in args.inputs if is_embedded(path)]
    files, others = find_media([path for path in args.inputs if not is_embedded(path)])
    tell_unread(others)
    key = about_index(args.out)[1]
    if computed and not key:
        key = index_key(*made_by_of(computed[0]))
        if args.clip is None:  # the default one would be fetched, maybe for nothing
            folder = computed[0].store.folder.parent
            raise ClipkitError(f"{folder}: name the CLIP that made it with --clip and --pretrained")
    fps = key.get("fps", 2.0) if args.fps is None else args.fps
    if not fps > 0:
        raise ClipkitError(f"--fps must be positive, got {fps}")
    precision = args.precision or key.get("precision", "auto")
    clip, made_by, named = load_model(args.out, args.clip, args.pretrained, precision, args.device)
    resize = args.resize or key.get("preprocessing", {}).get("resize_mode")
    for found in computed:
        folder = found.store.folder.parent
        if found.store.key["weights"] != made_by["weights"]:
            raise ClipkitError(f"{folder}: was made by another model than {named['clip']}; name that one with --clip")
        SearchIndex(args.out, index_key(*made_by_of(found)))  # or it says what differs
    index = SearchIndex(args.out, index_key(made_by, fps, None if resize == "own" else resize))
    how = index.key["preprocessing"]["resize_mode"]
    print(f"pictures become CLIP's square by {_RESIZED.get(how, how)} (--resize)", file=sys.stderr)
    write_text(Path(args.out) / "model.json", json.dumps(named))
    before, bad = len(index), 0
    for found in computed:
        known = index.take(tqdm(embedded_records(found), "taking over", unit="thing", delay=2, disable=None))
        if known:
            print(
                f"{found.store.folder.parent}: {known} were there before, or have the name of another", file=sys.stderr
            )
    adding = index.add(files, clip, backend=args.backend or DEFAULT_BACKEND, timeout=args.timeout)
    for _, problem in tqdm(adding, "indexing", len(files), unit="file", delay=2, disable=None):
        if problem:
            bad += 1
            tqdm.write(f"skipped: {problem}", file=sys.stderr)
    good = len(files) - bad
    taken = "".join(f"{found.store.folder.parent}; " for found in computed)
    counted = f"{good} of {len(files)} files; " if files else ""
    print(f"{taken}{counted}{len(index)} frames and images ({len(index) - before:+}) in {args.out}")
    if args.store:
        with closing(Milvus(args.store, index, make=True)) as milvus:
            sent, deleted = milvus.send()
        old = f"; {deleted} files that have changed since are deleted there" if deleted else ""
        print(f"{sent} rows sent to {milvus.place}{old}")
    return 1 if bad else 0


def _query(args: argparse.Namespace) -> int:
    from clipkit.data.video import DEFAULT_BACKEND
    from clipkit.errors import ClipkitError, shown
    from clipkit.search.index import SearchIndex
    from clipkit.search.milvus import Milvus
    from clipkit.search.model import load_model
    from clipkit.search.query import Found
    from clipkit.search.sheet import contact_sheet, interval

    if args.top < 1:
        raise ClipkitError(f"--top must be at least 1, got {args.top}")
    if args.store and (args.approximate or args.faiss):
        raise ClipkitError("--store lets Milvus rank; leave out --approximate and --faiss")
    index = SearchIndex(args.index)
    clip, made_by, named = load_model(args.index, args.clip, args.pretrained, "fp32", args.device)
    index.check_model(made_by, named["clip"])
    with closing(Milvus(args.store, index)) if args.store else nullcontext() as milvus:
        moments = index.search(
            index.vector(clip, args.text, args.image), args.top, faiss=args.faiss, approximate=args.approximate,
            milvus=milvus, paths=args.path, between=args.between and (args.between[0], args.between[1]),
        )  # fmt: skip
    asked = args.text or args.image
    if args.json:
        print(Found(asked, moments).json())
    for rank, moment in enumerate([] if args.json else moments, 1):
        print(f"{rank}  {moment.score:.3f}  {interval(moment):>15}  {shown(moment.path, 4096)}")
    if index.left_out:
        first = next(iter(index.left_out))
        print(
            f"left out: {len(index.left_out)} files that are gone or have changed since they were indexed, such as "
            f"{shown(first, 4096)}; run `clipkit search index` for them again",
            file=sys.stderr,
        )
    if not moments:
        filtered = args.path is not None or args.between is not None
        gone = "no such file or second was found" if filtered else "no file that was indexed is still there"
        print(gone if len(index) else "the index is empty", file=sys.stderr)
    elif args.contact_sheet:
        from PIL import Image

        from clipkit.data.draw import save_picture

        sheet = contact_sheet(asked, moments, backend=args.backend or DEFAULT_BACKEND, timeout=args.timeout)
        save_picture(Image.fromarray(sheet), args.contact_sheet)
        print(f"thumbnails in {args.contact_sheet}", file=sys.stderr if args.json else None)
    return 0


def _compress(args: argparse.Namespace) -> int:
    from clipkit.errors import ClipkitError
    from clipkit.search.index import SearchIndex

    if not 0 < args.recall <= 1:
        raise ClipkitError(f"--recall is a share between 0 and 1, got {args.recall}")
    index = SearchIndex(args.index)
    setting, recall = index.compress(args.factory, args.recall)
    far = "".join(f", {name} {value}" for name, value in setting.items())
    print(f"{len(index)} rows in {args.index} compressed to {args.factory}{far}: recall@10 {recall:.3f}")
    return 0


_RESIZED = {
    "shortest": "its own preprocessing: the middle, up to the shorter side",
    "longest": "its own preprocessing: the whole of it, with a border",
    "squash": "squashing the whole of it",
}


def _index_and_text(words: Sequence[str], image: str | None) -> tuple[str, str | None]:
    """`[INDEX] TEXT`; with `--image` the text may be left out, and one word that is a folder is the index."""
    if len(words) == 2:
        return words[0], words[1]
    if len(words) == 1 and not (image and os.path.isdir(words[0])):
        return INDEX, words[0]
    if image and len(words) < 2:
        return (words[0] if words else INDEX), None
    raise ValueError('give what to look for in quotes, "a red circle", or --image PHOTO')
