"""Labelled sets in the formats of other tools: COCO, Pascal VOC, YOLO, and masks of class ids.

YOLO's lines and VOC's XML are written, and YOLO's read, by supervision (MIT; the extra `formats`).

A set is a folder. What `read_labelled` looks for in it, with `SPLIT` the name of a part ("train"):

    coco    one .json: SPLIT.json, annotations/SPLIT.json, SPLIT/*.json, or the only one; images where their names say,
            below the JSON's folder, SPLIT, images/SPLIT, images or the set's folder
    voc     Annotations/x.xml, JPEGImages/x.jpg, ImageSets/Main/SPLIT.txt; without a split all of them
    yolo    images/SPLIT and labels/SPLIT, SPLIT/images and SPLIT/labels, or images and labels; data.yaml
    masks   as yolo, with masks in place of labels, and labels.txt: a class a line, its number from 0 the mask's value
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipkit.errors import ClipkitError, did_you_mean
from clipkit.text import Vocabulary

from ._objects import NO_BOX, OUTSIDE, inside, reaches_out, usable_size
from ._paths import walk
from ._tables import read_text
from .annotations import CUT, LabelledBox, LabelledImage, LabelledSet, label_ids, read_coco, read_xml
from .coco_results import to_rle
from .images import IMAGE_SUFFIXES, read_mask
from .pairs import Problems

FORMATS = ("coco", "voc", "yolo", "masks")
_LISTS = {"classes.txt", "labels.txt", "train.txt", "val.txt", "test.txt"}  # what tools put beside YOLO's labels
Found = list[tuple[str, Any, Any, bool, Any]]  # where, name or id, corners or None, crowd, mask


def supervision() -> Any:
    """The package.

    Raises:
        ClipkitError: it is not installed.
    """
    try:
        import supervision as package
    except ModuleNotFoundError as error:
        raise ClipkitError(
            f'this needs the package {error.name}, which is not installed: pip install "openclipkit[formats]"'
        ) from None
    return package


def read_labelled(
    root: str | Path,
    kind: str,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    check: bool = True,
    images: str | Path | None = None,
) -> LabelledSet:
    """Reads a set; see the module for what lies where.

    Args:
        kind: one of `FORMATS`.
        split: the part; None: the whole.
        classes: those wanted, in the order of the labels; others' objects are left out. None: all, in the file's order;
            VOC, which lists none, by the alphabet.
        rename: name in the file -> class, where the two differ.
        check: see `read_coco`.
        images: COCO's folder of images, where it lies elsewhere.

    Raises:
        FileNotFoundError: a part is missing.
        ClipkitError: no such format, or a file that is not in it, or lacks a class.
    """
    root = Path(root)
    if kind not in FORMATS:
        raise ClipkitError(f'unknown format "{kind}"; {did_you_mean(kind, FORMATS)}')
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    if kind == "coco":
        file = _coco_file(root, split)
        places = [file.parent, root / (split or ""), root / "images" / (split or ""), root / "images", root]
        folder = images or next((place for place in places if _holds_images(place)), file.parent)
        return read_coco(file, folder, classes, check)
    if kind == "voc":
        return _read_voc(root, split, classes, rename, check)
    pictures_in, labels = _two_folders(root, "labels" if kind == "yolo" else "masks", split)
    names = _yolo_names(root, labels) if kind == "yolo" else _mask_names(root, labels)
    read = _yolo_reader(labels, pictures_in) if kind == "yolo" else _mask_reader(labels, pictures_in)
    pictures = [path for path in walk(pictures_in) if path.suffix.lower() in IMAGE_SUFFIXES]
    named = {i: (rename or {}).get(name, name) for i, name in names.items()}
    problems, (what, ending) = Problems(), ("annotation files", ".txt") if kind == "yolo" else ("masks", ".png")
    known = {path.relative_to(pictures_in).with_suffix(ending) for path in pictures}
    for path in walk(labels):
        if path.suffix == ending and path.name not in _LISTS and path.relative_to(labels) not in known:
            problems.add(f"{what} without an image", path.name)
    return _collect(labels, pictures, read, lambda said: named, classes, check, problems)


def _collect(
    source: Path,
    pictures: Sequence[Path],
    read: Callable[[Path, int, int, Problems], Found | None],
    names_of: Callable[[set], Mapping[Any, str]],
    classes: Sequence[str] | None,
    check: bool,
    problems: Problems,
) -> LabelledSet:
    """`read(picture, width, height, problems)` gives a picture's objects; `names_of`: of all that it called them,
    what it calls them -> class."""
    found: list[tuple[LabelledImage, Found]] = []
    for path in pictures:
        if size := usable_size(path, check, problems):
            objects = read(path, *size, problems)
            if objects is not None:
                found.append((LabelledImage(path.stem, path, *size), objects))
    names = names_of({name for _, objects in found for _, name, *_ in objects})
    wanted = tuple(dict.fromkeys(names.values())) if classes is None else tuple(classes)
    label_of, lacking = label_ids(source, names, wanted)
    notes = Problems()
    for image, objects in found:
        for where, name, corners, crowd, mask in objects:
            if name not in names:
                problems.add("objects of classes that the set does not list", where)
            elif name not in label_of:
                continue
            elif corners is None:
                problems.add(NO_BOX, where)
            elif (box := inside(corners, image.width, image.height)) is None:
                problems.add(OUTSIDE, where)
            else:
                if reaches_out(corners, image.width, image.height):
                    notes.add(CUT, where)
                image.objects.append(LabelledBox(box, label_of[name], crowd, mask))
    return LabelledSet(wanted, [image for image, _ in found], problems, notes, lacking)


def _coco_file(root: Path, split: str | None) -> Path:
    if split:
        named = [root / f"{split}.json", root / "annotations" / f"{split}.json", *sorted((root / split).glob("*.json"))]
        found = [path for path in named if path.is_file()][:1]
    else:
        found = sorted(root.glob("*.json")) or sorted((root / "annotations").glob("*.json"))
    if len(found) != 1:
        what = f"no {split or '*'}.json" if not found else f"{len(found)} .json files and no split that says which"
        raise FileNotFoundError(f"{root}: {what} (a set in COCO's format)")
    return found[0]


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())


def _two_folders(root: Path, other: str, split: str | None) -> tuple[Path, Path]:
    if split:
        places = [(root / "images" / split, root / other / split), (root / split / "images", root / split / other)]
    else:
        places = [(root / "images", root / other)]
    for images, labels in places:
        if images.is_dir() and labels.is_dir():
            return images, labels
    wanted = " nor ".join(f"{images.relative_to(root)} with {labels.relative_to(root)}" for images, labels in places)
    raise FileNotFoundError(f"{root}: has no folders {wanted}")


def _beside(name: str, root: Path, labels: Path) -> Path:
    for folder in (root, labels.parent, root.parent):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{root / name}: no such file: it lists the classes")


def _yolo_names(root: Path, labels: Path) -> dict[int, str]:
    import yaml

    file = _beside("data.yaml", root, labels)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        names = content["names"]
        if isinstance(names, str):
            raise ValueError("one text, not a list")
        return {
            int(i): str(names[i]) for i in (sorted(names, key=int) if isinstance(names, dict) else range(len(names)))
        }
    except (yaml.YAMLError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise ClipkitError(f'{file}: lists no classes: it needs "names: [cat, dog]" or "names: {{0: cat}}"') from None


def _yolo_reader(labels: Path, images: Path) -> Callable[[Path, int, int, Problems], Found | None]:
    supervision()
    from supervision.dataset.formats.yolo import yolo_annotations_to_detections

    def read(picture: Path, width: int, height: int, problems: Problems) -> Found | None:
        file = (labels / picture.relative_to(images)).with_suffix(".txt")
        if not file.is_file():
            return []  # YOLO's way to say that nothing is there
        found: Found = []
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
            for number, line in enumerate(filter(str.strip, lines), 1):
                outlined = len(line.split()) > 6
                one = yolo_annotations_to_detections([line], (width, height), with_masks=outlined)
                mask = None if one.mask is None else to_rle(np.asarray(one.mask[0]))
                corners = one.xyxy[0].tolist()
                name = None if one.class_id is None else int(one.class_id[0])
                where = f"{file.name} line {number}"
                found.append((where, name, corners if all(map(math.isfinite, corners)) else None, False, mask))
        except (OSError, ValueError):
            problems.add("unreadable annotation files", file.name)
            return None
        return found

    return read


def _mask_names(root: Path, labels: Path) -> dict[int, str]:
    return dict(enumerate(Vocabulary.from_file(_beside("labels.txt", root, labels)).names))


def _mask_reader(labels: Path, images: Path) -> Callable[[Path, int, int, Problems], Found | None]:
    from scipy import ndimage

    def read(picture: Path, width: int, height: int, problems: Problems) -> Found | None:
        file = (labels / picture.relative_to(images)).with_suffix(".png")
        try:
            ids = read_mask(file)
        except FileNotFoundError:
            problems.add("images without a mask", picture.name)
            return None
        except ClipkitError:
            problems.add("unreadable masks", file.name)
            return None
        if ids.shape != (height, width):
            problems.add("masks of another size than their image", file.name)
            return None
        found: Found = []
        for i in sorted(set(np.unique(ids).tolist()) - {255}):
            parts, _ = ndimage.label(ids == i)
            for number, (rows, columns) in enumerate(ndimage.find_objects(parts), 1):
                corners = tuple(map(float, (columns.start, rows.start, columns.stop, rows.stop)))
                found.append((f"{file.name} value {i}", i, corners, False, to_rle(parts == number)))
        return found

    return read


def _read_voc(
    root: Path, split: str | None, classes: Sequence[str] | None, rename: Mapping[str, str] | None, check: bool
) -> LabelledSet:
    folder, problems = root / "Annotations", Problems()
    pictures = {path.stem: path for path in (root / "JPEGImages").glob("*") if path.suffix.lower() in IMAGE_SUFFIXES}
    chosen = sorted(path.stem for path in folder.glob("*.xml"))
    if split:
        file = root / "ImageSets" / "Main" / f"{split}.txt"
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no such list of images (Pascal VOC's layout)")
        chosen = [line.split()[0] for line in read_text(file, "list of images").split("\n") if line.strip()]
    if not pictures or not folder.is_dir():
        raise FileNotFoundError(f"{root}: has no folders JPEGImages and Annotations (Pascal VOC's layout)")
    for name, times in Counter(chosen).items():
        if times > 1:
            problems.add("images that are listed twice", name)
        if name not in pictures:
            problems.add("missing images", name)

    def read(picture: Path, width: int, height: int, problems: Problems) -> Found | None:
        rows = read_xml(folder / f"{picture.stem}.xml", picture, (width, height), problems)
        return None if rows is None else [(*row, None) for row in rows]

    def names_of(said: set) -> dict[str, str]:
        names = {word: (rename or {}).get(word, word) for word in sorted(said)}
        wanted = set(classes or ())
        if wanted & {*names.values()} or not said:  # one part of a set need not hold every class; none is an error
            names |= {name: name for name in wanted - {*names.values()}}
        return names

    files = [pictures[name] for name in dict.fromkeys(chosen) if name in pictures]
    return _collect(folder, files, read, names_of, classes, check, problems)
