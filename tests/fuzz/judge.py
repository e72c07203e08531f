"""One case: a damaged copy of a seed, and what came of reading it."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import torch

from clipkit.errors import ClipkitError, one_line
from clipkit.explain import explain
from fuzz import mutate
from fuzz.formats import damage
from fuzz.table import Reader

OUTPUT = 60  # lines beyond those of the seed that a reader may print
_OWN = ("clipkit", "clipkit_plugins")


class Verdict(NamedTuple):
    """`kind`: ok, refused or defect; `what`: the line, or what is wrong; `value`: a digest of what was read; `lines`:
    how many were printed."""

    kind: str
    what: str
    value: str = ""
    lines: int = 0


def make_case(reader: Reader, seeds: Path, place: Path, seed: int, number: int) -> tuple[str, bool, str]:
    """Copies a seed to `place` and damages it. Returns its name, whether all damage was `mutate.raw`, which leaves
    checksums as they were, and what was done."""
    rng = Random(f"{reader.name}/{seed}/{number}")
    source = rng.choice(sorted(path for path in seeds.iterdir() if path.name[0] != "."))
    copy_seed(source, place)
    blind, done = True, []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if rng.random() < 0.08:
            done.append(mutate.folder(place, rng))
            blind = False
            continue
        files = sorted(path for path in place.rglob("*") if path.is_file() and not path.is_symlink())
        if not files:
            break
        path = rng.choice(files)
        is_raw = rng.random() < 0.45
        data = path.read_bytes()
        path.write_bytes(mutate.raw(data, rng) if is_raw else damage(data, path.name, rng))
        blind &= is_raw
        done.append(f"{'bytes' if is_raw else 'structure'} of {path.relative_to(place)}")
    return source.name, blind, ", ".join(done)


def copy_seed(source: Path, place: Path) -> None:
    """`place` becomes a copy; times of files stay, for indexes know files by them."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(source, place, symlinks=True)


def judge(reader: Reader, place: Path, seed: str, wanted: Verdict | None, blind: bool) -> Verdict:
    """Reads the case.

    Args:
        seed: its name.
        wanted: the verdict on the seed itself; None for that.
        blind: the damage left checksums as they were.
    """
    with silence() as said:
        verdict = _read(reader, place)
    text = said()
    verdict = verdict._replace(lines=text.count("\n"))
    if verdict.kind == "defect" or wanted is None:
        return verdict
    if "Traceback (most recent call last)" in text:
        return verdict._replace(kind="defect", what=f"printed a traceback: {text[-1500:]}")
    if verdict.lines > 3 * wanted.lines + OUTPUT:
        return verdict._replace(kind="defect", what=f"printed {verdict.lines} lines: {text[:500]}")
    has_checksum = any(fnmatch(seed, pattern) for pattern in reader.checked)
    if verdict.kind == "ok" and blind and has_checksum and verdict.value != wanted.value:
        return verdict._replace(kind="defect", what=f"accepted {seed} with other values than it was written with")
    return verdict


def _read(reader: Reader, place: Path) -> Verdict:
    try:
        return Verdict("ok", "", digest(reader.call(place)))
    except Exception as error:
        return _of_error(error, place)


def _of_error(error: Exception, place: Path) -> Verdict:
    """Refused is what the command line would say in one line that names a file, raised by clipkit itself."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        f
        for f in frames
        if any(f"/{name}/" in f.filename for name in (*_OWN, "plugins")) and "/fuzz/" not in f.filename
    ]
    where = f"{Path(own[-1].filename).name}:{own[-1].name}" if own else "?"
    bare = f"{type(error).__name__} in {where}: {one_line(error, 300)}"
    line = explain(error)
    is_own = isinstance(error, ClipkitError) or (isinstance(error, ValueError) and bool(own) and frames[-1] == own[-1])
    if not (is_own or isinstance(error, OSError)) or line is None or "\n" in line:
        return Verdict("defect", bare)
    if "this is a defect" in line:
        return Verdict("defect", line)
    names = {path.name for path in place.rglob("*")} | {place.name}
    if not any(name in line for name in names) and "--cfg-options" not in line:
        return Verdict("defect", f"names no file: {bare}")
    return Verdict("refused", line)


@contextmanager
def silence() -> Iterator[Callable[[], str]]:
    """Takes standard output and error of this process and its children; yields what gives their text afterwards."""
    with tempfile.TemporaryFile() as file:
        kept = [os.dup(number) for number in (1, 2)]
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        text = ""
        try:
            yield lambda: text
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, old in zip((1, 2), kept):
                os.dup2(old, number)
                os.close(old)
            file.seek(0)
            text = file.read(1 << 20).decode("utf-8", "replace")


def digest(value: Any) -> str:
    """Equal for equal values, in every process."""
    found = hashlib.sha256()
    for piece in _pieces(value):
        found.update(piece)
    return found.hexdigest()


def _pieces(value: Any) -> Iterator[bytes]:
    yield type(value).__name__.encode()
    if isinstance(value, torch.Tensor):
        value = value.detach().resolve_conj()
        value = (
            value.view(torch.uint8)
            if value.dtype == torch.bfloat16 and value.ndim
            else value.float()
            if value.dtype == torch.bfloat16
            else value
        )
        yield from _pieces(value.numpy())
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes()
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _pieces(key)
            yield from _pieces(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _pieces(item)
    elif isinstance(value, Path):
        yield value.name.encode("utf-8", "surrogateescape")
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _pieces(getattr(value, field.name))
    elif isinstance(value, (str, bytes, int, float, complex, type(None))):
        yield repr(value).encode("utf-8", "surrogatepass")
