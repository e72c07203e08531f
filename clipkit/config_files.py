"""Config files by name, and what their headers say. Nothing of them is run or imported for that."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from clipkit.errors import ClipkitError, did_you_mean

_FIELD = re.compile(r"^(time|expect)(?:ed)?:[ \t]+(.*(?:\n[ \t]+.*)*)", re.MULTILINE | re.IGNORECASE)
_NOTHING = {"not measured here", "not yet measured", "not yet measured here"}


class Header(NamedTuple):
    """What a config says of itself; empty where it says nothing."""

    title: str
    time: str
    expected: str


def find_config(name: str | Path) -> Path:
    """The file of a config name; a file in the working folder comes before one that is installed.

    Raises:
        ClipkitError: no such config; the line lists close names.
    """
    path = Path(name)
    return path if path.is_file() else installed_config(name)


def installed_config(name: str | Path) -> Path:
    """The file of a config that is installed with clipkit: `lseg/lseg_folder.py`, also as `configs/lseg/lseg_folder`.

    Raises:
        ClipkitError: no such config; the line lists close names.
    """
    path = Path(name)
    relative = Path(*path.parts[1:]) if path.parts[:1] == ("configs",) else path
    if not relative.suffix:
        relative = relative.with_suffix(".py")
    for folder in _folders():
        if (folder / relative).is_file():
            return folder / relative
    raise ClipkitError(f"no config {name}; {did_you_mean(relative.as_posix(), installed_configs())}")


def installed_configs() -> dict[str, Path]:
    """Name -> file of every installed config, sorted, without those that only serve as a base."""
    found = {file.relative_to(folder).as_posix(): file for folder in _folders() for file in folder.rglob("*.py")}
    return {name: found[name] for name in sorted(found) if not name.startswith("_") and "/_" not in name}


def read_header(path: Path) -> Header:
    """The first sentence of a config's docstring, and what stands there after `Time:` and `Expected:`."""
    text = docstring(path)
    fields = {name.lower(): " ".join(value.split()) for name, value in _FIELD.findall(text)}
    time, expected = ("" if (value := fields.get(key, "")) in _NOTHING else value for key in ("time", "expect"))
    return Header(first_sentence(text), time, expected)


def docstring(path: Path) -> str:
    """A Python file's docstring, cleaned; empty if it has none."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def first_sentence(text: str) -> str:
    """Of a docstring, on one line."""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"(?<=\.)\s+(?=[A-Z])", paragraph, maxsplit=1)[0]


def _folders() -> list[Path]:
    spec = find_spec("clipkit_configs")
    locations = spec.submodule_search_locations if spec else None
    return [Path(folder) for folder in locations or () if Path(folder).is_dir()]
