"""What a person gives to look at: files, folders, addresses; and a name of its own for each one's results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from clipkit.data import VIDEO_SUFFIXES, list_images
from clipkit.data.fetch import address_stem, is_address


def list_inputs(inputs: Sequence[str]) -> list[str | Path]:
    """Addresses and files as given, and the pictures inside folders.

    Raises:
        FileNotFoundError: see `list_images`.
    """
    return [one for item in inputs for one in ([item] if is_address(item) else list_images([item]))]


def is_video(source: str | Path) -> bool:
    """Whether this is the path of a film, by its ending."""
    return not is_address(source) and Path(source).suffix.lower() in VIDEO_SUFFIXES


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
