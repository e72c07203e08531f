"""`clipkit list configs|plugins|commands|models [WORD …]`: what there is, by name and by what it says of itself."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from clipkit.commands._headers import docstring, first_sentence, read_header
from clipkit.config_files import installed_configs
from clipkit.errors import ClipkitError

Entry = tuple[str, list[str]]  # a name, and lines about it
INDENT = 4 * " "


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit list`."""
    parser = argparse.ArgumentParser(
        prog="clipkit list",
        description="What there is, by name and by what it says of itself; by a word: `clipkit list configs camvid`.",
    )
    parser.add_argument(
        "kind", choices=tuple(KINDS), help="configs come with time and the number to expect, models with their weights"
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="only what has all of these words, in any case")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Prints; returns 0."""
    from clipkit.cli import show

    args = parser().parse_args(argv)
    words = [word.lower() for word in args.words]
    shown = []
    for name, lines in KINDS[args.kind]():
        if all(word in "\n".join([name, *lines]).lower() for word in words):
            shown += [name, *(textwrap.indent(textwrap.fill(line, 116), INDENT) for line in lines)]
    if not shown:
        raise ClipkitError(f"no {args.kind} with {' '.join(args.words)}; `clipkit list {args.kind}` shows all")
    show("\n".join(shown))
    return 0


def _configs() -> Iterator[Entry]:
    for name, path in installed_configs().items():
        title, time, expected = read_header(path)
        lines = [title, f"time: {time}" if time else "", f"expected: {expected}" if expected else ""]
        yield name, list(filter(None, lines))


def _plugins() -> Iterator[Entry]:
    spec = find_spec("clipkit_plugins")
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in sorted(Path(folder).glob("[!_]*/__init__.py")):
            readme = path.with_name("README.md")
            yield path.parent.name, [first_sentence(docstring(path)), *([str(readme)] if readme.is_file() else [])]
    for point in entry_points(group="clipkit.plugins"):
        yield point.name, [f"{point.value}, of the package {point.dist.name if point.dist else 'unknown'}"]


def _commands() -> Iterator[Entry]:
    from clipkit.cli import COMMANDS

    for name, (_, text) in COMMANDS.items():
        yield name, [text]


def _models() -> Iterator[Entry]:
    from clipkit.backbone.models_table import pretrained_tags

    yield "tiny_clip", ["the one that is shipped with clipkit, of the architecture tiny-shapes"]
    yield "distance_clip", ["shipped too: the tiny CLIP after it learned how far things are"]
    for name, tags in pretrained_tags().items():
        yield name, [", ".join(tags) or "open_clip knows no weights; give a file"]


KINDS = {"configs": _configs, "plugins": _plugins, "commands": _commands, "models": _models}
