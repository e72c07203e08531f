"""Boxes and masks of objects from COCO's and LVIS's JSON and from Pascal VOC's XML, with all that is wrong counted."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipkit.errors import ClipkitError, did_you_mean, some
from clipkit.safe import open_picture, parse_xml
from clipkit.text import Vocabulary

from .images import IMAGE_SUFFIXES
from .pairs import Problems

Corners = tuple[float, float, float, float]


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
    """The usable images of a data set in the file's order, its classes, and what is wrong with the rest."""

    classes: tuple[str, ...]
    images: list[LabelledImage]
    problems: Problems


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
            LVIS's `coco_url` is.
        classes: those wanted, in the order of the labels; others' objects are left out. None: all, in the file's order.
        check: decode every image once at an eighth of its size (milliseconds each); else only look whether it exists.
        masks: objects without a mask are left out and named.

    Raises:
        FileNotFoundError: no such file or folder.
        ClipkitError: the file is not in this format, or lacks a class.
    """
    path, folder = Path(annotations), Path(images)
    content = read_coco_file(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of images")
    names = {c["id"]: str(c["name"]) for c in content["categories"]}
    wanted = tuple(names.values()) if classes is None else tuple(classes)
    label_of = _labels(path, names, wanted)
    found, problems = {}, Problems()
    for entry in content["images"]:
        name = entry.get("file_name") or _tail(str(entry.get("coco_url", "")))
        size = [entry.get(side) for side in ("width", "height")]
        if not name or "id" not in entry or not all(isinstance(s, (int, float)) and s > 0 for s in size):
            problems.add("images without file_name, id or size", str(name or entry.get("id")))
            continue
        file = folder / name
        if not file.is_file() and (folder / _tail(name)).is_file():
            file = folder / _tail(name)  # Objects365 names files by a path that its archives do not have
        if _usable(file, check, problems):
            found[entry["id"]] = LabelledImage(entry["id"], file, int(size[0]), int(size[1]))
    listed = {entry.get("id") for entry in content["images"]}
    for number, entry in enumerate(content["annotations"]):
        where = f"annotation {entry.get('id', number)}"
        if entry.get("image_id") not in listed:
            problems.add("annotations of images that the file does not list", where)
        elif entry.get("category_id") not in names:
            problems.add("annotations of categories that the file does not list", where)
        elif entry["image_id"] in found and entry["category_id"] in label_of:
            image, crowd = found[entry["image_id"]], bool(entry.get("iscrowd", 0) or entry.get("ignore", 0))
            corners = _from_xywh(entry.get("bbox"))
            box = None if corners is None else _inside(corners, image.width, image.height)
            mask = entry.get("segmentation") or None
            if corners is None:
                problems.add("boxes that are no four numbers", where)
            elif box is None:
                problems.add("boxes outside their image or of zero size", where)
            elif masks and not _is_mask(mask):
                problems.add("objects without a mask", where)
            else:
                image.objects.append(LabelledBox(box, label_of[entry["category_id"]], crowd, mask))
    return LabelledSet(wanted, list(found.values()), problems)


def read_coco_file(path: str | Path) -> dict[str, Any]:
    """The JSON, looked through: `images`, `annotations` and `categories` are lists of objects.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: it is damaged, or in another format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such annotation file")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ClipkitError(f"{path}: not readable as JSON ({str(error)[:80]})") from None
    for key in ("images", "annotations", "categories"):
        rows = content.get(key) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ClipkitError(f'{path}: not in COCO\'s format: it has no list "{key}" of objects')
    bad = next((c for c in content["categories"] if "id" not in c or not c.get("name")), None)
    if bad is not None:
        raise ClipkitError(f"{path}: a category has no id or no name: {str(bad)[:80]}")
    return content


def judged_annotations(content: Mapping[str, Any]) -> tuple[list[dict[str, Any]], int, int]:
    """The annotations of a file in COCO's format that `read_coco` would take, with an `area` each (without one: that of
    the box); how many were left out, and how many had no area."""
    sizes = {entry.get("id"): [entry.get(side) for side in ("width", "height")] for entry in content["images"]}
    names = {category["id"] for category in content["categories"]}
    kept, without = [], 0
    for entry in content["annotations"]:
        corners = _from_xywh(entry.get("bbox"))
        if corners is None or entry.get("image_id") not in sizes or entry.get("category_id") not in names:
            continue
        width, height = (s if isinstance(s, (int, float)) and s > 0 else math.inf for s in sizes[entry["image_id"]])
        if _inside(corners, width, height) is None:
            continue
        if not isinstance(entry.get("area"), (int, float)):
            without += 1
            entry = {**entry, "area": (corners[2] - corners[0]) * (corners[3] - corners[1])}
        kept.append(entry)
    return kept, len(content["annotations"]) - len(kept), without


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
        ClipkitError: no object is of any of the classes, but there are others.
    """
    root = Path(root)
    file = root / "ImageSets" / "Main" / f"{split}.txt"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such list of images (Pascal VOC's layout)")
    pictures = (path for path in sorted((root / "JPEGImages").glob("*")) if path.suffix.lower() in IMAGE_SUFFIXES)
    by_stem = {path.stem: path for path in pictures}
    words = dict(rename or {})
    label_of = {name: i for i, name in enumerate(classes)}
    found: list[LabelledImage] = []
    others: set[str] = set()
    problems = Problems()
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        name = line.split()[0]
        xml = root / "Annotations" / f"{name}.xml"
        if name not in by_stem:
            problems.add("missing images", name)
        elif _usable(by_stem[name], check, problems):
            objects = _read_xml(xml, problems)
            if objects is None:
                continue
            try:
                with open_picture(by_stem[name]) as opened:
                    found.append(LabelledImage(name, by_stem[name], *opened.size))
            except Exception:  # as in _usable, which was not asked to look
                problems.add("unreadable images", by_stem[name].name)
                continue
            for where, word, corners, crowd in objects:
                word = words.get(word, word)
                if word not in label_of:
                    others.add(word)
                elif corners is None:
                    problems.add("boxes that are no four numbers", where)
                elif (box := _inside(corners, found[-1].width, found[-1].height)) is None:
                    problems.add("boxes outside their image or of zero size", where)
                else:
                    found[-1].objects.append(LabelledBox(box, label_of[word], crowd))
    if others and not any(image.objects for image in found):
        known = some(sorted(others), 10)
        raise ClipkitError(f"{root}: no object is called {' or '.join(classes)}; names in the annotations: {known}")
    return LabelledSet(tuple(classes), found, problems)


def _read_xml(xml: Path, problems: Problems) -> list[tuple[str, str, Corners | None, bool]] | None:
    """(where, name, corners, difficult) of each object; None, and a problem noted, where the file cannot be read."""
    try:
        objects = parse_xml(xml).findall("object")
    except FileNotFoundError:
        problems.add("images without an annotation file", xml.name)
        return None
    except (ET.ParseError, OSError, ValueError):
        problems.add("unreadable annotation files", xml.name)
        return None
    out = []
    for number, item in enumerate(objects):
        corners = _numbers([item.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")])
        if corners is not None:  # one of zero size stays one: xmin = xmax
            shift = 1 if corners[2] > corners[0] and corners[3] > corners[1] else 0
            corners = (corners[0] - shift, corners[1] - shift, corners[2], corners[3])
        difficult = (item.findtext("difficult") or "").strip() == "1"
        out.append((f"{xml.name} object {number}", (item.findtext("name") or "").strip(), corners, difficult))
    return out


def _tail(name: str) -> str:
    """The last two parts of a path or an address."""
    return "/".join(name.split("/")[-2:])


def _labels(path: Path, names: Mapping[Any, str], wanted: Sequence[str]) -> dict[Any, int]:
    """Category id -> label. Names are matched as labels are: case, `_` and spaces do not count."""
    try:
        owner = Vocabulary(wanted).match(list(names.values())).label_to_class
    except ValueError as error:  # two names that are one label
        raise ClipkitError(f"{path}: {error}") from None
    lacking = [name for name, index in zip(wanted, owner) if index < 0]
    if lacking:
        hint = did_you_mean(lacking[0], names.values())
        raise ClipkitError(f"{path}: has no category {some(map(repr, lacking), 5)}; {hint}")
    ids = list(names)
    return {ids[index]: label for label, index in enumerate(owner)}


def _usable(path: Path, check: bool, problems: Problems) -> bool:
    if not path.is_file():
        problems.add("missing images", path.name)
        return False
    if check:
        try:
            with open_picture(path) as opened:
                # A JPEG that is cut off has a good header; decoding one eighth of the size finds it and is fast.
                opened.draft("RGB", (max(1, opened.width // 8), max(1, opened.height // 8)))
                opened.load()
        except Exception:  # Pillow raises a dozen types on damaged files
            problems.add("unreadable images", path.name)
            return False
    return True


def _numbers(values: Any) -> Corners | None:
    try:
        a, b, c, d = (float(v) for v in values)
    except (TypeError, ValueError):
        return None
    return (a, b, c, d) if all(map(math.isfinite, (a, b, c, d))) else None


def _from_xywh(values: Any) -> Corners | None:
    numbers = _numbers(values)
    return None if numbers is None else (numbers[0], numbers[1], numbers[0] + numbers[2], numbers[1] + numbers[3])


def _inside(corners: Corners, width: float, height: float) -> Corners | None:
    """Clipped to the image; None if nothing is left."""
    x1, y1, x2, y2 = corners
    x1, x2 = max(x1, 0.0), min(x2, float(width))
    y1, y2 = max(y1, 0.0), min(y2, float(height))
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def _is_mask(mask: Any) -> bool:
    """COCO's RLE, or at least one polygon of three points."""
    if isinstance(mask, dict):
        return bool(mask.get("counts")) and bool(mask.get("size"))
    return isinstance(mask, list) and any(isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0 for p in mask)
