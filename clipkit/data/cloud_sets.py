"""Labelled clouds of points, whatever holds them: arrays, a folder a class, ModelNet40's and ScanObjectNN's files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipkit.errors import ClipkitError
from clipkit.safe import Hdf5Arrays, read_hdf5

from ._paths import is_file, walk
from ._tables import read_lines
from .image_folder import Names, Taken, class_words
from .points import CLOUD_SUFFIXES, read_cloud

_DIGITS = 16  # of a content hash in a cloud's id
SCAN_OBJECTS = (
    "bag", "bin", "box", "cabinet", "chair", "desk", "display", "door", "shelf", "table", "bed", "pillow", "sink",
    "sofa", "toilet",
)  # fmt: skip
"""ScanObjectNN's classes, in the order of its labels."""


class LabelledClouds:
    """`N` clouds and the class of each.

    Attributes:
        names: the `K` class names, in the order of the labels.
        labels: `(N,)` int64, each in 0..K-1.
    """

    names: tuple[str, ...]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: int) -> np.ndarray:
        """Cloud `index` as `(N, 3)` float32, all finite."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it reads")

    def identify(self, index: int) -> str:
        """An id that changes with the cloud's content."""
        points = np.ascontiguousarray(self.read(index))
        return f"{index:07d}@{hashlib.sha256(points.tobytes()).hexdigest()[:_DIGITS]}"

    def take(self, indices: Sequence[int]) -> LabelledClouds:
        """Some of the clouds, in this order."""
        return _Part(self, np.asarray(indices, dtype=np.int64))


class _Part(Taken, LabelledClouds):
    pass


class CloudArray(LabelledClouds):
    """Clouds that are in memory, each `(N, 3)` float32.

    Raises:
        ClipkitError: labels that do not fit.
    """

    def __init__(self, clouds: Sequence[np.ndarray], labels: Any, names: Sequence[str], where: str = "clouds") -> None:
        self.clouds, self.names = clouds, tuple(names)
        self.labels = np.asarray(labels, dtype=np.int64).reshape(-1)
        if len(clouds) != len(self.labels):
            raise ClipkitError(f"{where}: {len(clouds)} clouds, but {len(self.labels)} labels")
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.names):
            raise ClipkitError(f"{where}: has labels outside 0..{len(self.names) - 1}, the {len(self.names)} classes")

    def read(self, index: int) -> np.ndarray:
        return self.clouds[index]


class CloudFolder(LabelledClouds):
    """One folder a class, clouds and meshes below it, see `clipkit.data.points.read_cloud`. ModelNet's
    `chair/train/chair_0001.off` too, with `split`.

    Args:
        root: the folder of class folders; hidden ones do not count.
        split: of each class only what lies in its folder of this name.
        names: words for the classes, see `clipkit.data.image_folder.class_words`. Default: the folders', `_` as space.

    Raises:
        FileNotFoundError: no such folder.
        ClipkitError: no class folders in it, or one without clouds.
    """

    def __init__(self, root: str | Path, split: str | None = None, names: Names | None = None) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f"{self.root}: no such folder of clouds")
        folders = sorted(path for path in self.root.iterdir() if path.is_dir() and not path.name.startswith("."))
        if not folders:
            raise ClipkitError(f"{self.root}: has no folders in it; put the clouds of each class into one of their own")
        self.paths: list[Path] = []
        labels: list[int] = []
        for label, folder in enumerate(folders):
            place = folder / split if split else folder
            found = walk(place) if place.is_dir() else []
            found = [path for path in found if path.suffix.lower() in CLOUD_SUFFIXES]
            if not found:
                raise ClipkitError(f"{place}: holds no clouds ({', '.join(CLOUD_SUFFIXES)}); fill or remove it")
            self.paths += found
            labels += [label] * len(found)
        self.labels = np.array(labels, dtype=np.int64)
        self.names = class_words(names, [folder.name for folder in folders], str(self.root))

    def read(self, index: int) -> np.ndarray:
        return read_cloud(self.paths[index])

    def identify(self, index: int) -> str:
        digest = hashlib.sha256(self.paths[index].read_bytes()).hexdigest()
        return f"{self.paths[index].relative_to(self.root).as_posix()}@{digest[:_DIGITS]}"


class ModelNet40(CloudArray):
    """`modelnet40_ply_hdf5_2048`: `data` `(N, 2048, 3)` and `label` `(N, 1)` in the files that `train_files.txt` and
    `test_files.txt` list (by the paths of another machine: they are looked for by name), names in `shape_names.txt`.

    Args:
        split: 'train' (9,840 clouds) or 'test' (2,468).

    Raises:
        FileNotFoundError: no such list, names or file.
        ClipkitError: a file of another form.
    """

    def __init__(self, root: str | Path, split: str = "train") -> None:
        folder = Path(root)
        listing = folder / f"{split}_files.txt"
        names = [line.replace("_", " ") for _, line in read_lines(folder / "shape_names.txt")]
        found = []
        for number, line in read_lines(listing):
            file = folder / line.replace("\\", "/").rpartition("/")[2]
            if not is_file(file):
                raise ClipkitError(f"{listing}: line {number}: {file.name[:80]!a} is not in {folder}")
            found.append(_labelled(file))
        if not found:
            raise ClipkitError(f"{listing}: names no file")
        clouds = [cloud for points, _ in found for cloud in points]
        super().__init__(clouds, np.concatenate([labels for _, labels in found]), names, str(listing))


class ScanObjectNN(CloudArray):
    """A file of ScanObjectNN, `training_objectdataset.h5` and the like: `data` `(N, 2048, 3)`, `label` `(N,)`, and in
    some `mask` `(N, 2048)`, -1 for what is not the object.

    Args:
        file: the file.
        background: keep the points that are not the object.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: a file of another form.
    """

    def __init__(self, file: str | Path, background: bool = True) -> None:
        points, labels = _labelled(file)
        clouds = list(points)
        if not background:
            mask = read_hdf5(file, lambda arrays: arrays.read("mask"))
            if mask.shape != points.shape[:2]:
                raise ClipkitError(f"{file}: its mask {mask.shape} does not fit data {points.shape}")
            clouds = [cloud[own >= 0] for cloud, own in zip(points, mask)]
            if empty := [number for number, cloud in enumerate(clouds) if not len(cloud)]:
                raise ClipkitError(f"{file}: cloud {empty[0]} has no points of its object; set background=True")
        super().__init__(clouds, labels, SCAN_OBJECTS, str(file))


def _labelled(file: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """`(N, P, 3)` float32 and `(N,)` int64."""

    def read(arrays: Hdf5Arrays) -> tuple[np.ndarray, np.ndarray]:
        return arrays.read("data"), arrays.read("label")

    data, found = read_hdf5(file, read)
    labels = found.reshape(-1)
    if data.ndim != 3 or data.shape[2] < 3 or data.shape[1] == 0 or len(labels) != len(data):
        raise ClipkitError(f"{file}: data {data.shape} and label {found.shape} are no (N, P, 3) and (N, 1)")
    points = data[:, :, :3].astype(np.float32)
    if not np.isfinite(points).all():
        raise ClipkitError(f"{file}: holds coordinates that are not finite numbers; copy it again")
    if labels.dtype.kind not in "iu":
        raise ClipkitError(f"{file}: its labels are {labels.dtype}, and whole numbers are needed")
    return points, labels.astype(np.int64)
