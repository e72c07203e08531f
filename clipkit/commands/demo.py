"""`clipkit demo [WORKDIR…]`: a page in the browser for a CLIP, or for models that were trained."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from clipkit.commands import _options


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit demo`."""
    parser = argparse.ArgumentParser(
        prog="clipkit demo",
        description="Serve a page on this machine: a picture and words in, regions, boxes, names, answers and drawings "
        "out, with a tab for each task whose model is there. Needs the extra demo.",
        parents=[_options.device()],
    )
    parser.add_argument(
        "work_dirs",
        nargs="*",
        metavar="WORKDIR",
        help="what `clipkit train` filled, for models that segment, detect or answer questions (default: none, a CLIP)",
    )
    parser.add_argument(
        "--clip",
        metavar="NAME[:TAG]",
        help="as of `clipkit try`, or tiny_clip; beside work folders only when it is named (default without any: "
        f"{_options.CLIP}:{_options.TAG}, fetched once)",
    )
    parser.add_argument(
        "--search",
        metavar="FOLDER",
        help="let the page search this: an index of `clipkit search`, or photos and films, which are indexed for this "
        "run; nobody can name another folder on the page",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS",
        help="whom to serve: 127.0.0.1, this machine alone (default), or e.g. 0.0.0.0, whoever reaches it; there are "
        "no passwords",
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="default: 7860; 0: one that is free")
    limits = parser.add_argument_group("limits of one question")
    limits.add_argument("--max-mb", type=float, default=10, metavar="N", help="of a picture's file (default: 10)")
    limits.add_argument(
        "--max-megapixels", type=float, default=12, metavar="N", help="millions of pixels of a picture (default: 12)"
    )
    limits.add_argument("--max-words", type=int, default=64, metavar="N", help="with synonyms (default: 64)")
    limits.add_argument("--max-seconds", type=float, default=60, metavar="N", help="of computing (default: 60)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until Ctrl-C; returns 0."""
    reader = parser()
    args = reader.parse_args(argv)
    if not all(0 < one < 1e6 for one in (args.max_mb, args.max_megapixels, args.max_words, args.max_seconds)):
        reader.error("limits must be positive, and below a million")
    if not 0 <= args.port < 65536:
        reader.error(f"--port must lie between 0 and 65535, got {args.port}")
    _serve(args)
    return 0


def _serve(args: argparse.Namespace) -> None:
    import tempfile
    from pathlib import Path

    from clipkit.demo.limits import Limits
    from clipkit.demo.models import Models, open_index
    from clipkit.demo.serve import is_local, listen, server
    from clipkit.predict.dense import DenseSegmenter

    limits = Limits(args.max_mb, args.max_megapixels, args.max_words, args.max_seconds)
    models = Models(limits)
    with listen(args.host, args.port) as bound, tempfile.TemporaryDirectory(prefix="clipkit-demo-") as folder:
        models.open(args.work_dirs, args.device)
        name, tag = _options.clip_and_tag(args.clip or f"{_options.CLIP}:{_options.TAG}")
        if args.clip or not (args.work_dirs or args.search):
            # In full precision, also on a GPU: drawings need gradients.
            models.clip = DenseSegmenter.load(name, tag, device=args.device, precision="fp32")
            models.clip_name = name
        if args.search:
            models.index = open_index(args.search, name, tag, Path(folder))
        host, port = bound.getsockname()[:2]
        if not is_local(host):
            print(f"warning: whoever reaches {host}:{port} can use this page; there are no passwords", file=sys.stderr)
        address = f"[{host}]" if ":" in host else host
        print(f"http://{address}:{port}  ({', '.join(models.tabs())}); Ctrl-C ends it", flush=True)
        server(models, host).run(sockets=[bound])
