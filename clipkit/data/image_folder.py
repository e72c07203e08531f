"""Labelled images, whatever holds them: a folder a class, an array, torchvision's data sets, cut-out boxes."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipkit.errors import ClipkitError, did_you_mean
from clipkit.text import imagenet_names
from clipkit.text.label_file import read_label_file

from ._paths import walk
from ._tables import read_json
from .annotations import LabelledSet
from .images import IMAGE_SUFFIXES, read_image, to_rgb

Names = Sequence[str] | Mapping[str, str] | str | Path
_SYNSET = re.compile(r"n\d{8}")
_DIGITS = 16  # of a content hash in an image's id, as in a teacher store


class LabelledImages:
    """`N` images and the class of each.

    Attributes:
        names: the `K` class names, in the order of the labels.
        labels: `(N,)` int64, each in 0..K-1.
    """

    names: tuple[str, ...]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: int) -> np.ndarray:
        """Image `index` as (H, W, 3) uint8 RGB."""
        raise NotImplementedError

    def identify(self, index: int) -> str:
        """An id that no other image of this set has and that changes with the image's content."""
        pixels = np.ascontiguousarray(self.read(index))
        return f"{index:07d}@{hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:_DIGITS]}"

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """The image and its label."""
        return self.read(index), int(self.labels[index])

    def take(self, indices: Sequence[int]) -> LabelledImages:
        """Some of the images, in this order."""
        return _Part(self, np.asarray(indices, dtype=np.int64))


class Taken:
    """Some of the things of a labelled set, in an order of one's own."""

    def __init__(self, whole: Any, indices: np.ndarray) -> None:
        self.whole, self.indices = whole, indices
        self.names, self.labels = whole.names, whole.labels[indices]

    def read(self, index: int) -> np.ndarray:
        return self.whole.read(int(self.indices[index]))

    def identify(self, index: int) -> str:
        return self.whole.identify(int(self.indices[index]))


class _Part(Taken, LabelledImages):
    pass


class ImageArray(LabelledImages):
    """Images that are in memory.

    Args:
        images: `(N, H, W, 3)` uint8 RGB, or a list of such images of any sizes.
        labels: `(N,)` integers.
        names: the class names.
    """

    def __init__(self, images: np.ndarray | Sequence[np.ndarray], labels: Any, names: Sequence[str]) -> None:
        self.images, self.names = images, tuple(names)
        self.labels = np.asarray(labels, dtype=np.int64)
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images, but {len(self.labels)} labels")
        if len(self.labels) and (self.labels.min() < 0 or self.labels.max() >= len(self.names)):
            raise ValueError(f"labels must lie in 0..{len(self.names) - 1}")

    def read(self, index: int) -> np.ndarray:
        return np.asarray(self.images[index])


class ImageFolder(LabelledImages):
    """One folder a class, images below it: the layout of ImageNet's `train` and of most classification sets. Classes
    come in the order of the folders' names, which for ImageNet's 1,000 synsets is the order of its class ids; names
    that are all numbers come in the order of numbers (ImageNet-V2's 0 to 999).

    Args:
        root: the folder of class folders; hidden ones do not count.
        names: words for the classes, see `class_words`. Default: the folders' names, `_` as space; ImageNet's words for
            its 1,000 synset folders.

    Raises:
        FileNotFoundError: no such folder.
        ClipkitError: no class folders in it, one without images, or names that do not fit.
    """

    def __init__(self, root: str | Path, names: Names | None = None) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f"{self.root}: no such folder of images")
        folders = sorted(path for path in self.root.iterdir() if path.is_dir() and not path.name.startswith("."))
        if all(path.name.isdecimal() for path in folders):  # ImageNet-V2: 2 comes before 10
            folders.sort(key=lambda path: int(path.name))
        if not folders:
            raise ClipkitError(f"{self.root}: has no folders in it; put the images of each class into one of their own")
        self.paths: list[Path] = []
        labels: list[int] = []
        for label, folder in enumerate(folders):
            found = [path for path in walk(folder) if path.suffix.lower() in IMAGE_SUFFIXES]
            if not found:
                raise ClipkitError(f"{folder}: holds no images ({', '.join(IMAGE_SUFFIXES)}); fill or remove it")
            self.paths += found
            labels += [label] * len(found)
        self.labels = np.array(labels, dtype=np.int64)
        self.names = class_words(names, [folder.name for folder in folders], str(self.root))

    def read(self, index: int) -> np.ndarray:
        return read_image(self.paths[index])

    def identify(self, index: int) -> str:
        digest = hashlib.sha256(self.paths[index].read_bytes()).hexdigest()
        return f"{self.paths[index].relative_to(self.root).as_posix()}@{digest[:_DIGITS]}"


class TorchvisionImages(LabelledImages):
    """A data set of torchvision by its name: CIFAR10, CIFAR100, Food101, DTD, OxfordIIITPet, …

    Args:
        dataset: the class in `torchvision.datasets`.
        root: its folder.
        names: words for the classes, see `class_words`. Default: the data set's own, `_` as space.
        **options: of that class, such as `train=False`, `split='test'`, `download=True`.

    Raises:
        ClipkitError: no such data set, one without names, or what it says is wrong with the folder.
    """

    def __init__(self, dataset: str, root: str | Path, names: Names | None = None, **options: Any) -> None:
        from torchvision import datasets  # a second to import, and only this needs it

        if dataset not in datasets.__all__:
            raise ClipkitError(f'torchvision has no data set "{dataset}"; {did_you_mean(dataset, datasets.__all__)}')
        try:
            self.data = getattr(datasets, dataset)(str(root), **options)
        except (RuntimeError, OSError, TypeError, ValueError) as error:
            raise ClipkitError(f"{root}: torchvision cannot read {dataset} there ({error})") from error
        # ImageNet and Imagenette have several words for a class, the first is the usual one.
        own = [name if isinstance(name, str) else str(name[0]) for name in getattr(self.data, "classes", [])]
        if not own and names is None:
            raise ClipkitError(f"torchvision's {dataset} has no class names: give names=")
        self.names = class_words(names, own, dataset)
        known = [key for key in ("targets", "labels", "_labels") if hasattr(self.data, key)]
        held = getattr(self.data, known[0]) if known else [self.data[i][1] for i in range(len(self.data))]
        self.labels = np.asarray(held, dtype=np.int64)

    def read(self, index: int) -> np.ndarray:
        return to_rgb(self.data[index][0], f"{type(self.data).__name__}[{index}]")


class BoxImages(LabelledImages):
    """The objects of a detection set, each cut out along its box, as one image. Crowds are left out.

    Args:
        found: what `read_coco` or `read_voc` gave.
        names: words for the classes, see `class_words`.
        enlarge: sides of what is cut, in sides of the box.
        least: boxes with a shorter side, in pixels, are left out.
        on_bad: 'raise' where `found` has problems, or 'skip' to go on with the rest, in one line on stderr.

    Raises:
        ClipkitError: no box is left; problems.
    """

    def __init__(
        self,
        found: LabelledSet,
        names: Names | None = None,
        *,
        enlarge: float = 1.0,
        least: float = 8.0,
        on_bad: str = "raise",
    ) -> None:
        if found.problems and found.images and on_bad != "skip":
            raise ClipkitError(f"{found.problems.summary()}. Repair this, or go on without them by on_bad=skip")
        if found.problems:
            print(f"left out: {found.problems.summary()}", file=sys.stderr)
        self.enlarge = enlarge
        self.boxes = [
            (image.path, item.box, item.label)
            for image in found.images
            for item in image.objects
            if not item.crowd and min(item.box[2] - item.box[0], item.box[3] - item.box[1]) >= least
        ]
        if not self.boxes:
            raise ClipkitError(f"no box of {least:g} pixels or more ({found.problems.summary() or 'none at all'})")
        self.labels = np.array([label for _, _, label in self.boxes], dtype=np.int64)
        self.names = class_words(names, found.classes, "the boxes")

    def read(self, index: int) -> np.ndarray:
        path, (x1, y1, x2, y2), _ = self.boxes[index]
        dx, dy = (self.enlarge - 1) / 2 * (x2 - x1), (self.enlarge - 1) / 2 * (y2 - y1)
        left, top, right, bottom = (round(v) for v in (x1 - dx, y1 - dy, x2 + dx, y2 + dy))
        cut = read_image(path)[max(top, 0) : bottom, max(left, 0) : right]
        if cut.size == 0:
            raise ClipkitError(
                f"{path}: its box {x1:g}, {y1:g}, {x2:g}, {y2:g} lies outside the picture; correct or remove it in the "
                "annotations"
            )
        return cut


def class_words(names: Names | None, own: Sequence[str], where: str) -> tuple[str, ...]:
    """Words for classes that are called `own` in a data set.

    Args:
        names: a list in the order of `own`; a mapping own name -> word; a file with one class a line, or a JSON with
            such a list or mapping; 'imagenet' for the words of ImageNet's 1,000 classes; None for `own` itself.
        own: the data set's names; empty where it has none.
        where: the data set, for messages.

    Raises:
        ClipkitError: another number of names, a class without a word, WordNet ids that nothing translates, or
            'imagenet' for classes that are neither WordNet ids nor the numbers 0 to 999.
    """
    if names is None:
        if own and all(_SYNSET.fullmatch(name) for name in own):
            if len(own) == len(imagenet_names()):
                return imagenet_names()
            raise ClipkitError(
                f"{where}: the {len(own)} classes are called by WordNet ids ({own[0]}, …), which mean nothing to CLIP: "
                "give names=, a JSON file of id -> word"
            )
        return tuple(name.replace("_", " ") for name in own)
    if names == "imagenet" and not all(_SYNSET.fullmatch(name) or name == str(i) for i, name in enumerate(own)):
        raise ClipkitError(
            f"{where}: names='imagenet' goes by the order of classes, and these ({own[0]}, …) are neither WordNet ids "
            "nor the numbers 0 to 999: give names=, a JSON file of class -> word"
        )
    if isinstance(names, (str, Path)):
        names = _read_names(names)
    if isinstance(names, Mapping):
        if missing := [name for name in own if name not in names]:
            raise ClipkitError(f'{where}: names= has no word for class "{missing[0]}" ({len(missing)} are missing)')
        return tuple(names[name] for name in own)
    if own and len(names) != len(own):
        raise ClipkitError(f"{where}: {len(names)} names for {len(own)} classes ({own[0]}, …)")
    return tuple(names)


def _read_names(source: str | Path) -> Sequence[str] | Mapping[str, str]:
    if source == "imagenet":
        return imagenet_names()
    if Path(source).suffix.lower() == ".json" and _is_mapping(found := read_json(source, "file of class names")):
        return found
    try:
        return [words[0] for words in read_label_file(source, unique=False)]
    except ValueError as error:
        raise ClipkitError(str(error)) from None


def _is_mapping(content: Any) -> bool:
    """Class -> word, for classes that have names and are not just counted."""
    return isinstance(content, dict) and bool(content) and all(isinstance(word, str) for word in content.values())
