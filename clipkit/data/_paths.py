"""Which files a folder, a list or an annotation file means: names stay below their root, links are followed once."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

from clipkit.errors import ClipkitError

_NAME_BYTES = 255  # of one part of a path


def is_file(path: Path) -> bool:
    """Whether there is such a file; False also for names that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, a NUL byte
        return False


def below(root: str | Path, name: str, where: str | Path, option: str) -> Path:
    """`root/name`, which a list or a table calls by `name`.

    Args:
        where: the file that names it.
        option: what gives another root.

    Raises:
        ClipkitError: it lies outside `root`, or no file can have that name.
    """
    try:
        size = max(map(len, os.fsencode(name).split(b"/")))
    except UnicodeEncodeError:
        size = _NAME_BYTES + 1
    if size > _NAME_BYTES or "\0" in name:
        raise ClipkitError(f"{where}: names {name[:60]!a}, which no file can be called")
    if not _is_below(root, name):
        raise outside(root, name, where, option)
    return Path(root) / name


def find_below(folder: Path, name: str) -> Path | None:
    """The file that annotations call by `name`, there or not, with `\\` for `/` as Windows writes it; None for a name
    that leads out of the folder.

    A path that an archive or another machine shortens (Objects365; `C:\\data\\JPEGImages\\a.png`) is looked for by its
    last two parts, and by what follows the folder's own name in it; accents may be characters of their own (a Mac's).
    """
    windows = "\\" in name and not is_file(folder / name)
    pure = PureWindowsPath(name) if windows else PurePosixPath(name)
    if ".." in pure.parts:
        return None
    if not windows and pure.is_absolute() and _is_below(folder, name):
        return Path(name)
    parts = [part for part in pure.parts if part != pure.anchor]
    whole = None if pure.anchor else folder.joinpath(*parts)
    tails = [parts[-2:]] if pure.anchor else [parts, parts[-2:]]
    if folder.name in parts[:-1]:
        tails.append(parts[len(parts) - parts[::-1].index(folder.name) :])
    named = [os.path.join(*tail) for tail in tails if tail]
    spelled = [unicodedata.normalize(form, name) for form in ("NFC", "NFD") for name in named]
    return next((place for place in (folder / name for name in [*named, *spelled]) if is_file(place)), whole)


def outside(root: str | Path, name: str, where: str | Path, option: str) -> ClipkitError:
    """The error of a name that leads out of its root; see `below`."""
    return ClipkitError(f"{where}: names {name[:200]!r}, which lies outside {root}; {option} gives another folder")


def _is_below(root: str | Path, name: str) -> bool:
    top = os.path.abspath(root)
    return os.path.commonpath([os.path.abspath(os.path.join(top, name)), top]) == top


def walk(folder: str | Path, lost: bool = False) -> list[Path]:
    """All files in a folder and its subfolders, sorted. Links to folders are followed, each folder once, and none that
    leads back to where it lies.

    Args:
        lost: also links that lead nowhere, which whoever reads them names.
    """
    found: list[Path] = []
    seen: set[str] = set()
    folders, links = [Path(folder)], list[Path]()
    while folders or links:
        place = folders.pop() if folders else links.pop(0)  # what is there itself comes before what links show
        real = os.path.realpath(place)
        if real in seen or (place.is_symlink() and Path(os.path.realpath(place.parent)).is_relative_to(real)):
            continue
        seen.add(real)
        for entry in sorted(os.scandir(place), key=lambda entry: entry.name):
            if entry.is_symlink() and not os.path.exists(entry):
                found += [place / entry.name] if lost else []
            elif entry.is_dir():
                (links if entry.is_symlink() else folders).append(place / entry.name)
            elif entry.is_file():
                found.append(place / entry.name)
    return sorted(found)
