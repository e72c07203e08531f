"""Which files are pictures, and reading label masks from strangers; `clipkit.safe` reads the pictures themselves."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import features

from clipkit.errors import ClipkitError
from clipkit.safe import (
    PICTURE_ERRORS,
    SIDEWAYS,
    Shown,
    array_to_rgb,
    exif_turn,
    image_size,
    open_picture,
    read_bytes,
    read_image,
    to_rgb,
    unreadable,
)

from ._paths import walk

__all__ = [
    "IMAGE_SUFFIXES",
    "MASK_SUFFIXES",
    "SIDEWAYS",
    "Shown",
    "array_to_rgb",
    "exif_turn",
    "image_size",
    "list_images",
    "read_bytes",
    "read_image",
    "read_mask",
    "to_rgb",
]

_AVIF = (".avif",) if features.check("avif") else ()
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".jpe", ".jfif", *_AVIF)
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif")


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
            ids = np.asarray(image)
            return ids.astype(np.uint8) if image.mode == "1" else ids
    except PICTURE_ERRORS as error:
        raise ClipkitError(f"{path}: not a readable mask ({unreadable(error)})") from None


def list_images(inputs: Sequence[str | Path]) -> list[Path]:
    """Files as given, and the pictures inside folders (sorted, also of subfolders).

    Raises:
        FileNotFoundError: an input that does not exist, or a folder without pictures.
    """
    found: list[Path] = []
    for item in map(Path, inputs):
        if item.is_dir():
            inside = [path for path in walk(item) if path.suffix.lower() in IMAGE_SUFFIXES]
            if not inside:
                raise FileNotFoundError(f"{item}: no images in this folder ({', '.join(IMAGE_SUFFIXES)})")
            found.extend(inside)
        elif item.exists():
            found.append(item)
        else:
            raise FileNotFoundError(f"{item}: no such file or folder")
    return found
