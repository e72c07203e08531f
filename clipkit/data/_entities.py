"""The files of Flickr30k Entities (Plummer et al., ICCV 2015): sentences whose phrases name chains of boxes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._objects import Corners, same_size, stated_size, usable_size, xml_box, xml_tree
from ._paths import below, is_file
from ._tables import read_lines
from .pairs import Problems

Row = tuple[str, str, str, list[tuple[Any, list[Any]]]]  # where, picture, caption, (spans, boxes) of phrases
_PHRASE = re.compile(r"\[/EN#(\d+)(?:/\w+)+ ([^\[\]]+)\]")  # [/EN#283585/people Two young guys]


def entities(path: Path, images: Path, problems: Problems) -> Iterator[Row]:
    """A row for each sentence of the pictures that a list of numbers names, with the phrases that have boxes.

    Raises:
        FileNotFoundError: no such list.
        ClipkitError: it, or a file of sentences, is no text, or names what lies elsewhere.
    """
    for _, name in read_lines(path):
        picture = below(images, f"{name}.jpg", path, "images")
        sentences = below(path.parent / "Sentences", f"{name}.txt", path, "data_root")
        boxes = _boxes(below(path.parent / "Annotations", f"{name}.xml", path, "data_root"), picture, problems)
        if boxes is None:
            continue
        if not is_file(sentences):
            problems.add("images without a file of sentences", sentences.name)
            continue
        for number, line in read_lines(sentences):
            where = f"{sentences.name} line {number}"
            caption, phrases = _read(line, boxes)
            if "/EN#" in caption:
                problems.add("sentences with a phrase that is not written [/EN#1/people a man]", where)
            else:
                yield where, picture.name, caption, phrases


def _boxes(xml: Path, picture: Path, problems: Problems) -> dict[str, list[Corners | None]] | None:
    """Of each chain its boxes: one may be of several chains. None, and a problem noted, where the file is of no use."""
    if (tree := xml_tree(xml, problems)) is None:
        return None
    stated, size = stated_size(tree), usable_size(picture, False, Problems())
    if stated and size and not same_size(stated, picture, size, problems):
        return None
    out: dict[str, list[Corners | None]] = {}
    for item in tree.findall("object"):
        if item.find("bndbox") is None:  # a scene, or what no box can hold
            continue
        box = xml_box(item)
        # Counted from 1, and as the data set's own reader takes them, the last pixel not added.
        corners = None if box is None else (box[0] - 1, box[1] - 1, box[2] - 1, box[3] - 1)
        for chain in item.findall("name"):
            out.setdefault((chain.text or "").strip(), []).append(corners)
    return out


def _read(line: str, boxes: dict[str, list[Corners | None]]) -> tuple[str, list[tuple[Any, list[Any]]]]:
    """A sentence without its marks, and its phrases with boxes as (spans, boxes)."""
    caption, end, phrases = "", 0, []
    for match in _PHRASE.finditer(line):
        caption += line[end : match.start()]
        start, end = len(caption), match.end()
        caption += match[2]
        if match[1] in boxes:
            phrases.append(([[start, len(caption)]], boxes[match[1]]))
    return caption + line[end:], phrases
