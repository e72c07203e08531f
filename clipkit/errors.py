"""What clipkit says to a person: one line that names the file or argument, what is known, and what to do."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable

_IN_WORKER = re.compile(r"Caught \w+ in DataLoader worker process \d+\.\n")
_RAISED = re.compile(r"[\w.]+: ")  # how a traceback's last line begins; code and places in it are indented

_SAID: set[str] = set()


class ClipkitError(Exception):
    """An error that the user can repair. Its message is one line; the command line prints it without a traceback."""


def did_you_mean(name: str, known: Iterable[str], *, limit: int = 12) -> str:
    """The end of an error line: `did you mean "x"? Known: a, b, c`.

    Args:
        name: what was asked for.
        known: what exists.
        limit: how many names to list at most; the closest ones come first when there are more.
    """
    names = sorted({str(item) for item in known})
    if not names:
        return "nothing is known here"
    lowered = {item.lower(): item for item in reversed(names)}
    close = [lowered[match] for match in difflib.get_close_matches(name.lower(), list(lowered), n=limit, cutoff=0.5)]
    hint = f'did you mean "{close[0]}"? ' if close else ""
    if len(names) <= limit:
        return f"{hint}Known: {', '.join(names)}"
    shown = close + [item for item in names if item not in close]
    return f"{hint}Known: {some(shown, limit)}"


def some(names: Iterable[object], limit: int = 3) -> str:
    """`a, b, c and 4 more`: the first names of a list, and how many it goes on with; empty for none."""
    words = [str(name) for name in names]
    more = f" and {len(words) - limit} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more


def one_line(error: BaseException | str, limit: int | None = None) -> str:
    """The message of an error with its line breaks folded into spaces, or its type where it says nothing.

    Of an error in a data loader's worker: what was said there, without the traceback that torch puts before it.

    Args:
        limit: characters to keep; what is cut ends in `…`.
    """
    text = str(error) if isinstance(error, str) else (str(error) or type(error).__name__)
    if _IN_WORKER.match(text):
        said = [line for line in text.splitlines() if _RAISED.match(line)]
        text = said[-1].partition(": ")[2] if said else text
    if isinstance(error, KeyError) and error.args:  # str(KeyError('x')) keeps the quotes
        text = str(error.args[0])
    text = " ".join(text.split())
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"


def warn_outdated(old: str, new: str) -> None:
    """Says in one line on stderr, once in a process, that an old spelling still works.

    >>> warn_outdated("broken='stop'", "on_bad='raise'")
    broken='stop' is read until clipkit 1.0: write on_bad='raise'
    """
    if old not in _SAID:
        _SAID.add(old)
        print(f"{old} is read until clipkit 1.0: write {new}", file=sys.stderr)
