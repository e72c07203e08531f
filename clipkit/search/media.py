"""What is searched, videos and images, which files are of formats that nothing here reads, and what is found."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clipkit.data import walk
from clipkit.data.images import IMAGE_SUFFIXES
from clipkit.data.video import VIDEO_SUFFIXES


@dataclass(frozen=True)
class Moment:
    """A stretch of a video, or an image, that answers a query.

    Attributes:
        path: the file.
        start, end: seconds; both 0 for an image.
        score: cosine of the query and the best frame.
        frame: index of the best frame in its file; -1 where only its time is known, as of `clipkit embed`.
        time: when that frame is shown, seconds.
    """

    path: str
    start: float
    end: float
    score: float
    frame: int
    time: float

    @property
    def is_image(self) -> bool:
        """True for an image; one in an archive has a name without an ending, and no time."""
        return is_image(self.path) or (self.end == 0 and Path(self.path).suffix.lower() not in VIDEO_SUFFIXES)


def is_image(path: str | Path) -> bool:
    """By its suffix."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


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
        files = walk(item, lost=True)
        inside = [path for path in files if path.suffix.lower() in (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES)]
        if not inside:
            raise FileNotFoundError(f"{item}: no videos or images in this folder")
        found += inside
        known = set(inside)
        others.update(path.suffix.lower() for path in files if path not in known and path.name[0] != ".")
    return list(dict.fromkeys(found)), others


def tell_unread(others: Counter[str]) -> None:
    """One line on stderr: what lies beside the videos and images that were found."""
    if others:
        print(f"not read: {describe(others)}: no format of videos or images that is known here", file=sys.stderr)


def list_media(inputs: Sequence[str | Path]) -> list[Path]:
    """`find_media` without what is not read."""
    return find_media(inputs)[0]


def describe(others: Counter[str]) -> str:
    """'3 .heic, 1 without an ending'."""
    return ", ".join(f"{count} {suffix or 'without an ending'}" for suffix, count in others.most_common())
