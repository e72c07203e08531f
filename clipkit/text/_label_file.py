"""Reads label files: one class a line, `name; synonym; …`, UTF-8, `#` comments."""

from __future__ import annotations

import re
from pathlib import Path

from clipkit.text._match import match_key

# A comment starts the line or follows a space, so that the label "C#" stays whole.
_COMMENT = re.compile(r"(^|\s)#.*$")


def read_label_file(path: str | Path, *, unique: bool = True) -> list[tuple[str, ...]]:
    """Returns one `(name, synonym, …)` a class, in the file's order. A byte-order mark and CRLF line ends are fine.

    Args:
        path: the file.
        unique: refuse a name that comes twice.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file that is not UTF-8 text, has no class, or repeats one; the message names file and line.
    """
    classes: list[tuple[str, ...]] = []
    seen: dict[str, int] = {}
    for number, raw in enumerate(read_lines(path), start=1):
        content = _COMMENT.sub("", raw).strip()
        if not content:
            continue
        words = tuple(word.strip() for word in content.split(";"))
        if not words[0]:
            raise ValueError(f"{path}:{number}: has synonyms but no name; write 'name; synonym; …'")
        words = tuple(word for word in words if word)
        keys = [match_key(word) for word in words]
        for word, key in zip(words, keys):
            if keys.count(key) > 1:
                raise ValueError(f"{path}:{number}: {word!r} stands twice in the line")
        if unique and keys[0] in seen:
            raise ValueError(f"{path}:{number}: class {words[0]!r} is already in line {seen[keys[0]]}")
        seen[keys[0]] = number
        classes.append(words)
    if not classes:
        raise ValueError(f"{path}:1: holds no class; write one a line, 'name; synonym; …'")
    return classes


def read_lines(path: str | Path) -> list[str]:
    """All lines of a UTF-8 text file, without their ends. Errors as in `read_label_file`."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; a label file has one class a line, 'name; synonym; …'")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such label file") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}:{line}: is not UTF-8 text; save the label file as UTF-8") from None
    # Not str.splitlines, which also breaks at form feeds: line numbers must be those of an editor.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, content in enumerate(lines, start=1):
        control = next((c for c in content if ord(c) < 32 and c != "\t"), None)
        if control is not None:
            raise ValueError(f"{path}:{number}: holds the control character {ord(control):#04x}; is this a text file?")
    return lines
