"""`clipkit copy CONFIG [TO]`: a config of one's own that holds only what it changes."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Sequence
from pathlib import Path

from clipkit.config_files import installed_config, installed_configs
from clipkit.errors import ClipkitError


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit copy`."""
    parser = argparse.ArgumentParser(
        prog="clipkit copy",
        description="Write a config that inherits from an installed one, with its header. What you add overrides.",
    )
    parser.add_argument("name", metavar="CONFIG", help="an installed config: lseg/lseg_folder.py")
    parser.add_argument("to", nargs="?", default=".", metavar="TO", help="a new file, or a folder (default: this one)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the file; returns 0."""
    args = parser().parse_args(argv)
    source = installed_config(args.name)
    name = next(name for name, path in installed_configs().items() if path == source)
    if name.startswith("claims/"):
        raise ClipkitError(f"{name} is a claim, nothing inherits from it; copy the file: {source}")
    target = Path(args.to)
    if target.is_dir():
        target /= source.name
    if target.suffix != ".py":
        raise ClipkitError(f"{target}: a config's name ends in .py")
    if target.exists():
        raise ClipkitError(f"{target}: exists already; give another name, or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "x", encoding="utf-8") as stream:
        stream.write(f'{_header(source, name, target)}_base_ = ["clipkit::{name}"]\n')
    print(f"{target}: inherits from {name}; what you write below its last line overrides")
    return 0


def _header(source: Path, name: str, target: Path) -> str:
    """The docstring as it is written there, in whose commands the new file stands for the old one."""
    text = source.read_text(encoding="utf-8")
    first = ast.parse(text).body[0]
    if not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)):
        return ""
    return f"{ast.get_source_segment(text, first)}\n\n".replace(name, target.as_posix())
