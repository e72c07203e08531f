"""Boxes and masks of objects from COCO's and LVIS's JSON and from Pascal VOC's XML, with all that is wrong counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipkit.errors import ClipkitError, did_you_mean, some
from clipkit.text import Vocabulary

from ._coco_file import judged_annotations, read_coco_file, usable_boxes, usable_images
from ._objects import (
    NO_BOX,
    OUTSIDE,
    Corners,
    are_corners,
    inside,
    is_apart,
    mask_problem,
    reaches_out,
    same_size,
    stated_size,
    usable_size,
    xml_box,
    xml_tree,
)
from ._paths import find_below, is_file
from ._tables import read_text
from .images import IMAGE_SUFFIXES
from .pairs import Problems

__all__ = [
    "LabelledBox",
    "LabelledImage",
    "LabelledSet",
    "judged_annotations",
    "mask_problem",
    "read_coco",
    "read_coco_file",
    "read_voc",
]

CUT = "boxes that reach beyond their image (cut at its edge)"
_APART = "masks that lie outside their box"
_ABROAD = "files outside the folder of images (give a folder that holds them all as images=)"


@dataclass
class LabelledBox:
    """One object: `box` x1 y1 x2 y2 in pixels, inside the image; `label` into the set's classes; `crowd`: whether it is
    found or not counts neither way; `mask`: COCO's polygons or RLE, None without; `score`: of what a model found."""

    box: Corners
    label: int
    crowd: bool = False
    mask: Any = None
    score: float | None = None


@dataclass
class LabelledImage:
    """One image with its objects; `id` as the file has it."""

    id: Any
    path: Path
    width: int
    height: int
    objects: list[LabelledBox] = field(default_factory=list)


@dataclass
class LabelledSet:
    """The usable images of a data set in the file's order, its classes, and what is wrong with the rest.

    Attributes:
        notes: what was used, but not as it is: boxes that were cut at their image's edge, masks left aside, names that
            were read in another way.
        lacking: classes that were asked for and that the file does not know.
    """

    classes: tuple[str, ...]
    images: list[LabelledImage]
    problems: Problems
    notes: Problems = field(default_factory=Problems)
    lacking: tuple[str, ...] = ()

    def counts(self) -> list[int]:
        """Objects of each class; crowds do not count."""
        found = Counter(item.label for image in self.images for item in image.objects if not item.crowd)
        return [found[label] for label in range(len(self.classes))]

    def without(self, name: str, training: bool) -> str:
        """What to say of `lacking`: a set for evaluation, called `name`, may know fewer classes than were trained.

        Raises:
            ClipkitError: it is for training, where that is a mistake.
        """
        lacking = some(map(repr, self.lacking), 5)
        if training:
            known = sorted(set(self.classes) - set(self.lacking))
            raise ClipkitError(f"{name}: has no category {lacking}; {did_you_mean(self.lacking[0], known)}")
        return f"{name}: has no category {lacking}: evaluated without"


def read_coco(
    annotations: str | Path,
    images: str | Path,
    classes: Sequence[str] | None = None,
    check: bool = True,
    masks: bool = False,
) -> LabelledSet:
    """A file in COCO's or LVIS's format.

    Args:
        annotations: the JSON.
        images: the folder that its `file_name`s lie in; one that is not there is looked for by its last two parts, as
            LVIS's `coco_url` is. A name that leads out of the folder is a problem.
        classes: those wanted, in the order of the labels; others' objects are left out. None: all, in the file's order.
        check: decode every image once at an eighth of its size (milliseconds each), and compare its size as it is shown
            with the stated one; else only look whether it exists.
        masks: objects without a usable mask are left out and named; else their boxes count alone.

    Raises:
        FileNotFoundError: no such file or folder.
        ClipkitError: the file is not in this format, or has none of the classes.
    """
    path, folder = Path(annotations), Path(images)
    content = read_coco_file(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of images")
    names = {c["id"]: str(c["name"]) for c in content["categories"]}
    wanted = tuple(names.values()) if classes is None else tuple(classes)
    label_of, lacking = label_ids(path, names, wanted)
    problems, notes = Problems(), Problems()
    found: dict[Any, LabelledImage] = {}
    for key, (name, width, height) in usable_images(content["images"], problems).items():
        file = find_below(folder, name)
        if file is None:
            problems.add(_ABROAD, name)
        elif not check and not is_file(file):
            problems.add("missing images", file.name)
        elif not check or (
            (size := usable_size(file, check, problems)) and same_size((width, height), file, size, problems)
        ):
            found[key] = LabelledImage(key, file, width, height)
    sizes = {key: (image.width, image.height) for key, image in found.items()}
    given = []
    for row, where, box, crowd in usable_boxes(content, sizes, problems):
        if row["category_id"] not in label_of:
            continue
        image, mask = found[row["image_id"]], row.get("segmentation") or None
        given.append((row["bbox"], sizes[row["image_id"]]))
        wrong = mask_problem(mask, image.width, image.height) or (_APART if is_apart(mask, box) else None)
        if wrong and masks:
            problems.add(wrong, where)
            continue
        if wrong and mask is not None:
            notes.add(f"{wrong} (their boxes count alone)", where)
            mask = None
        if reaches_out(row["bbox"], image.width, image.height):
            notes.add(CUT, where)
        image.objects.append(LabelledBox(box, label_of[row["category_id"]], crowd, mask))
    if are_corners(given):
        problems.add("file whose boxes seem to be x1, y1, x2, y2 (COCO's are x, y, width, height)", path.name)
        for image in found.values():
            image.objects.clear()
    return LabelledSet(wanted, list(found.values()), problems, notes, lacking)


def read_voc(
    root: str | Path,
    split: str,
    classes: Sequence[str],
    rename: Mapping[str, str] | None = None,
    check: bool = True,
) -> LabelledSet:
    """Pascal VOC's layout: `ImageSets/Main/<split>.txt`, `Annotations/x.xml`, `JPEGImages/x.jpg` (or another ending).

    VOC counts pixels from 1 and includes the last one: x1 = xmin - 1, x2 = xmax. Objects marked `difficult` are crowd.

    Args:
        classes: those wanted, in the order of the labels; others' objects are left out.
        rename: name in the XML -> class, where the two differ (`{'RBC': 'red blood cell'}`).
        check: see `read_coco`.

    Raises:
        FileNotFoundError: no such folder or list.
        ClipkitError: the list is no text, or no object is of any of the classes, but there are others.
    """
    root = Path(root)
    file = root / "ImageSets" / "Main" / f"{split}.txt"
    if not is_file(file):
        raise FileNotFoundError(f"{file}: no such list of images (Pascal VOC's layout)")
    pictures = (path for path in sorted((root / "JPEGImages").glob("*")) if path.suffix.lower() in IMAGE_SUFFIXES)
    by_stem = {path.stem: path for path in pictures}
    words = dict(rename or {})
    label_of = {name: i for i, name in enumerate(classes)}
    found: dict[str, LabelledImage] = {}
    others: set[str] = set()
    problems, notes = Problems(), Problems()
    for line in read_text(file, "list of images").split("\n"):
        name = line.split()[0] if line.strip() else ""
        if not name:
            continue
        if name in found:
            problems.add("images that are listed twice", name)
        elif name not in by_stem:
            problems.add("missing images", name)
        elif size := usable_size(by_stem[name], check, problems):
            objects = read_xml(root / "Annotations" / f"{name}.xml", by_stem[name], size, problems)
            if objects is None:
                continue
            image = found[name] = LabelledImage(name, by_stem[name], *size)
            for where, word, corners, crowd in objects:
                word = words.get(word, word)
                if word not in label_of:
                    others.add(word)
                elif corners is None:
                    problems.add(NO_BOX, where)
                elif (box := inside(corners, *size)) is None:
                    problems.add(OUTSIDE, where)
                else:
                    if reaches_out(corners, *size):
                        notes.add(CUT, where)
                    image.objects.append(LabelledBox(box, label_of[word], crowd))
    if others and not any(image.objects for image in found.values()):
        known = some(sorted(others), 10)
        raise ClipkitError(f"{root}: no object is called {' or '.join(classes)}; names in the annotations: {known}")
    return LabelledSet(tuple(classes), list(found.values()), problems, notes)


def read_xml(
    xml: Path, picture: Path, size: tuple[int, int], problems: Problems
) -> list[tuple[str, str, Corners | None, bool]] | None:
    """(where, name, corners, difficult) of each object; None, and a problem noted, where the file cannot be read or
    speaks of a picture of another size."""
    if (tree := xml_tree(xml, problems)) is None:
        return None
    stated = stated_size(tree)
    if stated is not None and not same_size(stated, picture, size, problems):
        return None
    out = []
    for number, item in enumerate(tree.findall("object")):
        where = f"{xml.name} object {number}"
        corners = xml_box(item)
        if corners is not None:  # one of zero size stays one: xmin = xmax
            shift = 1 if corners[2] > corners[0] and corners[3] > corners[1] else 0
            corners = (corners[0] - shift, corners[1] - shift, corners[2], corners[3])
        difficult = (item.findtext("difficult") or "0").strip() or "0"
        if difficult not in ("0", "1"):
            problems.add("objects whose difficult is neither 0 nor 1", where)
            continue
        out.append((where, (item.findtext("name") or "").strip(), corners, difficult == "1"))
    return out


def label_ids(path: Path, names: Mapping[Any, str], wanted: Sequence[str]) -> tuple[dict[Any, int], tuple[str, ...]]:
    """Category id -> label, and the wanted names that no category has. Names are matched as labels are: case, `_` and
    spaces do not count."""
    try:
        owner = Vocabulary(wanted).match(list(names.values())).label_to_class
    except ValueError as error:  # two names that are one label
        raise ClipkitError(f"{path}: {error}") from None
    lacking = tuple(name for name, index in zip(wanted, owner) if index < 0)
    if len(lacking) == len(wanted):
        hint = did_you_mean(lacking[0], names.values())
        raise ClipkitError(f"{path}: has no category {some(map(repr, lacking), 5)}; {hint}")
    ids = list(names)
    return {ids[index]: label for label, index in enumerate(owner) if index >= 0}, lacking
