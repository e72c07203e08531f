"""Pictures of label maps: overlay, legend, grid. Plain Pillow, RGB uint8 arrays in and out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from clipkit.errors import ClipkitError
from clipkit.files import writing

from .palette import palette

Colour = tuple[int, int, int]
INK, PAPER = (20, 20, 20), (255, 255, 255)


def colour_map(labels: np.ndarray, colours: Sequence[Colour], unknown: Colour = (0, 0, 0)) -> np.ndarray:
    """(H, W) ids -> (H, W, 3) uint8; ids beyond the list (ignored pixels) get `unknown`."""
    table = np.array([*colours, unknown], dtype=np.uint8)
    ids = np.where((labels >= 0) & (labels < len(colours)), labels, len(colours))
    return table[ids]


def overlay(image: np.ndarray, labels: np.ndarray, colours: Sequence[Colour], alpha: float = 0.55) -> np.ndarray:
    """The image with its label map painted over; ids beyond the list stay as they are."""
    painted = colour_map(labels, colours)
    known = ((labels >= 0) & (labels < len(colours)))[..., None]
    mixed = (1 - alpha) * image + alpha * painted
    return np.where(known, mixed, image).astype(np.uint8)


def legend(entries: Sequence[tuple[str, Colour]], width: int, font_size: int = 13) -> np.ndarray:
    """Coloured boxes with names, in as many rows as `width` pixels need."""
    font = ImageFont.load_default(size=font_size)
    row = font_size + 9
    places, x, y = [], 6, 4
    for name, _ in entries:
        needed = int(font.getlength(name)) + font_size + 18
        if x + needed > width and x > 6:
            x, y = 6, y + row
        places.append((x, y))
        x += needed
    canvas = Image.new("RGB", (width, y + row if entries else 1), PAPER)
    draw = ImageDraw.Draw(canvas)
    for (name, colour), (x, y) in zip(entries, places):
        draw.rectangle((x, y + 2, x + font_size, y + 2 + font_size), fill=tuple(colour), outline=INK)
        draw.text((x + font_size + 5, y + 1), name, fill=INK, font=font)
    return np.asarray(canvas)


def with_legend(picture: np.ndarray, entries: Sequence[tuple[str, Colour]]) -> np.ndarray:
    """The legend under the picture, its letters as large as the picture needs; a narrow one gets a margin so that names
    fit."""
    width = max(picture.shape[1], 240)
    key = legend(entries, width, max(13, width // 70))
    canvas = np.full((picture.shape[0] + len(key), width, 3), 255, dtype=np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    canvas[picture.shape[0] :] = key
    return canvas


def with_sentence(picture: np.ndarray, pieces: Sequence[tuple[str, Colour | None]]) -> np.ndarray:
    """A sentence under the picture, each piece underlined in its colour; None: in none."""
    width = max(picture.shape[1], 240)
    size = max(13, width // 50)
    font, row = ImageFont.load_default(size=size), size + 12
    words = [(word, colour) for text, colour in pieces for word in text.split()]
    places, x, y = [], 6, 4
    for word, _ in words:
        if x + font.getlength(word) > width - 6 and x > 6:
            x, y = 6, y + row
        places.append((x, y))
        x += int(font.getlength(word + " "))
    canvas = Image.new("RGB", (width, picture.shape[0] + y + row), PAPER)
    canvas.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(canvas)
    for (word, colour), (x, y) in zip(words, places):
        y += picture.shape[0]
        if colour is not None:  # a light colour is no ink
            draw.rectangle((x, y + size + 3, x + int(font.getlength(word)), y + size + 6), fill=tuple(colour))
        draw.text((x, y), word, fill=INK, font=font)
    return np.asarray(canvas)


def enlarge(picture: np.ndarray, height: int) -> np.ndarray:
    """Whole-number enlargement by repetition to about `height` pixels; larger pictures stay as they are."""
    factor = max(1, round(height / picture.shape[0]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def grid(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str] = (), gap: int = 6) -> np.ndarray:
    """Pictures in rows and columns on white, each cell as large as the largest, with titles over the columns."""
    height = max(cell.shape[0] for row in rows for cell in row)
    width = max(cell.shape[1] for row in rows for cell in row)
    columns = max(len(row) for row in rows)
    top = 24 if titles else gap
    canvas = Image.new("RGB", (gap + columns * (width + gap), top + len(rows) * (height + gap)), PAPER)
    draw = ImageDraw.Draw(canvas)
    for c, title in enumerate(titles):
        draw.text((gap + c * (width + gap), 4), title, fill=INK, font=ImageFont.load_default(size=14))
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            canvas.paste(Image.fromarray(cell), (gap + c * (width + gap), top + r * (height + gap)))
    return np.asarray(canvas)


def used_entries(
    maps: Sequence[np.ndarray], names: Sequence[str], colours: Sequence[Colour]
) -> list[tuple[str, Colour]]:
    """Names and colours of the ids that occur in any of the label maps, in the list's order."""
    used = sorted({int(i) for ids in maps for i in np.unique(ids) if 0 <= i < len(names)})
    return [(names[i], colours[i]) for i in used]


def save_picture(image: Image.Image, path: str | Path) -> None:
    """Writes a picture whole or not at all, in the format that the path's ending names.

    Raises:
        ClipkitError: Pillow writes no such format, or the file cannot be written.
    """
    kind = Image.registered_extensions().get(Path(path).suffix.lower())
    if kind not in Image.SAVE:
        raise ClipkitError(f"{path}: its ending names no format of pictures; end it in .png")
    with writing(path) as partial:
        image.save(partial, format=kind)


def save_indexed_png(
    labels: np.ndarray, path: str | Path, count: int, colours: Sequence[Colour | None] | None = None
) -> None:
    """Writes ids as a palette PNG (values are the ids, colours by default `palette`'s, None black); above 256 labels as
    16-bit grey."""
    if count > 256:
        save_picture(Image.fromarray(labels.astype(np.uint16)), path)
        return
    image = Image.fromarray(labels.astype(np.uint8), mode="P")
    table = [*(colours or ()), *palette(256)[len(colours or ()) :]]  # a shorter one would be saved with fewer bits
    image.putpalette([value for colour in table for value in colour or (0, 0, 0)])
    save_picture(image, path)
