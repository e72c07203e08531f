"""Text and JSON of strangers: one rule for encodings and byte-order marks, and one line for whatever is wrong."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

from clipkit.errors import one_line

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16's mark, which it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(path: str | Path, what: str = "text file") -> str:
    """The text of a file: UTF-8, or what its byte-order mark says; line ends become `\\n`.

    Args:
        path: the file.
        what: what it should be, for messages.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a folder, a file that cannot be read, or another encoding; the message names file and line.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ValueError(f"{path}: is {'a folder' if path.is_dir() else 'no plain file'}, and a {what} is needed")
        data = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such {what}") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from None
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}:{line}: is not UTF-8 text; save the {what} as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def read_json(path: str | Path, what: str = "JSON file", nan: bool = True) -> Any:
    """What a JSON file holds; encodings and errors as of `read_text`.

    Args:
        path, what: see `read_text`.
        nan: take NaN and Infinity, which Python writes and JSON does not know.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no JSON, nested too deeply, or an object has a key twice, of which Python would keep the last.
    """
    text = read_text(path, what)
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=float if nan else _no_number)
    except RecursionError:
        raise ValueError(f"{path}: not readable as JSON (nested too deeply)") from None
    except ValueError as error:
        raise ValueError(f"{path}: not readable as JSON ({one_line(error, 100)})") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:40]!r} stands twice in one object")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number")
