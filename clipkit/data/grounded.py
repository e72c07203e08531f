"""Captions whose phrases have boxes: JSON lines of one's own, MDETR's JSON (GoldG), Flickr30k Entities' own files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipkit.errors import ClipkitError, one_line

from ._entities import Row, entities
from ._objects import Corners, inside, numbers, usable_size
from ._paths import below
from ._tables import as_list, as_object, as_text, read_json, read_lines
from .pairs import Problems

Ranges = tuple[tuple[int, int], ...]
NO_SPANS = "phrases whose spans are no [start, end] within the caption"
NO_BOXES = "boxes that are no four numbers, or outside their image"


@dataclass
class GroundedImage:
    """A picture, what is said of it, and where.

    Attributes:
        path, size: the file, and its (width, height).
        caption: the text.
        phrases: of each phrase its ranges of characters.
        boxes: x1 y1 x2 y2 in pixels.
        owners: of each box the places of the phrases that name it.
    """

    path: Path
    size: tuple[int, int]
    caption: str
    phrases: list[Ranges] = field(default_factory=list)
    boxes: list[Corners] = field(default_factory=list)
    owners: list[tuple[int, ...]] = field(default_factory=list)


def read_grounded(path: str | Path, images: str | Path, check: bool = True) -> tuple[list[GroundedImage], Problems]:
    """What a file says of pictures in a folder, and what of it cannot be used.

    A file that ends in `.jsonl` has one picture a line,
    `{"image": "a.jpg", "caption": "a man left of the red car", "phrases": [{"spans": [[0, 5]], "boxes": [[8, 9, 60,
    99]]}]}`, boxes as x1 y1 x2 y2. One that ends in `.txt` lists pictures of Flickr30k Entities by their numbers, whose
    `Annotations/1.xml` and `Sentences/1.txt` lie beside it; a picture comes once for each of its sentences. Any other
    is MDETR's JSON: `images` with a `caption`, `annotations` with COCO's `bbox` and `tokens_positive`, ranges of
    characters of the caption.

    Args:
        check: decode every picture.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: it is damaged, or in another format.
    """
    found, problems = [], Problems()
    if str(path).endswith(".jsonl"):
        rows = _lines(Path(path))
    elif str(path).endswith(".txt"):
        rows = entities(Path(path), Path(images), problems)
    else:
        rows = _mdetr(Path(path))
    for where, name, caption, phrases in rows:
        file = below(images, name, path, "images")
        size = usable_size(file, check, problems)
        if size is None:
            continue
        image = GroundedImage(file, size, caption)
        for ranges, boxes in phrases:
            spans = _ranges(ranges, len(caption))
            if spans is None:
                problems.add(NO_SPANS, where)
                continue
            kept = [corners for box in boxes if (corners := _corners(box, size)) is not None]
            if len(kept) < len(boxes):
                problems.add(NO_BOXES, where)
            _add(image, spans, kept)
        found.append(image)
    return found, problems


def _add(image: GroundedImage, spans: Ranges, boxes: list[Corners]) -> None:
    if spans not in image.phrases:
        image.phrases.append(spans)
    phrase = image.phrases.index(spans)
    for box in boxes:
        if box in image.boxes:
            place = image.boxes.index(box)
            image.owners[place] = tuple(dict.fromkeys((*image.owners[place], phrase)))
        else:
            image.boxes.append(box)
            image.owners.append((phrase,))


def _lines(path: Path) -> Iterator[Row]:
    for number, line in read_lines(path):
        where = f"line {number}"
        try:
            row = as_object(json.loads(line), path, where, "image", "caption", "phrases")
        except (ValueError, RecursionError) as error:
            raise ClipkitError(f"{path}: {where}: {one_line(error, 120)}") from None
        phrases = [as_object(one, path, where, "spans", "boxes") for one in as_list(row["phrases"], path, where)]
        yield (
            where,
            as_text(row["image"], path, f"{where}: image"),
            as_text(row["caption"], path, f"{where}: caption"),
            [(one["spans"], as_list(one["boxes"], path, f"{where}: boxes")) for one in phrases],
        )


def _mdetr(path: Path) -> Iterator[Row]:
    content = as_object(read_json(path, "annotation file", nan=True), path, "the file", "images", "annotations")
    of_image: dict[Any, list[tuple[Any, list[Any]]]] = {}
    for i, one in enumerate(as_list(content["annotations"], path, "annotations")):
        row = as_object(one, path, f"annotation {i}", "image_id", "bbox", "tokens_positive")
        key = _id(row["image_id"], path, f"annotation {i}: image_id")
        box = numbers(row["bbox"])
        corners = None if box is None else [box[0], box[1], box[0] + box[2], box[1] + box[3]]
        of_image.setdefault(key, []).append((row["tokens_positive"], [corners]))
    for i, one in enumerate(as_list(content["images"], path, "images")):
        where = f"image {i}"
        row = as_object(one, path, where, "id", "file_name", "caption")
        name = as_text(row["file_name"], path, f"{where}: file_name")
        caption = as_text(row["caption"], path, f"{where}: caption")
        yield name, name, caption, of_image.get(_id(row["id"], path, f"{where}: id"), [])


def _id(value: Any, path: Path, where: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ClipkitError(f"{path}: {where} is {str(value)[:40]!r}, and a number is needed")
    return value


def _ranges(value: Any, length: int) -> Ranges | None:
    """`[[start, end], …]` within a text; None for anything else."""
    if not isinstance(value, list) or not value:
        return None
    for one in value:
        whole = isinstance(one, list) and len(one) == 2 and all(type(place) is int for place in one)
        if not whole or not 0 <= one[0] < one[1] <= length:
            return None
    return tuple((start, end) for start, end in value)


def _corners(value: Any, size: tuple[int, int]) -> Corners | None:
    box = numbers(value)
    return None if box is None else inside(box, *size)
