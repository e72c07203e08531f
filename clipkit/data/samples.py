"""Pictures, films and texts from where they lie, cut into parts that are read one by one, for `clipkit embed`.

Sources, local or at any address of fsspec; a pattern (`s3://bucket/*.tar`) stands for the files that it means:

FOLDER         pictures and films below it, a caption beside each as `name.txt`; archives and tables below it, not lists
*.tar          webdataset: members of one name before the first dot are one thing: `000.jpg`, `000.txt`
*.parquet      a column of pictures (their bytes, or names of files) and one of captions
*.csv, *.tsv   the first line names the columns; one holds names of files, one may hold captions
*.jsonl        an object a line, with the same names
*.txt          the name of a file a line; for texts alone, a text a line

Names in lists and tables count from the folder of the list, or from `root`, and may not lead out of it. Columns are
found by these names: pictures and films `image`, `jpg`, `png`, `webp`, `bytes`, `content`, `image_path`, `path`,
`file`, `file_name`, `filename`, `video`, `name`, `url`; captions `caption`, `text`, `sentence`, `title`, `txt`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

from clipkit.errors import ClipkitError

from . import addresses
from ._list_samples import plan_list, read_list
from ._parquet import groups, read_group
from ._sample import FILMS, LISTS, NAME, PICTURES, TEXT, WANTED, Part, Sample, Skipped, address_of, file_sample
from ._tar_samples import read_tar
from .images import IMAGE_SUFFIXES
from .video import VIDEO_SUFFIXES

__all__ = ["WANTED", "Part", "Sample", "Skipped", "address_of", "plan", "read_part"]
_AT_ONCE = 16  # files that are looked at while a plan is made


def plan(
    sources: Sequence[str], wanted: str = "pictures", root: str | None = None, out: str | None = None
) -> tuple[list[Part], Counter[str]]:
    """The parts of sources in their order, and of folders how many files are not read, by their ending.

    Args:
        sources: see the top of this module.
        wanted: one of `WANTED`.
        root: what names of files in lists and tables count from; default: the folder of each.
        out: what is written; no source, where it lies in one.

    Raises:
        FileNotFoundError: a source that is not there.
        ClipkitError: one without anything of what is wanted, or of no known kind.
    """
    parts: dict[str, Part] = {}
    others: Counter[str] = Counter()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for source in sources:
            whole = addresses.whole(source)
            files, left = addresses.find(whole), list[str]()
            if out is not None and (written := addresses.whole(out)).startswith(f"{whole.rstrip('/')}/"):
                files = [file for file in files if not file[0].startswith(f"{written}/")]
            if len(files) == 1 and files[0][0] == whole and PurePosixPath(whole).suffix.lower() in LISTS:
                found = list(plan_list(whole, root or addresses.parent(whole)))
            else:
                found, left = _plan_files(whole, files, wanted, root, pool)
            if not found:
                held = ", ".join(f"{count} {ending}" for ending, count in _endings(left).most_common(5))
                raise ClipkitError(f"{source}: holds no {wanted} ({held or 'it is empty'})")
            parts.update((part.id, part) for part in found)
            others += _endings(left)
    return list(parts.values()), others


def _plan_files(
    source: str, files: list[tuple[str, int]], wanted: str, root: str | None, pool: ThreadPoolExecutor
) -> tuple[list[Part], list[str]]:
    """The parts of files, and those that are not read."""
    kinds: dict[str, list[tuple[str, int]]] = {"archive": [], "picture": [], "film": [], "": []}
    for address, size in files:
        suffix = PurePosixPath(address).suffix.lower()
        if suffix in (".tar", ".parquet"):
            kind = "archive"
        elif suffix in ((".txt",) if wanted == "texts" else IMAGE_SUFFIXES):
            kind = "picture"
        else:
            kind = "film" if suffix in VIDEO_SUFFIXES and wanted != "texts" else ""
        kinds[kind].append((address, size))
    found = [part for parts in pool.map(partial(_of_archive, root), kinds["archive"]) for part in parts]
    is_folder = all(address.startswith(source.rstrip("/") + "/") for address, _ in files)
    folder = source if is_folder else addresses.parent(re.split(r"[*?\[]", source)[0])
    beside = {file[0]: file for file in kinds[""] if wanted == "pairs" and file[0].endswith(".txt")}
    for kind, most in (("picture", PICTURES), ("film", FILMS)):
        for start in range(0, len(kinds[kind]), most):
            block = kinds[kind][start : start + most]
            names = tuple(address.removeprefix(folder.rstrip("/") + "/") for address, _ in block)
            captions = [beside[text] for address, _ in block if (text := _caption_of(address)) in beside]
            about = json.dumps([names, [*map(_state, block)], [*map(_state, captions)]])
            found.append(Part(folder, "files", names, folder, (), hashlib.sha256(about.encode()).hexdigest()[:16]))
    return found, [address for address, _ in kinds[""] if address not in beside]


def _state(file: tuple[str, int]) -> tuple[int, int]:
    """Size and, on a disk, time: other ones where it has changed."""
    address, size = file
    return size, os.stat(address).st_mtime_ns if addresses.is_local(address) and os.path.exists(address) else 0


def _caption_of(address: str) -> str:
    return address[: -len(PurePosixPath(address).suffix)] + ".txt"


def _of_archive(root: str | None, file: tuple[str, int]) -> list[Part]:
    address, inside = file[0], root or addresses.parent(file[0])
    state = addresses.state_of(address)
    if address.lower().endswith(".tar"):
        return [Part(address, "tar", (), inside, (), state)]
    if root:  # names in the table mean other files then
        state = hashlib.sha256(f"{state} {root}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return [Part(address, "parquet", (group,), inside, (), state) for group in range(groups(address))]


def _endings(files: Sequence[str]) -> Counter[str]:
    paths = [PurePosixPath(address) for address in files]
    return Counter(path.suffix.lower() or "without an ending" for path in paths if path.name[0] != ".")


def read_part(part: Part, wanted: str) -> Iterator[Sample | Skipped]:
    """Everything in a part, in its order; a film's file may be gone when the next thing is asked for.

    Args:
        wanted: one of `WANTED`.

    Raises:
        ClipkitError, OSError: the system fails to read.
    """
    readers = {"tar": read_tar, "list": read_list, "parquet": read_group, "files": _read_files}
    return map(partial(_complete, wanted), readers[part.kind](part, wanted))


def _read_files(part: Part, wanted: str) -> Iterator[Sample | Skipped]:
    return (file_sample(part.root, name, None, wanted, beside=True) for name in part.place)


def _complete(wanted: str, found: Sample | Skipped) -> Sample | Skipped:
    """Whether a sample has what is wanted, and no name or text without end."""
    if isinstance(found, Skipped):
        return replace(found, name=found.name[:NAME])
    name, picture, film, text = found
    name = name.encode("utf-8", "replace").decode()  # of a file whose name is no text
    if len(name.encode("utf-8", "replace")) > NAME:
        return Skipped(name[:80] + "…", f"its name has more than {NAME} bytes")
    if wanted != "texts" and picture is None and film is None:
        return Skipped(name, "no picture or film")
    if wanted != "pictures" and not text:
        return Skipped(name, "no text")
    if text and len(text) > TEXT:
        return Skipped(name, f"its text has more than {TEXT} characters")
    return found._replace(name=name)
