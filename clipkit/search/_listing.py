"""Which files of what a user names are searched, and which are of formats that nothing here reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from clipkit.data._tables import walk
from clipkit.data.images import IMAGE_SUFFIXES
from clipkit.data.video import VIDEO_SUFFIXES


def find_media(inputs: Sequence[str | Path]) -> tuple[list[Path], Counter[str]]:
    """Files as given, and the videos and images inside folders (sorted, also of subfolders, links followed once); and
    how many others lie there by their ending, hidden ones aside.

    Raises:
        FileNotFoundError: an input that does not exist, or a folder without any.
    """
    found: list[Path] = []
    others: Counter[str] = Counter()
    for item in map(Path, inputs):
        if not item.exists():
            raise FileNotFoundError(f"{item}: no such file or folder")
        if item.is_file():
            found.append(item)
            continue
        files = sorted(path for path in walk(item) if path.is_file())
        inside = [path for path in files if path.suffix.lower() in (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES)]
        if not inside:
            raise FileNotFoundError(f"{item}: no videos or images in this folder")
        found += inside
        known = set(inside)
        others.update(path.suffix.lower() for path in files if path not in known and path.name[0] != ".")
    return list(dict.fromkeys(found)), others


def describe(others: Counter[str]) -> str:
    """'3 .heic, 1 without an ending'."""
    return ", ".join(f"{count} {suffix or 'without an ending'}" for suffix, count in others.most_common())
