"""Pictures with measured depth: NYU Depth v2 as it is published, as PNGs with a list, and pairs of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from clipkit.errors import ClipkitError
from clipkit.safe import PICTURE_ERRORS, Hdf5Arrays, open_picture, read_hdf5, read_mat, unreadable

from ._paths import below
from ._tables import read_lines
from .draw import save_picture
from .images import read_image
from .pairs import pair_folders

MILLIMETRES = 1000.0


class Measured(NamedTuple):
    """A picture (H, W, 3) uint8 RGB, and its depth (H, W) float32 in metres, 0 where none was measured."""

    image: np.ndarray
    depth: np.ndarray


def read_depth(path: str | Path, scale: float = MILLIMETRES) -> np.ndarray:
    """A 16-bit grey PNG or TIFF as (H, W) float32 metres; 0 stays 0, which means "not measured".

    Args:
        scale: what a value is divided by: 1000 for millimetres, 256 for KITTI's files.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: no readable picture, or one without 16 bits.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such depth picture")
    try:
        with open_picture(path) as picture:
            picture.load()
            if not picture.mode.startswith("I"):
                raise ClipkitError(
                    f"{path}: has mode {picture.mode}, and depth needs 16 bits of grey (millimetres; 0 for "
                    "what was not measured): save it so"
                )
            values = np.asarray(picture)
    except PICTURE_ERRORS as error:
        raise ClipkitError(f"{path}: not a readable depth picture ({unreadable(error)})") from None
    return values.astype(np.float32) / np.float32(scale)


def save_depth(depth: np.ndarray, path: str | Path) -> None:
    """Writes (H, W) metres as a 16-bit PNG in millimetres, whole or not at all; what is not finite becomes 0, what
    is beyond 65.535 m that.

    Raises:
        ClipkitError: the file cannot be written.
    """
    finite = np.where(np.isfinite(depth), depth, 0)
    save_picture(Image.fromarray((finite * MILLIMETRES).round().clip(0, 65535).astype(np.uint16)), path)


class NyuMat:
    """`nyu_depth_v2_labeled.mat` (MATLAB 7.3, which is HDF5; extra `depth`): 1,449 pictures of 480 × 640 pixels, whose
    holes were filled in by the authors.

    Args:
        splits: `splits.mat` of the data set's page, which says which pictures are `train` (795) and `test` (654).
        split: one of these; None: all pictures, and no `splits`.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: a file of another form, in one line.
    """

    def __init__(self, path: str | Path, splits: str | Path | None = None, split: str | None = "test") -> None:
        self.path = Path(path)
        count = read_hdf5(self.path, self._count)
        if (split is None) != (splits is None) or split not in (None, "train", "test"):
            raise ClipkitError(f"{path}: give splits= (splits.mat) with split='train' or 'test', or neither of them")
        self.chosen = np.arange(count) if splits is None or split is None else _split(splits, split, count)

    def _count(self, arrays: Hdf5Arrays) -> int:
        images, depths = arrays.shape("images"), arrays.shape("depths")
        if len(images) != 4 or images[1] != 3 or depths != (images[0], *images[2:]) or 0 in images:
            raise ClipkitError(
                f"{self.path}: images of {images} and depths of {depths}; NYU Depth v2 has (1449, 3, 640, 480) and "
                "(1449, 640, 480), as HDF5 turns MATLAB's sides round"
            )
        return images[0]

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> Measured:
        place = int(self.chosen[index])
        image, depth = read_hdf5(self.path, lambda file: (file.read("images", place), file.read("depths", place)))
        if image.dtype != np.uint8:
            raise ClipkitError(f"{self.path}: its images are {image.dtype}, and uint8 is needed")
        return Measured(np.ascontiguousarray(image.transpose(2, 1, 0)), np.ascontiguousarray(depth.T, np.float32))

    def name(self, index: int) -> str:
        """Of the picture, such as `0005`: its place in the file."""
        return f"{self.chosen[index]:04}"


def _split(path: str | Path, split: str, count: int) -> np.ndarray:
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    key = f"{split}Ndxs"
    try:
        numbers = read_mat(path, key).ravel()
    except KeyError:
        raise ClipkitError(f"{path}: has no array {key}; splits.mat of NYU Depth v2 is needed") from None
    except ClipkitError:
        raise
    except Exception as error:  # struct's, zlib's and numpy's own types
        raise ClipkitError(f"{path}: is no readable MATLAB 5 file ({type(error).__name__})") from None
    if not numbers.size or not ((numbers >= 1) & (numbers <= count)).all():
        raise ClipkitError(f"{path}: {key} must number pictures from 1 to {count}")
    return numbers.astype(np.int64) - 1


class DepthFiles:
    """Pictures and depth pictures as files.

    Args:
        pairs: (picture, depth picture) files, see `read_list` and `pair_depths`.
        scale: see `read_depth`.
    """

    def __init__(self, pairs: Sequence[tuple[Path, Path]], scale: float = MILLIMETRES) -> None:
        self.pairs, self.scale = list(pairs), scale

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Measured:
        """
        Raises:
            FileNotFoundError, ClipkitError: a file is not there, not readable, or the two differ in size.
        """
        image_file, depth_file = self.pairs[index]
        image, depth = read_image(image_file), read_depth(depth_file, self.scale)
        if image.shape[:2] != depth.shape:
            raise ClipkitError(
                f"{depth_file}: is {depth.shape[1]} x {depth.shape[0]} pixels, its picture {image_file} "
                f"{image.shape[1]} x {image.shape[0]}: bring them to one size (depth by the nearest value)"
            )
        return Measured(image, depth)

    def name(self, index: int) -> str:
        """Of the picture: its folder's and its own, such as `kitchen/rgb_00045`."""
        path = self.pairs[index][0]
        return f"{path.parent.name}/{path.stem}"


def read_list(path: str | Path, root: str | Path) -> list[tuple[Path, Path]]:
    """NYU Depth v2 as PNGs: a line a pair, `kitchen/rgb_00045.jpg kitchen/sync_depth_00045.png 518.8579`, relative to
    `root`; the focal length and a slash in front are passed over, and so are lines whose depth is `None`.

    Raises:
        FileNotFoundError: no such list.
        ClipkitError: a line without two names, a name that leads out of `root`, or no pair at all.
    """
    found = []
    for number, line in read_lines(path):
        names = [name.lstrip("/") for name in line.split()]
        if len(names) < 2:
            raise ClipkitError(f"{path}: line {number}: names no depth picture after its picture")
        if names[1] != "None":
            found.append((below(root, names[0], path, "root"), below(root, names[1], path, "root")))
    if not found:
        raise ClipkitError(f"{path}: names no pair of a picture and its depth")
    return found


def pair_depths(images: str | Path, depths: str | Path, suffix: str = "") -> list[tuple[Path, Path]]:
    """One's own pairs: `images/x.jpg` and `depths/x<suffix>.png`, 16-bit grey.

    Raises:
        FileNotFoundError: a folder is not there, or is empty.
        ClipkitError: a picture without depth, or the reverse; the line names the first ones.
    """
    pairs = pair_folders(images, depths, mask_suffix=suffix, check=False)
    if pairs.problems:
        raise ClipkitError(f"{images} and {depths}: {pairs.summary().replace('mask', 'depth picture')}")
    return pairs.good
