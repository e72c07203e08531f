"""Things of a webdataset archive: members of one name before the first dot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

from clipkit.errors import one_line

from . import addresses
from ._sample import MOST, TEXT, Part, Sample, Skipped
from ._tar import Member, TarError, members
from .images import IMAGE_SUFFIXES
from .video import VIDEO_SUFFIXES


def read_tar(part: Part, wanted: str) -> Iterator[Sample | Skipped]:
    """A film lies in a file that is gone when the next thing is asked for."""
    unread: Counter[str] = Counter()
    stem, own = "", dict[str, Any]()  # of the sample whose members come now
    with addresses.reading(part.source) as file, TemporaryDirectory(prefix="clipkit-") as scratch:
        try:
            for member in members(file):
                this, suffix = _split(member.name)
                role = _role(suffix, wanted)
                if problem := _refusal(member, role):
                    yield Skipped(member.name, problem)
                    continue
                if suffix in ("", ".") or this[-1:] in ("", "/"):  # `__key__`, macOS's `._000.jpg`: of no sample
                    unread[".*" if suffix else "*"] += 1
                    continue
                if this != stem:
                    yield from _sample(stem, own)
                    stem, own = this, {}
                if role is None:
                    unread[f"*{suffix}"] += 1
                elif role in own:
                    yield Skipped(member.name, "its name comes twice")
                elif role == "film":
                    own[role] = f"{scratch}/film{suffix}"  # the next one takes its place
                    _copy(member, own[role])
                elif role == "picture":
                    own[role] = member.file.read(member.size)
                else:
                    try:
                        own[role] = member.file.read(member.size).decode("utf-8-sig").strip()
                    except UnicodeDecodeError:
                        yield Skipped(member.name, "its caption is no UTF-8")
            rest = None
        except TarError as error:
            rest = Skipped("the rest of the archive", one_line(error, 200))
        yield from _sample(stem, own)
        if rest:
            yield rest
    for ending, count in sorted(unread.items()):
        yield Skipped(ending, "not read: no picture, film or caption that is wanted", count, bad=False)


def _sample(stem: str, own: dict[str, Any]) -> Iterator[Sample | Skipped]:
    """What the members of one name make; nothing before the first."""
    if "film" in own and own.pop("picture", None) is not None:
        yield Skipped(stem, "its picture is not read beside its film", bad=False)
    if stem:
        yield Sample(stem, **own)


def _split(name: str) -> tuple[str, str]:
    """'a/000.cls.txt' -> ('a/000', '.cls.txt'), as webdataset does."""
    folder, slash, base = name.rpartition("/")
    stem, dot, suffix = base.partition(".")
    return f"{folder}{slash}{stem}", f"{dot}{suffix.lower()}"


def _role(suffix: str, wanted: str) -> str | None:
    """What a file is of a sample; None for what is not wanted, and for all that is not known: code (`.pyd`, `.pkl`,
    `.pth`) is decoded by no one here."""
    if suffix == ".txt":
        return None if wanted == "pictures" else "text"
    if wanted == "texts":
        return None
    return "picture" if suffix in IMAGE_SUFFIXES else "film" if suffix in VIDEO_SUFFIXES else None


def _refusal(member: Member, role: str | None) -> str:
    if member.kind:
        return f"is {member.kind}"
    if member.name.startswith("/") or ".." in member.name.replace("\\", "/").split("/"):
        return "leads out of its archive"
    most = {"picture": MOST, "text": 4 * TEXT}.get(role or "")
    return f"has more than {most:,} bytes" if most and member.size > most else ""


def _copy(member: Member, to: str) -> None:
    left = member.size
    with open(to, "wb") as film:
        while left and (block := member.file.read(min(left, 1 << 20))):
            film.write(block)
            left -= len(block)
