"""Colours for label maps."""

import colorsys


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
