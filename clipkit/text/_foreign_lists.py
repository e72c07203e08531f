"""Lists of classes as other tools write them: read as names they would be asked for with their numbers, colours and
quotes, and nothing would look wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

# What every line looks like, but for a first one of headings -> what is wrong with them.
_COLUMNS = {
    re.compile(r"([\"']).*\1"): "quotes around its names",
    re.compile(r"\d+\s*,.*"): "a column of numbers",
    re.compile(r"(\d+\s+){3}\S.*"): "columns of colours",  # CamVid: "64 128 64 Animal"
    re.compile(r".+:\d+,\d+,\d+:.*"): "columns of colours",  # CVAT: "cat:128,0,0::"
    re.compile(r"n\d{8}\b.*"): "WordNet's ids",  # ImageNet: "n01440764 tench"
    re.compile(r"-\s.*"): "dashes in front of its names",
}
_WORDNET = re.compile(r"n\d{8}")
_COUNTED = re.compile(r"(\d+)[.)]?\s+\S.*")
_NAMES_ALONE = "write the names alone, one a line"


def refuse_ids(path: str | Path, names: Sequence[str]) -> None:
    """Raises:
    ValueError: the names are WordNet's ids, which CLIP has never read, as in ImageNet's class index.
    """
    if names and all(map(_WORDNET.fullmatch, names)):
        raise ValueError(f"{path}: holds WordNet's ids ({names[0]}, …), which CLIP does not know; write words")


def refuse_foreign_list(path: str | Path, lines: Sequence[str]) -> None:
    """Looks at the lines of a label file, without blank ones and comments.

    Raises:
        ValueError: they are the list of another tool; the message says how to write it.
    """
    if Path(path).suffix.lower() in (".yaml", ".yml"):
        raise ValueError(f"{path}: a YAML file is no label file; {_NAMES_ALONE}")
    if lines[0][0] in "[{" and lines[-1][-1] in "]}":
        raise ValueError(f"{path}: holds a list in brackets; {_NAMES_ALONE}, or JSON in a file that ends in .json")
    if any(line[-1] == "{" for line in lines) and "}" in lines:
        raise ValueError(f"{path}: holds names in braces, as TensorFlow's label maps; {_NAMES_ALONE}")
    if len(lines) == 1 and "," in lines[0]:
        raise ValueError(f"{path}: holds one line with commas; write one class a line (a name with a comma: in JSON)")
    if ended := [line for line in lines if line[-1] == ","]:
        raise ValueError(f"{path}: has commas behind its names ({ended[0][:60]!r}); {_NAMES_ALONE}")
    if tabbed := [line for line in lines if "\t" in line]:
        raise ValueError(f"{path}: has columns ({tabbed[0][:60]!r}); {_NAMES_ALONE}")
    for rows in (lines, lines[1:]):
        for pattern, what in _COLUMNS.items():
            if rows and all(map(pattern.fullmatch, rows)):
                raise ValueError(f"{path}: has {what} ({rows[0][:60]!r}); {_NAMES_ALONE}")
    counted = [int(match[1]) for line in lines if (match := _COUNTED.fullmatch(line))]
    if len(lines) > 1 and counted in (list(range(len(lines))), list(range(1, len(lines) + 1))):
        raise ValueError(f"{path}: counts its names ({lines[0][:60]!r}); {_NAMES_ALONE}, or as '{counted[0]}: name'")
