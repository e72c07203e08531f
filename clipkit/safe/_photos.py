"""Pictures as arrays: upright, in colours, 8 bits, with one clear line for whatever is wrong with a file."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

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
SIDEWAYS = tuple(_TURNS[orientation] for orientation in (5, 6, 7, 8))
# What Pillow raises over damaged files: each of its formats reads on until something fails.
PICTURE_ERRORS = (
    OSError, SyntaxError, ValueError, RuntimeError, TypeError, LookupError, ArithmeticError, EOFError, struct.error,
    Image.DecompressionBombError,
)  # fmt: skip


class Shown(NamedTuple):
    """A picture as it is shown: upright, and how its EXIF turns what is stored (None: not at all)."""

    width: int
    height: int
    turn: Image.Transpose | None


def read_image(path: str | Path | BinaryIO, *, enough: int | None = None, name: object = None) -> np.ndarray:
    """The picture as (H, W, 3) uint8 RGB, see `to_rgb`.

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
            rgb = to_rgb(image, str(name))
    except PICTURE_ERRORS as error:
        raise ClipkitError(f"{name}: not a readable image ({unreadable(error)})") from None
    factor = 1 if enough is None else min(rgb.shape[:2]) // enough
    return rgb if factor < 2 else np.asarray(Image.fromarray(rgb).reduce(factor))


def read_bytes(data: bytes, name: str = "") -> np.ndarray:
    """The picture of a file's content as (H, W, 3) uint8 RGB, see `to_rgb`; `name` stands in messages.

    Raises:
        ClipkitError: as `read_image`.
    """
    return read_image(io.BytesIO(data), name=name or f"a picture of {len(data)} bytes")


def to_rgb(image: Image.Image, name: str = "") -> np.ndarray:
    """A Pillow image as (H, W, 3) uint8 RGB, turned as its EXIF says, where that can be read; grey becomes RGB,
    transparency is dropped, 16-bit grey keeps its upper 8 bits. 32-bit floats must lie in [0, 1].

    Args:
        image: of any mode, opened or made.
        name: what to call it in messages; default: its file.

    Raises:
        ClipkitError: it is cut off, or its pixels are 32-bit numbers of no known range.
    """
    name = name or str(getattr(image, "filename", "") or f"the picture ({image.mode}, {image.width} x {image.height})")
    try:
        turn = exif_turn(image)
        return np.asarray(_eight_bits(image if turn is None else image.transpose(turn), name).convert("RGB"))
    except PICTURE_ERRORS as error:
        raise ClipkitError(f"{name}: not a readable image ({unreadable(error)})") from None


def array_to_rgb(array: np.ndarray) -> np.ndarray:
    """An array as (H, W, 3) uint8 RGB, by the rules of `to_rgb`.

    Args:
        array: (H, W) or (H, W, 1) grey, (H, W, 2) grey and alpha, (H, W, 3) RGB or (H, W, 4) RGB and alpha; uint8,
            uint16 (of which the upper 8 bits are kept), bool (black and white), or float in [0, 1].

    Raises:
        ValueError: another shape or type, or floats outside [0, 1].
    """
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4) or array.size == 0:
        raise ValueError(f"an image array must be (H, W, 3) RGB or (H, W) grey, got {array.shape} {array.dtype}")
    array = array[..., :1] if array.shape[2] < 3 else array[..., :3]
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= -1e-3 and high <= 1 + 1e-3):  # also for NaN
            raise ValueError(f"a float image must lie in [0, 1], got {low:.3g}..{high:.3g}: do not normalise it")
        array = (array.clip(0, 1) * 255).round().astype(np.uint8)
    elif array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    elif array.dtype == bool:
        array = array * np.uint8(255)
    elif array.dtype != np.uint8:
        raise ValueError(f"an image array must be uint8, uint16, bool or float in [0, 1], got {array.dtype}")
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def image_size(path: str | Path, decode: bool = True) -> Shown:
    """The size of a picture as it is shown.

    Args:
        path: the file.
        decode: also read all pixels, at an eighth of a JPEG's size: finds what is cut off, and takes milliseconds.

    Raises:
        ClipkitError: the file is no picture, is cut off, or has 32-bit pixels.
    """
    try:
        with open_picture(path, check=decode) as image:
            width, height = image.size
            if decode:
                # A JPEG that is cut off has a good header; decoding one eighth of the size finds it and is fast.
                image.draft("RGB", (max(1, width // 8), max(1, height // 8)))
                _eight_bits(image, str(path))
            # A PNG may have its EXIF behind the pixels; of other formats the header is enough.
            turn = exif_turn(image) if decode or image.format == "PNG" else _turn(image)
    except Exception as error:  # Pillow raises a dozen types on damaged files
        raise ClipkitError(f"{path}: not a readable image ({unreadable(error)})") from None
    return Shown(*((height, width) if turn in SIDEWAYS else (width, height)), turn)


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Pillow's own conversion clips more than 8 bits instead of scaling them."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        pixels = np.asarray(image)
        if image.mode == "F" and pixels.min() >= 0 and pixels.max() <= 1:
            return Image.fromarray((pixels * 255).round().astype(np.uint8))
        raise ClipkitError(
            f"{name}: its pixels are 32-bit numbers, whose range nothing says; save it with 8 or 16 bits"
        )
    return image


def exif_turn(image: Image.Image) -> Image.Transpose | None:
    """How the picture must be turned to stand upright, as its EXIF says; None: not at all. Loads the pixels."""
    image.load()  # a PNG may have its EXIF after the pixels
    return _turn(image)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Not Pillow's `exif_transpose`: that writes the rest of the EXIF anew, and fails at what is broken there."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow raises a dozen types on damaged EXIF
        return None


def unreadable(error: Exception) -> str:
    """Why a picture could not be read, from what Pillow raised."""
    return "unknown format" if "cannot identify" in str(error) else str(error).split("\n")[0][:80]
