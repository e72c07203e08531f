"""How much of each class a data set holds, in one line; classes without anything are named."""

from __future__ import annotations

from collections.abc import Sequence

ALL, SOME = 40, 5  # up to so many classes all are listed, of more the fewest and the most


def class_counts(names: Sequence[str], counts: Sequence[int], what: str) -> str:
    """`560 boxes: cat 500, dog 60; none of: fox`; of pixels (large numbers) shares in percent.

    Args:
        names: the classes.
        counts: how much there is of each.
        what: what is counted, such as 'boxes'.
    """
    total = sum(counts)
    held = [(name, count) for name, count in zip(names, counts) if count]
    empty = [name for name, count in zip(names, counts) if not count]
    listed = ", ".join(f"{name} {_shown(count, total, what)}" for name, count in held)
    if len(held) > ALL:
        order = sorted(held, key=lambda item: item[1])
        few, most = ([f"{n} {_shown(c, total, what)}" for n, c in part] for part in (order[:SOME], order[-SOME:]))
        listed = f"{len(held)} classes, fewest {', '.join(few)}, most {', '.join(most[::-1])}"
    line = f"{total:,} {what}: {listed}" if held else f"no {what} of any class"
    if empty and held:
        more = f", … ({len(empty)} in all)" if len(empty) > ALL else ""
        line += f"; NONE of: {', '.join(empty[:ALL])}{more}"
    return line


def _shown(count: int, total: int, what: str) -> str:
    return f"{100 * count / total:.3g} %" if what == "pixels" else f"{count:,}"
