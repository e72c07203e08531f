"""What was found, as a picture: thumbnails with file, time and score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from clipkit.data.draw import INK, PAPER, grid
from clipkit.data.images import read_image
from clipkit.data.video import Fps, Indices, read_video
from clipkit.errors import ClipkitError, shown
from clipkit.search.media import Moment

WIDTH, HEIGHT, COLUMNS = 224, 168, 5


def clock(seconds: float) -> str:
    """'0:12.5', '1:02:03.0'."""
    tenths = round(seconds * 10)
    hours, minutes, rest = tenths // 36000, tenths // 600 % 60, tenths % 600 / 10
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def interval(moment: Moment) -> str:
    """'0:12.5-0:14.0', or 'image'."""
    return "image" if moment.is_image else f"{clock(moment.start)}-{clock(moment.end)}"


def contact_sheet(query: str, moments: Sequence[Moment], **options: Any) -> np.ndarray:
    """(H, W, 3) uint8: the best frame of each moment, in rows of five, with what it is below. A file that is gone
    gives an empty tile.

    Args:
        options: `backend` and `timeout` of `read_video`.
    """
    tiles = [_tile(moment, options) for moment in moments]
    rows = [tiles[start : start + COLUMNS] for start in range(0, len(tiles), COLUMNS)]
    return grid(rows, [f'"{shown(query)}"'])


def frame_of(moment: Moment, **options: Any) -> np.ndarray:
    """(H, W, 3) uint8: the best frame of a moment, or the image; `options` as of `contact_sheet`.

    Raises:
        ClipkitError, OSError: it cannot be read, or is gone.
    """
    if moment.is_image:
        return read_image(moment.path)
    chosen = Indices((moment.frame,)) if moment.frame >= 0 else Fps(1, (moment.time, moment.time + 1e-3))
    return read_video(moment.path, chosen, **options).frames[0]


def _tile(moment: Moment, options: dict[str, Any]) -> np.ndarray:
    canvas = Image.new("RGB", (WIDTH, HEIGHT + 34), PAPER)
    try:
        whole = Image.fromarray(frame_of(moment, **options))
        scale = min(WIDTH / whole.width, HEIGHT / whole.height)
        thumbnail = whole.resize((max(1, round(whole.width * scale)), max(1, round(whole.height * scale))))
        canvas.paste(thumbnail, ((WIDTH - thumbnail.width) // 2, (HEIGHT - thumbnail.height) // 2))
    except (ClipkitError, OSError):
        ImageDraw.Draw(canvas).rectangle((0, 0, WIDTH - 1, HEIGHT - 1), outline=INK)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=12)
    for line, text in enumerate((shown(Path(moment.path).name), f"{interval(moment)}   {moment.score:.3f}")):
        draw.text((2, HEIGHT + 2 + 16 * line), _cut(text, font), fill=INK, font=font)
    return np.asarray(canvas)


def _cut(text: str, font: Any) -> str:
    while font.getlength(text) > WIDTH - 4 and len(text) > 4:
        text = text[:-4] + "..."
    return text
