"""How much memory a stranger's file may take once it is read: a stated factor of what it is on disk."""

from __future__ import annotations

import math
import os

from clipkit.errors import ClipkitError

FACTOR = 8
VARIABLE = "CLIPKIT_SIZE_FACTOR"
SMALL = 32 << 20  # a smaller file counts as this, so that FACTOR says nothing about files of a few lines


class OverBudget(ClipkitError):
    """A file that would take more memory than its size explains. One line, which says how to allow it."""


def allowance(size: int) -> int:
    """Bytes of memory that a file of `size` bytes may take.

    Raises:
        ClipkitError: the environment's factor is no number.
    """
    return int(_factor() * max(size, SMALL))


def require(path: object, size: int, needed: int, what: str = "once read it", whose: str = "the file has") -> None:
    """Refuses a file that would take more than its allowance.

    Args:
        path: to name it.
        size: bytes on disk.
        needed: bytes of memory.
        what: the subject of the line.
        whose: what has that size.

    Raises:
        OverBudget: one line, with the factor that would allow it.
    """
    if needed > allowance(size):
        raise OverBudget(
            f"{path}: {what} would grow to {_amount(needed)}, and {whose} {_amount(size)}: refused; if you trust "
            f"it, set {VARIABLE}={math.ceil(needed / max(size, SMALL))} (now {_factor():g})"
        )


def _factor() -> float:
    text = os.environ.get(VARIABLE, "")
    try:
        factor = float(text or FACTOR)
    except ValueError:
        factor = math.nan
    if not 0 < factor < math.inf:
        raise ClipkitError(f"{VARIABLE}={text!r}: must be a positive number (default {FACTOR})")
    return factor


def _amount(count: int) -> str:
    unit = "bytes"
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:.3g} {unit}"
