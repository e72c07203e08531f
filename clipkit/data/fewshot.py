"""Data of zero- and few-shot segmentation: PASCAL-5i (Shaban et al., BMVC 2017, arXiv:1709.03410), COCO-20i (Nguyen and
Todorovic, ICCV 2019, arXiv:1909.13140) and FSS-1000 (Li et al., CVPR 2020, arXiv:1907.12347), in the splits of HSNet
(Min et al., ICCV 2021, arXiv:2104.01538) that LSeg and most papers since use.

An example is an image with one class: its pixels are 1, all others 0. Folders, below the root of each data set:

| | images | masks | lists |
|---|---|---|---|
| PASCAL-5i | `JPEGImages/N.jpg` | `SegmentationClass/N.png`, else `…ClassAug` | `splits/{trn,val}/foldF.txt` |
| COCO-20i | `{train,val}2014/N.jpg` | `annotations/{train,val}2014/N.png` | `splits/{trn,val}/foldF.txt` |
| FSS-1000 | `CLASS/N.jpg` | `CLASS/N.png` | `splits/{trn,val,test}.txt`, one class a line |

A line of a fold's list is `N__CC`: an image that shows class CC (from 1) of that fold; COCO's N starts with its folder
(`val2014/COCO_val2014_000000000042__17`). `clipkit.data.fewshot_lists` writes lists and COCO's masks from the official
files; HSNet's text lists of PASCAL-5i and FSS-1000 can be put there as they are.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from clipkit.errors import ClipkitError, some

from ._paths import below
from ._tables import read_lines
from .images import read_image, read_mask

FOLDS = 4
NUM_CLASSES = {"pascal5i": 20, "coco20i": 80}
IGNORED = 255  # id of the pixels on PASCAL's outlines
_HOW = "write the lists by `python -m clipkit.data.fewshot_lists`"


class Example(NamedTuple):
    """An image, its mask, and which class of it is meant (id from 0)."""

    image: str
    mask: str
    class_id: int


def held_out_classes(benchmark: str, fold: int) -> list[int]:
    """Ids of the classes that fold `fold` tests and that its training never labels: 5*fold..5*fold+4 of PASCAL's 20,
    fold + 4*v of COCO's 80."""
    if benchmark not in NUM_CLASSES:
        raise ClipkitError(f"benchmark '{benchmark}' has no folds; known: {', '.join(NUM_CLASSES)}")
    if fold not in range(FOLDS):
        raise ClipkitError(f"fold {fold} of {benchmark} does not exist; known: 0, 1, 2, 3")
    count = NUM_CLASSES[benchmark] // FOLDS
    return [fold * count + v if benchmark == "pascal5i" else fold + FOLDS * v for v in range(count)]


def fold_examples(
    benchmark: str, root: str | Path, fold: int, subset: str, splits: str | Path | None = None
) -> list[Example]:
    """Examples of PASCAL-5i or COCO-20i, in the order of the lists.

    Args:
        root: the data set's folder, see the module's table (`VOCdevkit/VOC2012`, or COCO's).
        subset: `train`: training images with classes of the other three folds; `test`: validation images with classes
            of this one.
        splits: folder of the lists; default `root/splits`.

    Raises:
        ClipkitError: a list is missing or holds a class of another fold, or files that it names are missing.
    """
    if subset not in ("train", "test"):
        raise ClipkitError(f"subset '{subset}' of {benchmark} is unknown; known: train, test")
    held_out_classes(benchmark, fold)  # a wrong name or number is said before any file is looked for
    root = Path(root)
    folder = Path(splits or root / "splits") / ("trn" if subset == "train" else "val")
    folds = [fold] if subset == "test" else [other for other in range(FOLDS) if other != fold]
    pairs = [pair for k in folds for pair in read_fold_list(folder / f"fold{k}.txt", held_out_classes(benchmark, k))]
    for name, _ in pairs:
        below(root, name if benchmark == "coco20i" else f"JPEGImages/{name}", folder, "root=")
    if benchmark == "coco20i":
        found = [Example(f"{root}/{n}.jpg", f"{root}/annotations/{n}.png", c) for n, c in pairs]
    else:
        # VOC's own masks have ignored outlines; copies of them among the augmented ones may have lost these.
        official = {path.stem for path in (root / "SegmentationClass").glob("*.png")}
        masks = {True: root / "SegmentationClass", False: root / "SegmentationClassAug"}
        found = [Example(f"{root}/JPEGImages/{n}.jpg", f"{masks[n in official]}/{n}.png", c) for n, c in pairs]
    _require_files((path for example in found for path in example[:2]), f"which the lists in {folder} name")
    return found


def read_fold_list(path: str | Path, allowed: Sequence[int]) -> list[tuple[str, int]]:
    """(image name, class id from 0) for each line `name__class` (class from 1).

    Raises:
        ClipkitError: no such list, a line of another form, or a class outside `allowed`.
    """
    pairs = []
    for number, line in _lines(path):
        name, _, label = line.rpartition("__")
        if not name or not label.isdecimal():
            raise ClipkitError(f"{path}:{number}: '{line[:60]}' is not 'image__class', such as 2007_000033__01; {_HOW}")
        if int(label) - 1 not in allowed:
            raise ClipkitError(
                f"{path}:{number}: class {label} is not of this fold, whose classes are "
                f"{', '.join(str(c + 1) for c in allowed)}: a list of other folds would show test classes in training"
            )
        pairs.append((name, int(label) - 1))
    return pairs


def fss_examples(
    root: str | Path, subset: str, splits: str | Path | None = None
) -> tuple[list[Example], list[str], list[int]]:
    """Examples of FSS-1000: every image of every class of the subset.

    Args:
        root: the folder with one folder a class.
        subset: `train` (520 classes), `val` (240) or `test` (240).
        splits: folder of `trn.txt`, `val.txt`, `test.txt`; default `root/splits`.

    Returns:
        the examples, the names of all classes (id = place: training, validation, test classes, each in the order of
        their names), and the ids of the subset's classes.

    Raises:
        ClipkitError: a list or files are missing, or a class is in two lists.
    """
    lists = {"train": "trn.txt", "val": "val.txt", "test": "test.txt"}
    if subset not in lists:
        raise ClipkitError(f"subset '{subset}' of fss1000 is unknown; known: {', '.join(lists)}")
    root, folder = Path(root), Path(splits or Path(root) / "splits")
    groups = {key: sorted(line for _, line in _lines(folder / file)) for key, file in lists.items()}
    names = [name for group in groups.values() for name in group]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ClipkitError(f"{folder}: {some(twice)} is in two lists; each class is trained on or tested, not both")
    for name in names:
        below(root, name, folder, "root=")
    start = names.index(groups[subset][0])
    ids = list(range(start, start + len(groups[subset])))
    found = []
    for class_id in ids:
        images = sorted((root / names[class_id]).glob("*.jpg"))
        if not images:
            raise ClipkitError(
                f"{root / names[class_id]}: no images of this class, which {folder / lists[subset]} names"
            )
        found += [Example(str(image), str(image.with_suffix(".png")), class_id) for image in images]
    _require_files((example.mask for example in found), "the mask of an image beside it")
    return found, names, ids


def evaluation_episodes(benchmark: str, examples: Sequence[Example], length: int = 1000) -> list[Example]:
    """The examples that a test run goes through, in order.

    PASCAL-5i: the list, cycled to `length`. COCO-20i: `length` times a class, then an image of it, drawn by numpy's
    legacy generator with seed 0 (HSNet's draws, if the lists are HSNet's). FSS-1000: all.
    """
    if not examples:
        raise ClipkitError(f"{benchmark}: no test examples; {_HOW}")
    if benchmark == "fss1000":
        return list(examples)
    if benchmark == "pascal5i":
        return [examples[i % len(examples)] for i in range(length)]
    of_class = by_class(examples)
    random = np.random.RandomState(0)
    drawn = []
    for _ in range(length):
        group = of_class[random.choice(sorted(of_class), 1, replace=False)[0]]
        # Without replacement: one draw is the same choice, but takes other numbers from the generator than with it.
        drawn.append(group[random.choice(len(group), 1, replace=False)[0]])
    return drawn


def by_class(examples: Iterable[Example]) -> dict[int, list[Example]]:
    """Class id -> its examples, for the classes that have some."""
    groups: dict[int, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.class_id, []).append(example)
    return groups


def read_example(example: Example, num_classes: int | None, size: int = 480) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask, both squashed to `size` x `size`.

    Args:
        num_classes: masks hold 0 for background, id + 1, and 255; None: masks are pictures, bright where the class is.
        size: pixels a side; the image is resampled bilinearly (Pillow's, antialiased), the mask by its nearest pixel
            (floor of the scaled index, as `torch.nn.functional.interpolate` does it).

    Returns:
        (size, size, 3) uint8 RGB, and (size, size) uint8: 1 the class, 0 everything else, 255 ignored.

    Raises:
        ClipkitError: unreadable files, sizes that differ, ids that are no class.
    """
    image = read_image(example.image)
    if num_classes is None:
        ids = (np.asarray(Image.fromarray(read_image(example.mask)).convert("L")) >= 128).astype(np.uint8)
        mask = ids
    else:
        ids = read_mask(example.mask)
        bad = ids[(ids > num_classes) & (ids != IGNORED)]
        if bad.size:
            raise ClipkitError(
                f"{example.mask}: the mask holds id {bad.max()}; allowed: 0 (background), 1..{num_classes}, {IGNORED}"
            )
        mask = np.where(ids == IGNORED, IGNORED, ids == example.class_id + 1).astype(np.uint8)
    if mask.shape != image.shape[:2]:
        sizes = [f"{width} x {height}" for height, width in (mask.shape, image.shape[:2])]
        raise ClipkitError(f"{example.mask}: {sizes[0]} pixels, but its image {example.image} has {sizes[1]}")
    small = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    nearest = F.interpolate(torch.from_numpy(mask)[None, None].float(), size=(size, size), mode="nearest")
    return np.array(small), nearest[0, 0].numpy().astype(np.uint8)


def _lines(path: str | Path) -> list[tuple[int, str]]:
    if not Path(path).is_file():
        raise ClipkitError(f"{path}: no such list; {_HOW}, or say where it lies")
    try:
        lines = read_lines(path)
    except ClipkitError as error:
        raise ClipkitError(f"{error}; {_HOW}") from None
    if not lines:
        raise ClipkitError(f"{path}: the list is empty; {_HOW}")
    return lines


def _require_files(paths: Iterable[str], what: str) -> None:
    """Says which files are missing before training finds it out hours later; looks into each folder once."""
    inside: dict[str, set[str]] = {}
    missing = []
    for path in dict.fromkeys(paths):
        folder, name = os.path.split(path)
        if folder not in inside:
            inside[folder] = {p.name for p in Path(folder).iterdir()} if Path(folder).is_dir() else set()
        if name not in inside[folder]:
            missing.append(path)
    if missing:
        raise ClipkitError(f"{some(missing, 1)}: no such file, {what}; unpack the data set there")
