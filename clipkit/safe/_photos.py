"""Pictures as arrays: upright, in colours, 8 bits, with one clear line for whatever is wrong with a file."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image

from clipkit.errors import ClipkitError
from clipkit.safe._pictures import open_picture

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF's orientation -> what puts it upright


def read_image(path: str | Path | BinaryIO, *, enough: int | None = None, name: object = None) -> np.ndarray:
    """The picture as (H, W, 3) uint8 RGB, turned as its EXIF says, where that can be read; grey becomes RGB,
    transparency is dropped, 16-bit grey keeps its upper 8 bits.

    Args:
        path: of the file, or an open one.
        enough: pixels of the shorter side that are enough: a larger picture comes at the least half, third, … of its
            size that has as many; a JPEG is decoded at a half, quarter or eighth, many times faster.
        name: what errors call it; default: the path.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: the file is no picture, is cut off, or has 32-bit pixels.
    """
    name = path if name is None else name
    if isinstance(path, (str, Path)) and not Path(path).is_file():
        raise FileNotFoundError(f"{name}: no such image")
    try:
        with open_picture(path) as image:
            if enough is not None:
                factor = max(1, min(image.size) // enough)
                image.draft("RGB", (image.width // factor, image.height // factor))
            rgb = as_rgb_array(image, name)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ClipkitError(f"{name}: not a readable image ({unreadable(error)})") from None
    factor = 1 if enough is None else min(rgb.shape[:2]) // enough
    return rgb if factor < 2 else np.asarray(Image.fromarray(rgb).reduce(factor))


def as_rgb_array(image: Image.Image, name: object = "a picture") -> np.ndarray:
    """(H, W, 3) uint8 of an open picture, as `read_image` gives it.

    Raises:
        ClipkitError: its pixels have 32 bits; the line says `name`.
    """
    return np.asarray(_eight_bits(_upright(image), name).convert("RGB"))


def _eight_bits(image: Image.Image, name: object) -> Image.Image:
    """Pillow's own conversion clips more than 8 bits instead of scaling them."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ClipkitError(
            f"{name}: its pixels are 32-bit numbers, whose range nothing says; save it with 8 or 16 bits"
        )
    return image


def _upright(image: Image.Image) -> Image.Image:
    """Not Pillow's `exif_transpose`: that writes the rest of the EXIF anew, and fails at what is broken there."""
    turn = exif_turn(image)
    return image if turn is None else image.transpose(turn)


def exif_turn(image: Image.Image) -> Image.Transpose | None:
    """How the picture must be turned to stand upright, as its EXIF says; None: not at all. Loads the pixels."""
    image.load()  # a PNG may have its EXIF after the pixels
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow raises a dozen types on damaged EXIF
        return None


def unreadable(error: Exception) -> str:
    """Why a picture could not be read, from what Pillow raised."""
    return "unknown format" if "cannot identify" in str(error) else str(error).split("\n")[0][:80]
