"""What a file says of itself in its docstring. Nothing of it is run or imported for that."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

_FIELD = re.compile(r"^(time|expect)(?:ed)?:[ \t]+(.*(?:\n[ \t]+.*)*)", re.MULTILINE | re.IGNORECASE)
_NOTHING = {"not measured here", "not yet measured", "not yet measured here"}


class Header(NamedTuple):
    """What a config says of itself; empty where it says nothing."""

    title: str
    time: str
    expected: str


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
