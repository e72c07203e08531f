"""What is searched, videos and images, and what is found in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clipkit.data.images import IMAGE_SUFFIXES
from clipkit.data.video import VIDEO_SUFFIXES


@dataclass(frozen=True)
class Moment:
    """A stretch of a video, or an image, that answers a query.

    Attributes:
        path: the file.
        start, end: seconds; both 0 for an image.
        score: cosine of the query and the best frame.
        frame: index of the best frame in its file.
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
        """True for an image."""
        return is_image(self.path)


def is_image(path: str | Path) -> bool:
    """By its suffix."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def list_media(inputs: Sequence[str | Path]) -> list[Path]:
    """Files as given, and the videos and images inside folders (sorted, also of subfolders).

    Raises:
        FileNotFoundError: an input that does not exist, or a folder without any.
    """
    found: list[Path] = []
    for item in map(Path, inputs):
        if not item.exists():
            raise FileNotFoundError(f"{item}: no such file or folder")
        known = (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES)
        listed = () if item.is_file() else item.rglob("*")
        inside = sorted(p for p in listed if p.suffix.lower() in known and p.is_file()) or [item] * item.is_file()
        if not inside:
            raise FileNotFoundError(f"{item}: no videos or images in this folder")
        found += inside
    return list(dict.fromkeys(found))
