"""Reading pictures and label masks from strangers: one clear line for whatever is wrong with a file."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image

from clipkit.errors import ClipkitError
from clipkit.safe import open_picture

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF's orientation -> what puts it upright


def read_image(path: str | Path) -> np.ndarray:
    """The picture as (H, W, 3) uint8 RGB, turned as its EXIF says, where that can be read; grey becomes RGB,
    transparency is dropped, 16-bit grey keeps its upper 8 bits.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: the file is no picture, is cut off, or has 32-bit pixels.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such image")
    return _decode(path, path)


def decode_image(content: bytes, name: str) -> np.ndarray:
    """As `read_image`, of a file's bytes; `name` stands in errors."""
    return _decode(io.BytesIO(content), name)


def _decode(source: str | Path | BinaryIO, name: str | Path) -> np.ndarray:
    try:
        with open_picture(source) as image:
            return np.asarray(_eight_bits(_upright(image), name).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ClipkitError(f"{name}: not a readable image ({_reason(error)})") from None


def _eight_bits(image: Image.Image, path: str | Path) -> Image.Image:
    """Pillow's own conversion clips more than 8 bits instead of scaling them."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ClipkitError(
            f"{path}: its pixels are 32-bit numbers, whose range nothing says; save it with 8 or 16 bits"
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


def read_mask(path: str | Path) -> np.ndarray:
    """The mask as (H, W) integer class ids: a single-channel image, or a palette image, whose indices are the ids.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: no readable picture, or one in colours instead of ids.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such mask")
    try:
        with open_picture(path) as image:
            image.load()
            if image.mode not in ("L", "P", "I", "I;16", "1"):
                raise ClipkitError(
                    f"{path}: the mask is in colours (mode {image.mode}); masks must hold class ids: "
                    "a grey or palette PNG whose value is the line of the class in the label file, from 0"
                )
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ClipkitError(f"{path}: not a readable mask ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return "unknown format" if "cannot identify" in str(error) else str(error).split("\n")[0][:80]


def list_images(inputs: Sequence[str | Path]) -> list[Path]:
    """Files as given, and the pictures inside folders (sorted, also of subfolders).

    Raises:
        FileNotFoundError: an input that does not exist, or a folder without pictures.
    """
    found: list[Path] = []
    for item in map(Path, inputs):
        if item.is_dir():
            inside = sorted(p for p in item.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
            if not inside:
                raise FileNotFoundError(f"{item}: no images in this folder ({', '.join(IMAGE_SUFFIXES)})")
            found.extend(inside)
        elif item.exists():
            found.append(item)
        else:
            raise FileNotFoundError(f"{item}: no such file or folder")
    return found
