"""What `clipkit.data.samples` gives, and the constants of its readers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from clipkit.errors import one_line

from . import addresses
from .video import VIDEO_SUFFIXES

WANTED = ("pictures", "texts", "pairs")
PICTURE_COLUMNS = (
    "image", "jpg", "png", "webp", "bytes", "content", "image_path", "path", "file", "file_name", "filename", "video",
    "name", "url",
)  # fmt: skip
TEXT_COLUMNS = ("caption", "text", "sentence", "title", "txt")
LISTS = (".txt", ".csv", ".tsv", ".jsonl")
PICTURES, FILMS = 1024, 8  # files of a folder, lines of a list: what a kill can cost, and what one task does
MOST = 256 << 20  # bytes of a picture's file
LINE, TEXT, NAME = 1 << 20, 1 << 16, 1024  # the longest line of a list, text and name, bytes


class Sample(NamedTuple):
    """A thing that is embedded. `film`: its address."""

    name: str
    picture: bytes | None = None
    film: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Skipped:
    """What is not embedded, why, and how many of it; not `bad` is what nobody asked for."""

    name: str
    why: str
    count: int = 1
    bad: bool = True


@dataclass(frozen=True)
class Part:
    """A part of the sources, as plain values.

    Attributes:
        source: the archive, table or list; of a folder's files the folder.
        kind: 'tar', 'parquet', 'list' or 'files'.
        place: of parquet (row group,), of a list (first byte, last byte, first line), of files their names.
        root: what names of files count from.
        header: of a list, its first line's columns.
        state: digits that change with what is read.
    """

    source: str
    kind: str
    place: tuple[Any, ...]
    root: str
    header: tuple[str, ...]
    state: str

    @property
    def id(self) -> str:
        """Of its record."""
        place = f"#{str(self.place[0]).replace('#', '%23')}" if self.place else ""  # its last # ends the source
        return f"{self.source}{place}@{self.state}"


def address_of(part: str, name: str) -> str:
    """Where a thing lies that was in the part with this id: a file's address, or `ARCHIVE/NAME`.

    Args:
        part: `Part.id`. It does not hold `root`: names in lists are taken to count from the folder of the list.
    """
    source = part.rpartition("@")[0]
    if source.lower().endswith(".tar"):
        return addresses.join(source, name)
    file, _, place = source.rpartition("#")
    suffix = PurePosixPath(file).suffix.lower()
    if not place.isdigit() or suffix not in (".parquet", *LISTS):  # FOLDER#its first file
        return addresses.join(file, name)
    beside = addresses.below(addresses.parent(file), name.replace("\\", "/"))
    is_inside = suffix == ".parquet" and not (beside and addresses.is_local(beside) and Path(beside).is_file())
    return addresses.join(file, name) if is_inside or beside is None else beside


def file_sample(root: str, name: str, text: str | None, wanted: str, beside: bool = False) -> Sample | Skipped:
    """The file that a list calls by `name`, below `root`.

    Args:
        beside: its caption is the file `name.txt` beside it.
    """
    address = addresses.below(root, name if beside else name.replace("\\", "/"))  # lists from Windows
    if address is None:
        return Skipped(name, f"lies outside {root}, or no file can be called so; --root gives another folder")
    suffix = PurePosixPath(name).suffix.lower()
    try:
        if suffix == ".txt":
            return Sample(name, text=_text_of(address))
        if beside and wanted == "pairs":
            caption = address[: -len(suffix)] + ".txt"
            text = _text_of(caption) if addresses.exists(caption) else None
        if suffix in VIDEO_SUFFIXES:
            addresses.size_of(address)
            return Sample(name, film=address, text=text)
        if addresses.size_of(address) > MOST:
            return Skipped(name, f"has more than {MOST >> 20} MiB")
        with addresses.reading(address) as file:
            return Sample(name, picture=file.read(MOST), text=text)
    except addresses.OF_THE_FILE as error:
        return Skipped(name, one_line(getattr(error, "strerror", None) or error, 200))
    except UnicodeDecodeError:
        return Skipped(name, "its caption is no UTF-8")


def _text_of(address: str) -> str:
    with addresses.reading(address) as file:
        return file.read(4 * TEXT + 4).decode("utf-8-sig").strip()
