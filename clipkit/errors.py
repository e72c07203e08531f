"""What clipkit says to a person: one line that names the file or argument, what is known, and what to do."""

from __future__ import annotations

import difflib
import logging
import re
import sys
import unicodedata
from collections.abc import Iterable

_IN_WORKER = re.compile(r"Caught \w+ in DataLoader worker process \d+\.\n")
_DIRECTIONS = {
    "\u061c", "\u200e", "\u200f", "\ufeff",
    *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x2070)), *map(chr, range(0xFFF9, 0xFFFC)),
}  # fmt: skip
_RAISED = re.compile(r"[\w.]+: ")  # how a traceback's last line begins; code and places in it are indented

_SAID: set[str] = set()


class ClipkitError(Exception):
    """An error that the user can repair. Its message is one line; the command line prints it without a traceback."""


def shown(text: object, limit: int = 200, keep: str = "") -> str:
    """Text of strangers (names, file names, headers, keys) as it may be shown: on a terminal, in a log, on a page.

    Letters of every script stay. Control characters, which can move a terminal's cursor or forge a line, and those that
    turn the direction of what follows are escaped as in Python's literals, half characters too.

    Args:
        limit: longest text, characters; a longer one ends in `…`.
        keep: control characters that stay, e.g. line breaks in a log.
    """
    cut = str(text)
    cut = cut if len(cut) <= limit else cut[: limit - 1] + "…"
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(c if c in keep or not _is_hidden(c) else c.encode("unicode_escape").decode() for c in cut)


def _is_hidden(character: str) -> bool:
    # Cc control, Cs surrogates, Zl and Zp breaks of lines and paragraphs; joiners (200C, 200D) belong to scripts.
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _DIRECTIONS


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
    listed = names if len(names) <= limit else close + [item for item in names if item not in close]
    return f"{hint}Known: {some(listed, limit)}"


def some(names: Iterable[object], limit: int = 3) -> str:
    """`a, b, c and 4 more`: the first names of a list as `shown`, and how many it goes on with; empty for none."""
    words = list(names)
    more = f" and {len(words) - limit} more" if len(words) > limit else ""
    return ", ".join(map(shown, words[:limit])) + more


def one_line(error: BaseException | str, limit: int = 2000) -> str:
    """The message of an error as `shown`, its line breaks folded into spaces, or its type where it says nothing.

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
    return shown(" ".join(text.split()), limit)


class ShownRecord(logging.LogRecord):
    """A log record whose message is `shown`; `logging.setLogRecordFactory(ShownRecord)` makes every logger do so."""

    def getMessage(self) -> str:
        """The message, its lines kept."""
        return shown(super().getMessage(), limit=1 << 20, keep="\n\t")


def warn_outdated(old: str, new: str) -> None:
    """Says in one line on stderr, once in a process, that an old spelling still works.

    >>> warn_outdated("broken='stop'", "on_bad='raise'")
    broken='stop' is read until clipkit 1.0: write on_bad='raise'
    """
    if old not in _SAID:
        _SAID.add(old)
        print(f"{old} is read until clipkit 1.0: write {new}", file=sys.stderr)
