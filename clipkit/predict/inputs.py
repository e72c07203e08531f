"""What a person gives to look at: files, folders, addresses; and a name of its own for each one's results."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from clipkit.data import VIDEO_SUFFIXES, walk
from clipkit.data.audio import has_sound_suffix
from clipkit.data.fetch import address_stem, is_address
from clipkit.data.points import CLOUD_SUFFIXES
from clipkit.errors import ClipkitError
from clipkit.search.media import find_media, tell_unread
from clipkit.text import Vocabulary

_CLOUDS = set(CLOUD_SUFFIXES) - {".txt", ".csv"}  # of which a folder may have others
AHEAD = 4  # sources that are read before they are asked for


def list_inputs(inputs: Sequence[str]) -> list[str | Path]:
    """Addresses and files as given, and the photos and films inside folders, or where there are none the clouds and
    sounds; what else lies beside photos and films is told on stderr.

    Raises:
        FileNotFoundError: see `find_media`.
    """
    found: list[str | Path] = []
    others: Counter[str] = Counter()
    for item in inputs:
        if is_address(item):
            found.append(item)
            continue
        try:
            media, more = find_media([item])
        except FileNotFoundError:
            folder = Path(item)
            files = walk(folder) if folder.is_dir() else []
            media = [file for file in files if file.suffix.lower() in _CLOUDS or has_sound_suffix(file)]
            more = Counter()
            if not media:
                raise
        found += media
        others += more
    tell_unread(others)
    return found


def parse_words(text: str) -> Vocabulary:
    """The words that are a command's last argument.

    Raises:
        ClipkitError: they are the last photo: the words were forgotten.
    """
    # Not pathlib: it raises where the words are longer than a file name may be. A folder called `cat` is no mistake.
    if os.path.isfile(text) and Path(text).suffix:
        raise ClipkitError(f'{text}: is a file; the last argument is the words, e.g. "cat, bench, grass"')
    return Vocabulary.parse(text)


def is_video(source: str | Path) -> bool:
    """Whether this is the path of a film, by its ending."""
    return not is_address(source) and Path(source).suffix.lower() in VIDEO_SUFFIXES


def read_ahead(pool: Executor, read: Callable[[Any], Any], sources: Iterable[Any]) -> Iterator[Future]:
    """What `read` gives for each source, in their order; `AHEAD` of them are begun before they are asked for."""
    waiting: list[Future] = []
    for source in sources:
        waiting.append(pool.submit(read, source))
        if len(waiting) > AHEAD:
            yield waiting.pop(0)
    yield from waiting


def free_names(sources: Sequence[str | Path], reserved: Iterable[str] = ()) -> list[str]:
    """A stem a source, a number behind it where one comes again (another folder, another ending) or is reserved."""
    taken = set(reserved)
    names = []
    for source in sources:
        stem = first = address_stem(str(source)) if is_address(source) else Path(source).stem
        number = 1
        while stem in taken:
            number += 1
            stem = f"{first}-{number}"
        taken.add(stem)
        names.append(stem)
    return names
