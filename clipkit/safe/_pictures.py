"""Pictures from strangers: by a list of formats, and no larger decoded than their file explains."""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, BinaryIO

from PIL import Image

from clipkit.safe._budget import OverBudget, require

# Pillow goes by content, whatever the name ends in, and knows formats that start another program (EPS: Ghostscript) or
# hand the file to any library that registered (BUFR, GRIB, HDF5, WMF).
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "TIFF", "GIF", "PPM", "AVIF", "JPEG2000", "TGA", "ICO")
_SIGNATURE = 8  # bytes at the start of a PNG


@contextmanager
def open_picture(source: str | Path | BinaryIO, check: bool = True) -> Iterator[Image.Image]:
    """`PIL.Image.open` of one of `FORMATS`, after a look at the size that its header states; the first of its frames.

    Args:
        check: compare the checksums of a PNG's pixels, which Pillow does not: a damaged mask's are classes still.

    Raises:
        OverBudget: its pixels would take more than the file's allowance.
        OSError, SyntaxError, ValueError: as Pillow's, for what is no picture.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the budget below answers for sizes
        try:
            image = Image.open(source, formats=_formats())
        except Image.DecompressionBombError:
            raise OverBudget(
                f"{_name(source)}: has more pixels than Pillow reads (PIL.Image.MAX_IMAGE_PIXELS): make it smaller"
            ) from None
    with image:
        # At the smallest allowance that is 89 million pixels in colours, where Pillow begins to warn.
        itemsize = 1 if image.mode in ("1", "L", "P") else 2 if image.mode.startswith("I;16") else 3
        require(_name(source), _size(source), image.width * image.height * itemsize, "its pixels")
        if check and image.format == "PNG" and image.fp is not None:
            _check_png(image.fp)
        yield image


def _check_png(file: IO[bytes]) -> None:
    place = file.tell()
    file.seek(_SIGNATURE)
    while len(head := file.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind not in (b"IDAT", b"eXIf"):  # Pillow compares the others that change what is seen
            file.seek(length + 4, os.SEEK_CUR)
            continue
        crc = zlib.crc32(kind)
        while length and (block := file.read(min(length, 1 << 20))):
            crc, length = zlib.crc32(block, crc), length - len(block)
        stated = file.read(4)
        if len(stated) == 4 and stated != crc.to_bytes(4, "big"):
            raise OSError("a checksum in it is wrong")
    file.seek(place)


@cache
def _formats() -> list[str]:
    """Those of `FORMATS` that this Pillow has."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _name(source: str | Path | BinaryIO) -> object:
    return source if isinstance(source, (str, Path)) else "a picture"


def _size(source: str | Path | BinaryIO) -> int:
    if isinstance(source, (str, Path)):
        return os.path.getsize(source)
    place = source.tell()
    try:
        return source.seek(0, os.SEEK_END)
    finally:
        source.seek(place)
