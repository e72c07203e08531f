"""The rows of a file in COCO's or LVIS's format, each checked before anything is made of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clipkit.errors import ClipkitError, some

from ._objects import NO_BOX, OUTSIDE, SHARES, Corners, inside, is_number, numbers
from ._tables import read_json
from .pairs import Problems

Rows = Mapping[str, Any]
_PIXELS = 1 << 31  # of an image: what a mask of its size may take
_SEVERAL = "image ids that stand for several files (number them anew)"


def read_coco_file(path: str | Path) -> dict[str, Any]:
    """The JSON, looked through: `images`, `annotations` and `categories` are lists of objects, and each category has an
    id of its own and a name.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: it is damaged, or in another format.
    """
    content = read_json(path, "annotation file", nan=True)
    for key in ("images", "annotations", "categories"):
        rows = content.get(key) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ClipkitError(f'{path}: not in COCO\'s format: it has no list "{key}" of objects')
    names: dict[Any, str] = {}
    for category in content["categories"]:
        if not is_id(category.get("id")) or not _is_name(category.get("name")):
            raise ClipkitError(f"{path}: a category has no id or no name: {str(category)[:80]}")
        if category["id"] in names:
            twice = f"{names[category['id']]!r} and {str(category['name'])!r}"
            raise ClipkitError(f"{path}: two categories have the id {category['id']}: {twice}; number them anew")
        names[category["id"]] = str(category["name"])
    return content


def usable_images(rows: Iterable[Rows], problems: Problems) -> dict[Any, tuple[str, int, int]]:
    """id -> (file's name, width, height) of the entries that say all three, in the file's order."""
    found: dict[Any, tuple[str, int, int]] = {}
    names: dict[str, Any] = {}
    several: dict[Any, list[str]] = {}
    for row in rows:
        name = file_name(row)
        if name is None or not is_id(row.get("id")) or not _has_size(row):
            problems.add("images without file_name, id or size", str(name or row.get("id"))[:80])
        elif (key := row["id"]) in found and found[key][0] != name:
            several.setdefault(key, [found[key][0]]).append(name)
        elif key in found:
            problems.add("images that are listed twice", name)
        elif name in names:
            problems.add("files that stand under several image ids", f"{name} ({names[name]}, {key})")
        else:
            found[key] = (name, int(row["width"]), int(row["height"]))
            names[name] = key
    for key, files in several.items():
        problems.add(_SEVERAL, f"{key} ({some(files)})")
        del found[key]
    return found


def usable_boxes(
    content: Rows, sizes: Mapping[Any, tuple[float, float]], problems: Problems
) -> Iterable[tuple[Rows, str, Corners, bool]]:
    """(annotation, what to call it, its box inside the image, crowd) of each whose image is in `sizes` (id -> width,
    height); annotations of other images that the file lists are left out in silence: what is wrong there is said of
    the image."""
    listed = {row["id"] for row in content["images"] if is_id(row.get("id"))}
    categories = {category["id"] for category in content["categories"]}
    given: set[Any] = set()
    for number, row in enumerate(content["annotations"]):
        own = row.get("id", number)
        where, image, category = f"annotation {str(own)[:40]}", row.get("image_id"), row.get("category_id")
        if not is_id(image) or image not in listed:
            problems.add("annotations of images that the file does not list", where)
        elif not is_id(category) or category not in categories:
            problems.add("annotations of categories that the file does not list", where)
        elif image in sizes:
            corners = numbers(row.get("bbox"))
            corners = corners and (corners[0], corners[1], corners[0] + corners[2], corners[1] + corners[3])
            box = corners and inside(corners, *sizes[image])
            flags = [row.get(key, 0) for key in ("iscrowd", "ignore")]
            if "id" in row and (not is_id(own) or own in given):
                problems.add("annotations whose id is none or that of another (number them anew)", where)
            elif corners is None:
                problems.add(NO_BOX, where)
            elif box is None:
                problems.add(OUTSIDE, where)
            elif max(corners) <= 1 < min(sizes[image]):
                problems.add(SHARES, where)
            elif not all(isinstance(flag, (int, float, type(None))) and flag in (0, 1, None) for flag in flags):
                problems.add("objects whose iscrowd is neither 0 nor 1", where)
            else:
                yield {**row, "bbox": corners}, where, box, any(flags)
            if "id" in row and is_id(own):
                given.add(own)


def judged_annotations(content: Rows) -> tuple[list[dict[str, Any]], int, int]:
    """The annotations of a file in COCO's format that `read_coco` would take, with an `area` each (without one: that of
    the box); how many were left out, and how many had no area."""
    sizes = {}
    for row in content["images"]:
        if is_id(row.get("id")):
            sizes[row["id"]] = (row["width"], row["height"]) if _has_size(row) else (math.inf, math.inf)
    kept, without = [], 0
    for row, _, _, crowd in usable_boxes(content, sizes, Problems()):
        x1, y1, x2, y2 = row["bbox"]
        area = row.get("area")
        if not is_number(area) or area < 0:
            without += 1
            area = (x2 - x1) * (y2 - y1)
        kept.append({**row, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": area, "iscrowd": int(crowd)})
    return kept, len(content["annotations"]) - len(kept), without


def file_name(row: Rows) -> str | None:
    """The name of an image's file: `file_name`, or the last two parts of LVIS's `coco_url`; None without one."""
    name, url = row.get("file_name"), row.get("coco_url")
    if isinstance(name, str) and name:
        return name
    return "/".join(url.split("/")[-2:]) if not name and isinstance(url, str) and url else None


def is_id(value: Any) -> bool:
    """A number or a text; JSON has lists and objects too, and Python takes True for 1."""
    return isinstance(value, str) or (is_number(value) and value == int(value))


def _has_size(row: Rows) -> bool:
    width, height = row.get("width"), row.get("height")
    whole = all(is_number(side) and side > 0 and side == int(side) for side in (width, height))
    return whole and width * height <= _PIXELS  # type: ignore[operator]  # numbers, as the line above has it


def _is_name(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and bool(str(value).strip())
