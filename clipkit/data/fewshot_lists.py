"""Lists of few-shot segmentation, and COCO's masks, from the official files:
`python -m clipkit.data.fewshot_lists pascal5i|coco20i|fss1000 ROOT`.

What must lie in ROOT:

- pascal5i, `VOCdevkit/VOC2012`: VOCtrainval_11-May-2012.tar; and, for 10,582 training images instead of 1,464, what
  mmsegmentation's `voc_aug.py` makes of SBD's benchmark.tgz: `SegmentationClassAug/*.png` and
  `ImageSets/Segmentation/trainaug.txt`.
- coco20i: train2014.zip, val2014.zip and annotations_trainval2014.zip of COCO.
- fss1000, the folder with one folder a class: FSS-1000's zip, and its list of the 240 test classes, fss_test_set.txt.

An image is listed under a class that covers at least 2048 of its pixels (2 * 32 * 32; the rule of Shaban et al. as
PFENet, Tian et al., TPAMI 2020, applies it). HSNet's lists differ where its masks do. FSS-1000 has an official test
split only; the other 760 classes are drawn into 520 and 240 by numpy's generator with seed 0. HSNet published another
draw: to compare with papers in training too, put its three lists into `ROOT/splits`.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from clipkit.errors import ClipkitError, one_line

from ._coco_file import usable_images
from ._tables import as_text, read_lines
from .annotations import mask_problem
from .coco_results import from_coco_mask
from .draw import save_picture
from .fewshot import FOLDS, NUM_CLASSES, held_out_classes
from .images import read_mask
from .pairs import Problems

MIN_PIXELS = 2 * 32 * 32


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m clipkit.data.fewshot_lists", description="Write ROOT/splits from the official files."
    )
    parser.add_argument("benchmark", choices=("pascal5i", "coco20i", "fss1000"))
    parser.add_argument("root", help="the data set's folder")
    parser.add_argument("--train", default="trainaug", help="pascal5i: ImageSets/Segmentation/NAME.txt to train on")
    parser.add_argument("--test-set", metavar="FILE", help="fss1000: its test list (default: ROOT/fss_test_set.txt)")
    args = parser.parse_args(argv)
    root = Path(args.root)
    try:
        if (root / "splits").exists():
            raise ClipkitError(f"{root / 'splits'} exists already; delete it to write it anew")
        if args.benchmark == "pascal5i":
            lists = pascal5i_lists(root, args.train)
        elif args.benchmark == "coco20i":
            for year in ("train2014", "val2014"):
                write_coco_masks(root / "annotations" / f"instances_{year}.json", root / "annotations" / year)
            lists = coco20i_lists(root)
        else:
            lists = fss1000_lists(root, args.test_set)
        _write(root / "splits", lists)
    except (ClipkitError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    print(f"{len(lists)} lists written to {root / 'splits'}")
    return 0


def pascal5i_lists(root: Path, train: str = "trainaug") -> dict[str, list[str]]:
    """`{trn,val}/fold{0..3}.txt` -> lines, from VOC2012's masks and the image sets `train` and `val`.

    Raises:
        ClipkitError: an image set or a mask is missing, or training images are in `val`.
    """
    sets = {"trn": _image_set(root, train), "val": _image_set(root, "val")}
    both = sorted(set(sets["trn"]).intersection(sets["val"]))
    if both:
        raise ClipkitError(f"{root}: image set '{train}' shares {len(both)} images with 'val', such as {both[0]}")
    lists = {}
    for subset, names in sets.items():
        paths = [root / "SegmentationClass" / f"{name}.png" for name in names]
        paths = [path if path.is_file() else root / "SegmentationClassAug" / path.name for path in paths]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise ClipkitError(
                f"{missing[0]}: no such mask, nor {len(missing) - 1} others; make them from SBD by mmsegmentation's "
                "voc_aug.py, or train on VOC's own images with --train train"
            )
        lists.update(_fold_lists("pascal5i", subset, dict(zip(names, paths))))
    return lists


def coco20i_lists(root: Path) -> dict[str, list[str]]:
    """`{trn,val}/fold{0..3}.txt` -> lines, from the masks in `annotations/{train,val}2014`."""
    lists = {}
    for subset, year in (("trn", "train2014"), ("val", "val2014")):
        masks = sorted((root / "annotations" / year).glob("*.png"))
        lists.update(_fold_lists("coco20i", subset, {f"{year}/{mask.stem}": mask for mask in masks}))
    return lists


def fss1000_lists(root: Path, test_set: str | Path | None = None) -> dict[str, list[str]]:
    """`{trn,val,test}.txt` -> class names, from the official list of test classes.

    Raises:
        ClipkitError: the list is missing, or names classes that have no folder.
    """
    path = Path(test_set or root / "fss_test_set.txt")
    if not path.is_file():
        raise ClipkitError(f"{path}: no such list; say by --test-set where FSS-1000's fss_test_set.txt lies")
    test = sorted({line for _, line in read_lines(path)})
    folders = {folder.name for folder in root.iterdir() if folder.is_dir() and any(folder.glob("*.jpg"))}
    unknown = [name for name in test if name not in folders]
    if unknown or not test:
        raise ClipkitError(f"{path}: of {len(test)} classes {len(unknown)} have no images in {root}: {unknown[:3]}")
    rest = sorted(folders.difference(test))
    order = np.random.default_rng(0).permutation(len(rest))
    cut = round(len(rest) * 520 / 760)
    train, val = (sorted(rest[i] for i in part) for part in (order[:cut], order[cut:]))
    return {"trn.txt": train, "val.txt": val, "test.txt": test}


def _fold_lists(benchmark: str, subset: str, masks: Mapping[str, Path]) -> dict[str, list[str]]:
    """A line for every image and class of a fold that is large enough in it, in the order of the images."""
    lists: dict[str, list[str]] = {f"{subset}/fold{fold}.txt": [] for fold in range(FOLDS)}
    file_of = {c: f"{subset}/fold{fold}.txt" for fold in range(FOLDS) for c in held_out_classes(benchmark, fold)}
    for name, mask in tqdm(masks.items(), desc=f"{subset} lists", unit="mask", delay=1):
        areas = np.bincount(read_mask(mask).ravel(), minlength=NUM_CLASSES[benchmark] + 1)
        for class_id, file in sorted(file_of.items()):
            if areas[class_id + 1] >= MIN_PIXELS:
                lists[file].append(f"{name}__{class_id + 1:02d}")
    return lists


class _Image(NamedTuple):
    name: str
    size: tuple[int, int]
    objects: list[tuple[float, int, Any]]  # area, class from 0, outline


def write_coco_masks(instances: Path, folder: Path) -> None:
    """One PNG an image: 0 background, 1..80 the place of the category in the order of COCO's ids, plus one.

    Where objects overlap the smaller one is in front; crowds count. Masks that exist stay, so that a run that was
    stopped goes on.

    Raises:
        ClipkitError: no such file, not COCO's, or pycocotools is not installed.
    """
    if find_spec("pycocotools") is None:
        raise ClipkitError("COCO's outlines need the package pycocotools: pip install pycocotools")
    images = _read_instances(instances)
    folder.mkdir(parents=True, exist_ok=True)
    for image in tqdm(images, desc=folder.name, unit="mask", delay=1):
        target = folder / f"{Path(image.name).stem}.png"
        if target.is_file():
            continue
        mask = np.zeros(image.size, dtype=np.uint8)
        for _, category, shape in sorted(image.objects, key=lambda item: -item[0]):
            mask[from_coco_mask(shape, *image.size)] = category + 1
        save_picture(Image.fromarray(mask), target)  # a mask that is there is whole


def _read_instances(path: Path) -> list[_Image]:
    """Images with their objects."""
    if not path.is_file():
        raise ClipkitError(f"{path}: no such file; unpack annotations_trainval2014.zip there")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        classes = {category: i for i, category in enumerate(sorted(c["id"] for c in content["categories"]))}
        found = usable_images(content["images"], problems := Problems())
        images = {key: _Image(as_text(name, path, "a name"), (h, w), []) for key, (name, w, h) in found.items()}
        for item in content["annotations"]:
            image = images[item["image_id"]]
            if kind := mask_problem(item["segmentation"], *reversed(image.size)):
                problems.add(kind, str(item.get("id")))
            image.objects.append((float(item["area"]), classes[item["category_id"]], item["segmentation"]))
        if problems:
            raise ValueError(problems.summary())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        line = one_line(error, 60)
        raise ClipkitError(f"{path}: is not COCO's file of instances ({line}); download it again") from None
    if len(classes) != NUM_CLASSES["coco20i"]:
        raise ClipkitError(f"{path}: has {len(classes)} categories, and COCO has 80; is this another data set?")
    return list(images.values())


def _image_set(root: Path, name: str) -> list[str]:
    path = root / "ImageSets" / "Segmentation" / f"{name}.txt"
    if not path.is_file():
        raise ClipkitError(f"{path}: no such image set; ROOT is VOCdevkit/VOC2012, and --train names the training set")
    return sorted(line for _, line in read_lines(path))


def _write(folder: Path, lists: Mapping[str, Sequence[str]]) -> None:
    """All lists or none: written aside, then renamed."""
    aside = folder.with_name(f"{folder.name}.part")
    for name, lines in lists.items():
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        (aside / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    os.replace(aside, folder)


if __name__ == "__main__":
    sys.exit(main())
