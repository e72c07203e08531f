"""Labelled sounds: ESC-50, UrbanSound8K, and folders of one's own.

esc50          ROOT/meta/esc50.csv (filename, fold, category, …) and ROOT/audio/*.wav; folds 1 to 5
urbansound8k   ROOT/metadata/UrbanSound8K.csv (slice_file_name, fold, class, …) and ROOT/audio/fold1/*.wav; folds 1 to
               10, as they are given: clips of one recording are never in two
folder         ROOT/<class>/*: sounds, or films for their sound; no folds
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clipkit.errors import ClipkitError, did_you_mean

from ._paths import below, is_file, walk
from ._tables import read_table
from .audio import has_sound_suffix

_FOLD = re.compile(r"[0-9]{1,3}")
# File, columns of a clip's name, fold and class, folder of a clip.
TABLES = {
    "esc50": ("meta/esc50.csv", ("filename", "fold", "category"), "audio"),
    "urbansound8k": ("metadata/UrbanSound8K.csv", ("slice_file_name", "fold", "class"), "audio/fold{}"),
}
LAYOUTS = ("folder", *TABLES)


@dataclass(frozen=True)
class SoundSet:
    """`N` files and their classes: `paths`, `labels` (ids into `names`, which are words: `_` is a space)."""

    paths: list[Path]
    labels: list[int]
    names: list[str]


def read_sound_set(
    root: str | Path,
    layout: str = "folder",
    folds: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
) -> SoundSet:
    """Reads the lists, no sound; names are those of all folds.

    Args:
        layout: 'folder', 'esc50' or 'urbansound8k'.
        folds: those that are wanted; None: all.
        names: words for the classes, in the order of the set's own, in their place.

    Raises:
        FileNotFoundError: no such folder or table.
        ClipkitError: an unknown layout, a row that does not fit, files that are not there, folds without one,
            another number of names.
    """
    if layout not in LAYOUTS:
        raise ClipkitError(f'"{layout}" is no layout of sounds; {did_you_mean(layout, LAYOUTS)}')
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder of sounds")
    if layout == "folder":
        if folds is not None:
            raise ClipkitError(f"{root}: folders of classes have no folds; leave folds= out, or make a folder of each")
        return _named(_read_folders(root), names, root)
    table, columns, place = TABLES[layout]
    rows = list(read_table(root / table, columns))
    of_file, of_fold, of_class = columns
    classes = sorted({row[of_class] for _, row in rows})
    found = []
    wanted = None if folds is None else set(folds)
    for number, row in rows:
        file, fold, name = row[of_file], row[of_fold], row[of_class]
        if not _FOLD.fullmatch(fold) or not name:
            raise ClipkitError(f"{root / table}: line {number}: needs a fold, a whole number, and a class")
        if wanted is None or int(fold) in wanted:
            path = below(root / place.format(int(fold)), file, f"{root / table}: line {number}", "root")
            found.append((path, classes.index(name)))
    if not found:
        raise ClipkitError(f"{root / table}: has no clip in folds {folds}")
    if missing := [path for path, _ in found if not is_file(path)]:
        raise ClipkitError(f"{root}: {len(missing)} of {len(found)} clips are not there, e.g. {missing[0]}")
    sounds = SoundSet([path for path, _ in found], [label for _, label in found], list(map(_words, classes)))
    return _named(sounds, names, root)


def _read_folders(root: Path) -> SoundSet:
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = [[path for path in walk(folder) if has_sound_suffix(path)] for folder in folders]
    if not folders:
        raise ClipkitError(f"{root}: has no folders in it; put the sounds of each class into one of their own")
    if empty := [folder for folder, files in zip(folders, found) if not files]:
        raise ClipkitError(
            f"{empty[0]}: holds no sound; known by their endings are wav, flac, ogg, mp3, films and more"
        )
    labels = [label for label, files in enumerate(found) for _ in files]
    return SoundSet([path for files in found for path in files], labels, [_words(folder.name) for folder in folders])


def _named(found: SoundSet, names: Sequence[str] | None, root: Path) -> SoundSet:
    if names is None:
        return found
    if len(names) != len(found.names):
        raise ClipkitError(f"{root}: has {len(found.names)} classes, and {len(names)} names are given")
    return replace(found, names=list(names))


def _words(name: str) -> str:
    return " ".join(name.replace("_", " ").split())
