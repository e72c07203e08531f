"""Class-name files of training-free segmentation: line i holds the words by which class i is asked for."""

from __future__ import annotations

from pathlib import Path

from clipkit.text.label_file import read_lines


def read_class_file(path: str | Path, separator: str = ", ") -> list[tuple[str, ...]]:
    """Returns the words of each class, in the file's order: the line is the class's id, whatever its words are.

    Args:
        path: the file, UTF-8, no comments; blank lines only at its end.
        separator: what stands between the words of a line: `', '` in SCLIP's and NACLIP's files, `','` in ClearCLIP's,
            `'; '` in ProxyCLIP's. A file that has one word a line reads the same with each.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file that is not UTF-8 text, a line without a word, or words that another separator joins;
            the message names file and line.
    """
    if not separator.strip():
        raise ValueError(f"separator {separator!r} would split names at their spaces; use ', ' or ',' or '; '")
    lines = read_lines(path)
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise ValueError(f"{path}:1: holds no class; write the words of one a line")
    classes = []
    for number, line in enumerate(lines, start=1):
        words = [word.strip() for word in line.split(separator)]
        if not all(words):
            what = "an empty word" if any(words) else "no word, but a line is a class here"
            raise ValueError(f"{path}:{number}: holds {what}")
        joined = next((word for word in words if ";" in word or separator.strip() in word), None)
        if joined is not None:
            raise ValueError(
                f"{path}:{number}: {joined!r} is not one word: the separator is not {separator!r}; known: ', ' ',' '; '"
            )
        classes.append(tuple(words))
    return classes
