"""What a reader is to the fuzzer: a row of one table."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipkit.errors import ClipkitError


@dataclass(frozen=True)
class Reader:
    """A reader, and what it is tried with.

    Attributes:
        name: of the row, and of its folder of seeds.
        seeds: writes one folder a valid seed below the folder that it gets, by clipkit's own writers or a few lines;
            names that begin with a dot are none, and stay where they are while cases run.
        call: reads the copy of a seed's folder as a user would have it read; returns what was read. A seed must be
            accepted as it is.
        checked: seeds, by name or a pattern of names, whose format has a checksum: after damage that leaves the
            checksums alone they are refused, or read as they were.
        share: how many cases it gets, beside one of ordinary speed.
        cases: after how many a process is replaced, for readers that keep something of each.
    """

    name: str
    seeds: Callable[[Path], None]
    call: Callable[[Path], Any]
    checked: Sequence[str] = ()
    share: float = 1.0
    cases: int = 2000


def only(folder: Path) -> Path:
    """The file of a seed that is one file, whatever it is called now."""
    return min(folder.iterdir(), default=folder / "gone")


def inner(folder: Path) -> Path:
    """The folder in a seed whose name says which of a reader's formats it is in."""
    return next(path for path in sorted(folder.iterdir()) if path.is_dir() and not path.is_symlink())


def command(main: Callable[[Sequence[str]], int], *arguments: object) -> None:
    """A command line that does its work, or refuses with one line.

    Raises:
        ClipkitError: it refused.
        AssertionError: it ended in another way than commands do.
    """
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main([str(argument) for argument in arguments])
    if code == 0:
        return
    lines = [line for line in said.getvalue().splitlines() if line.startswith("error: ")]
    if code != 2 or len(lines) != 1 or said.getvalue().splitlines()[-1] != lines[0]:
        raise AssertionError(f"exit code {code}, said: {said.getvalue()[-2000:]}")
    raise ClipkitError(lines[0].removeprefix("error: "))


def table() -> dict[str, Reader]:
    """Every row by its name; a new reader adds one to the module of its kind."""
    from fuzz import (
        read_bundles,
        read_data,
        read_exports,
        read_films,
        read_lines,
        read_media,
        read_points,
        read_samples,
        read_stores,
        read_weights,
        read_words,
    )

    pictures = (read_media, read_films, read_exports)
    shared = (read_bundles, read_samples)
    modules = (read_weights, read_data, *pictures, read_stores, read_lines, read_words, read_points, *shared)
    rows = [row for module in modules for row in module.READERS]
    return {row.name: row for row in rows}
