"""Lists of files and texts, cut into blocks of lines."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from clipkit.errors import ClipkitError, one_line, some

from . import addresses
from ._sample import FILMS, LINE, PICTURE_COLUMNS, PICTURES, TEXT_COLUMNS, Part, Sample, Skipped, file_sample
from .video import VIDEO_SUFFIXES


def plan_list(address: str, root: str) -> Iterator[Part]:
    suffix = PurePosixPath(address).suffix.lower()
    header: tuple[str, ...] = ()
    lines = films = start = place = 0
    first = number = 1
    given = b"" if root == addresses.parent(address) else repr(root).encode()  # under another root, other files
    digest = hashlib.sha256(given)

    def part() -> Part:
        state = hashlib.sha256(digest.digest() + repr(header).encode()).hexdigest()[:16]
        return Part(address, "list", (start, place, first), root, header, state)

    with addresses.reading(address) as raw:
        for line in _lines(raw, 0, None):
            if number == 1 and suffix in (".csv", ".tsv"):
                header = _header(address, line, suffix)
                start = place = len(line)
                first = number = 2
                continue
            digest.update(line)
            place += len(line)
            number, lines = number + 1, lines + 1
            films += any(line.rstrip().lower().endswith(ending.encode()) for ending in VIDEO_SUFFIXES)
            if lines == PICTURES or films == FILMS:
                yield part()
                lines, films, start, first, digest = 0, 0, place, number, hashlib.sha256(given)
        if lines:
            yield part()


def _lines(raw: Any, start: int, stop: int | None) -> Iterator[bytes]:
    """Lines with their breaks; of one longer than `LINE`, pieces of that length."""
    raw.seek(start)
    file = io.BufferedReader(raw)
    try:
        while (stop is None or start < stop) and (line := file.readline(LINE)):
            start += len(line)
            yield line
    finally:
        file.detach()


def _header(address: str, line: bytes, suffix: str) -> tuple[str, ...]:
    try:
        names = tuple(name.strip() for name in _values(line.decode("utf-8-sig", "replace").strip("\r\n"), suffix))
    except csv.Error as error:
        raise ClipkitError(f"{address}: its first line, which names the columns, cannot be read ({error})") from None
    if not {*names} & {*PICTURE_COLUMNS, *TEXT_COLUMNS}:
        known = ", ".join((*PICTURE_COLUMNS, *TEXT_COLUMNS))
        raise ClipkitError(f"{address}: its first line names {some(names)}, and none of the columns {known}")
    return names


def _values(line: str, suffix: str) -> list[str]:
    return next(csv.reader([line], delimiter="\t" if suffix == ".tsv" else ",", strict=True), [])


def read_list(part: Part, wanted: str) -> Iterator[Sample | Skipped]:
    start, stop, number = part.place
    suffix = PurePosixPath(part.source).suffix.lower()
    is_rest = False
    with addresses.reading(part.source) as raw:
        for line in _lines(raw, start, stop):
            name, was_rest, is_rest = f"line {number}", is_rest, not line.endswith(b"\n")
            number += 1
            if was_rest:
                continue
            if is_rest and len(line) == LINE:
                yield Skipped(name, f"has more than {LINE:,} bytes")
            elif line.strip():
                yield _of_line(part, name, line, suffix, wanted)


def _of_line(part: Part, name: str, line: bytes, suffix: str, wanted: str) -> Sample | Skipped:
    try:
        text = line.decode("utf-8").strip("\r\n\ufeff")
        if suffix == ".txt":
            row = {"text" if wanted == "texts" else "path": text.strip()}
        elif suffix == ".jsonl":
            row = json.loads(text)
        else:
            values = _values(text, suffix)
            if len(values) != len(part.header):
                raise ValueError(f"{len(values)} values, and the first line names {len(part.header)} columns")
            row = dict(zip(part.header, values))
    except (ValueError, RecursionError, csv.Error) as error:
        return Skipped(name, f"cannot be read ({one_line(error, 120)})")
    if not isinstance(row, dict):
        return Skipped(name, "is no object with names")
    path, caption = (
        next((row[key] for key in columns if isinstance(row.get(key), str) and row[key]), None)
        for columns in (PICTURE_COLUMNS, TEXT_COLUMNS)
    )
    if wanted == "texts":
        return Sample(name, text=caption)
    return Skipped(name, "names no file") if path is None else file_sample(part.root, path, caption, wanted)
