"""Reads label files, whoever wants one: plain text, numbered text, and JSON."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from clipkit.text._foreign_lists import refuse_foreign_list, refuse_ids
from clipkit.text._match import match_key
from clipkit.text.files import read_json, read_text

# A comment starts the line or follows a space, so that the label "C#" stays whole.
_COMMENT = re.compile(r"(^|\s)#.*$")
_NUMBERED = re.compile(r"\s*(\d+)\s*:\s*(.+?)\s*")
_SUFFIXES = (".txt", ".json", ".names", ".csv", ".tsv", ".yaml", ".yml")
_UNSEEN = "\u200b\ufeff\u00ad"  # a space of no width, a byte-order mark inside, a hyphen that is not shown
_JSON = "must hold a JSON list of class names, in the order of their ids"


def read_label_file(path: str | Path, *, unique: bool = True) -> list[tuple[str, ...]]:
    """Returns one `(name, synonym, …)` a class, in the file's order.

    Formats: one class a line, `name; synonym; …`, UTF-8, `#` comments; the same with numbers, `1: name` (from 0 or 1,
    as PASCAL-Context's labels.txt); `.json` with a list of names (CAT-Seg, SAN) or of lists of words, alone or under
    'names', with an object of numbers and names (`{"0": "cat", …}`), or an annotation file in COCO's format.

    Args:
        path: the file.
        unique: refuse a name that comes twice.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file in none of these formats, without a class, or that repeats one; the message names file
            and line, or entry.
    """
    json = Path(path).suffix.lower() == ".json"
    rows = list(enumerate(names_of_json(path), start=1)) if json else _without_numbers(path, _rows_of_text(path))
    unit, where = ("entry", f"{path}: entry ") if json else ("line", f"{path}:")
    refuse_ids(path, [words[0] for _, words in rows])
    seen: dict[str, int] = {}
    for number, words in rows:
        keys = [match_key(word) for word in words]
        for word, key in zip(words, keys):
            if keys.count(key) > 1:
                raise ValueError(f"{where}{number}: {word!r} stands twice in the {unit}")
        if unique and keys[0] in seen:
            raise ValueError(f"{where}{number}: class {words[0]!r} is already in {unit} {seen[keys[0]]}")
        seen[keys[0]] = number
    return [words for _, words in rows]


def names_of_json(path: str | Path, frequency: str = "") -> list[tuple[str, ...]]:
    """The words of each class in a JSON file; of LVIS's categories those of some frequencies (of 'r', 'c', 'f')."""
    content: Any = read_json(path, "label file")
    if isinstance(content, dict) and isinstance(content.get("categories"), list):
        rows = [c if isinstance(c, dict) else {} for c in content["categories"]]
        if frequency and (wrong := [c for c in rows if c.get("frequency") not in ("r", "c", "f")]):
            raise ValueError(f"{path}: category {str(wrong[0].get('name'))[:60]!r} has no frequency r, c or f")
        content = [c.get("name") for c in rows if not frequency or c["frequency"] in frequency]
    elif isinstance(content, dict) and "names" in content:
        content = content["names"]
    if isinstance(content, dict) and all(key.isdecimal() for key in content):
        numbers = sorted(map(int, content))
        if numbers not in (list(range(len(numbers))), list(range(1, len(numbers) + 1))):
            raise ValueError(f"{path}: its numbers are not 0, 1, 2, … or 1, 2, 3, …")
        content = [content[key] for key in sorted(content, key=int)]
    if not isinstance(content, list) or not content:
        raise ValueError(f"{path}: {_JSON}")
    groups = [[item] if isinstance(item, str) else item for item in content]
    for number, words in enumerate(groups, start=1):
        if not isinstance(words, list) or not words or not all(isinstance(w, str) and match_key(w) for w in words):
            raise ValueError(f"{path}: {_JSON} (entry {number} is {str(content[number - 1])[:40]!r})")
    return [tuple(word.strip() for word in words) for words in groups]


def refuse_path(labels: str) -> None:
    """Labels that are the path of a label file are a mistake: one class of that name would be asked for.

    Raises:
        ValueError: the line says how a file is given.
    """
    text = labels.strip()
    if text.lower().endswith(_SUFFIXES) and not {",", ";"} & set(text):
        raise ValueError(f"labels {text!r} are the name of a file: give it by --labels-file (Vocabulary.from_file)")


def _rows_of_text(path: str | Path) -> list[tuple[int, tuple[str, ...]]]:
    """(line, words) of each class."""
    rows = []
    contents = [_COMMENT.sub("", raw).strip() for raw in read_lines(path)]
    if any(contents):
        refuse_foreign_list(path, [content for content in contents if content])
    for number, content in enumerate(contents, start=1):
        if not content:
            continue
        words = tuple(word.strip() for word in content.split(";"))
        if not words[0]:
            raise ValueError(f"{path}:{number}: has synonyms but no name; write 'name; synonym; …'")
        rows.append((number, tuple(word for word in words if word)))
    if not rows:
        raise ValueError(f"{path}:1: holds no class; write one a line, 'name; synonym; …'")
    return rows


def _without_numbers(path: str | Path, rows: list[tuple[int, tuple[str, ...]]]) -> list[tuple[int, tuple[str, ...]]]:
    found = [_NUMBERED.fullmatch(words[0]) for _, words in rows]
    if not any(found):
        return rows
    numbers = [int(match[1]) if match else -1 for match in found]
    first = 0 if numbers[0] == 0 else 1
    if numbers != list(range(first, first + len(numbers))):
        wrong = next(i for i, number in enumerate(numbers) if number != i + first)
        raise ValueError(
            f"{path}: name {wrong + 1} should be numbered '{wrong + first}: …', as in labels.txt, or none of them"
        )
    return [(line, (match[2], *words[1:])) for (line, words), match in zip(rows, found) if match]


def read_lines(path: str | Path) -> list[str]:
    """All lines of a UTF-8 text file, without their ends. Errors as in `read_label_file`."""
    text = read_text(path, "label file")
    # Not str.splitlines, which also breaks at form feeds: line numbers must be those of an editor.
    lines = text.split("\n")
    for number, content in enumerate(lines, start=1):
        control = next((c for c in content if ord(c) < 32 and c != "\t"), None)
        if control is not None:
            raise ValueError(f"{path}:{number}: holds the control character {ord(control):#04x}; is this a text file?")
        if unseen := next((c for c in content if c in _UNSEEN), None):
            raise ValueError(f"{path}:{number}: holds U+{ord(unseen):04X}, which is not shown but read; remove it")
    return lines
