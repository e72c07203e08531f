"""Lists, tables and JSON from strangers: what does not fit is named with its file and line, and nothing is guessed."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from clipkit.errors import ClipkitError
from clipkit.text import files


def read_text(path: str | Path, what: str = "table") -> str:
    """As `clipkit.text.files.read_text`, of tables and lists.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: a folder, no text, or a NUL byte; the line is named.
    """
    try:
        text = files.read_text(path, what)
    except ValueError as error:
        raise ClipkitError(str(error)) from None
    if (place := text.find("\0")) >= 0:
        line = text.count("\n", 0, place) + 1
        raise ClipkitError(f"{path}: line {line}: holds a NUL byte; is this a text file?")
    return text


def read_lines(path: str | Path, strip: bool = True) -> list[tuple[int, str]]:
    """(number from 1, text) of each line that is not empty; `strip` takes the spaces around. Errors as `read_text`."""
    # Not str.splitlines, which also breaks at form feeds: numbers must be those of an editor.
    lines = enumerate(read_text(path).split("\n"), 1)
    return [(number, line.strip() if strip else line) for number, line in lines if line.strip()]


def read_table(path: str | Path, columns: Collection[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, column -> value) of each row of a table whose first line names its columns, separated by commas, or by
    tabs in a `.tsv`. A row is one line; values may stand between double quotes. Columns without a name are left out.

    Args:
        columns: those that it must have.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: a column that is missing or there twice, a row with more or fewer values than columns, a quote
            that its line does not close; as `read_text`.
    """
    lines = read_lines(path, strip=False)
    separator = "\t" if Path(path).suffix.lower() == ".tsv" else ","
    names = [name.strip() for name in _values(path, *lines[0], separator)] if lines else []
    if missing := [column for column in columns if column not in names]:
        kind = "tabs" if separator == "\t" else "commas"
        raise ClipkitError(
            f"{path}: its first line has no column {missing[0]}; it has {', '.join(names)[:200]} (separated by {kind})"
        )
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise ClipkitError(f"{path}: line {lines[0][0]}: names the column {twice[:60]} twice; which one counts?")
    for number, line in lines[1:]:
        values = _values(path, number, line, separator)
        if len(values) != len(names):
            raise ClipkitError(
                f"{path}: line {number}: has {len(values)} values, and the first line names {len(names)} columns; a "
                "value that holds the separator must stand between double quotes"
            )
        yield number, {name: value.strip() for name, value in zip(names, values) if name}


def _values(path: str | Path, number: int, line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        what = "a quote that is not closed in its line" if "end of data" in str(error) else str(error)[:80]
        raise ClipkitError(f"{path}: line {number}: has {what}; within quotes write a quote as two") from None


def read_json(path: str | Path, what: str = "JSON file", nan: bool = False) -> Any:
    """As `clipkit.text.files.read_json`, of annotations.

    Args:
        nan: let NaN and Infinity pass, which Python writes and JSON does not know, where each number is looked at.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: no JSON, nested too deeply, a name that comes twice in an object, numbers that are none.
    """
    try:
        return files.read_json(path, what, nan)
    except ValueError as error:
        raise ClipkitError(str(error)) from None


def as_text(value: Any, path: str | Path, where: str) -> str:
    """A value that must be text.

    Raises:
        ClipkitError: it is another type, or has half a character; `where` is named.
    """
    if not isinstance(value, str):
        raise ClipkitError(f"{path}: {where} is {_type(value)}, and text is needed")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ClipkitError(f"{path}: {where} holds half a character (a lone surrogate): {value[:60]!a}") from None
    return value


def as_list(value: Any, path: str | Path, where: str) -> list[Any]:
    """A value that must be a list; raises ClipkitError."""
    if not isinstance(value, list):
        raise ClipkitError(f"{path}: {where} is {_type(value)}, and a list is needed")
    return value


def as_object(value: Any, path: str | Path, where: str, *names: str) -> dict[str, Any]:
    """A value that must be an object with these names; raises ClipkitError."""
    if not isinstance(value, dict):
        raise ClipkitError(f"{path}: {where} is {_type(value)}, and an object is needed")
    if missing := [name for name in names if name not in value]:
        raise ClipkitError(f'{path}: {where} has no "{missing[0]}"')
    return value


def _type(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
