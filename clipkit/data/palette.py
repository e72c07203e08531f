"""Colours for label maps."""

import colorsys
import re
import zlib
from collections.abc import Sequence

from PIL import ImageColor


def palette(count: int) -> list[tuple[int, int, int]]:
    """`count` RGB colours that stay far apart for neighbours in the list: hues by the golden ratio, three brightnesses.

    The colours depend on the index alone, so a class keeps its colour when the list grows.
    """
    colours = []
    for i in range(count):
        hue = (0.02 + i * 0.61803398875) % 1.0
        value = (1.0, 0.72, 0.5)[i // 12 % 3]
        saturation = (0.9, 0.55)[i // 36 % 2]
        r, g, b = colorsys.hsv_to_rgb(hue, saturation, value)
        colours.append((round(255 * r), round(255 * g), round(255 * b)))
    return colours


def label_colours(names: Sequence[str]) -> list[tuple[int, int, int] | None]:
    """A colour for each name: the one that its words say ("red ball"), else one that depends on the name and steps
    aside only for the names before it in the list; None, transparent, for `NOTHING`."""
    said = [_said(name) for name in names]
    taken = {colour for colour in said if colour is not None}
    return [None if name in NOTHING else said[i] or _free(name, taken) for i, name in enumerate(names)]


NOTHING = frozenset({"background", "others", "none of these"})
"""Names of what no label fits."""


def _said(name: str) -> tuple[int, int, int] | None:
    for word in re.findall(r"[a-z]+", name.lower()):
        if word in ImageColor.colormap and name not in NOTHING:
            red, green, blue = ImageColor.getrgb(word)[:3]
            return red, green, blue
    return None


def _free(name: str, taken: set[tuple[int, int, int]]) -> tuple[int, int, int]:
    colours = palette(_HUES)
    start = zlib.crc32(name.encode())
    far = [colour for colour in colours if all(_apart(colour, other) > _FAR for other in taken)]
    colour = far[start % len(far)] if far else max(colours, key=lambda one: min(_apart(one, other) for other in taken))
    taken.add(colour)
    return colour


def _apart(a: tuple[int, int, int], b: tuple[int, int, int]) -> int:
    return sum(abs(x - y) for x, y in zip(a, b))


_HUES, _FAR = 72, 150  # the sum over channels: two neighbours with less look alike
