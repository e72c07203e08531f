"""What a picture, a box and a mask of an annotation file must be: the checks that COCO's and VOC's readers share."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

from clipkit.errors import ClipkitError
from clipkit.safe import parse_xml

from ._paths import is_file
from .images import SIDEWAYS, image_size
from .pairs import Problems

Corners = tuple[float, float, float, float]
NO_BOX = "boxes that are no four numbers"
OUTSIDE = "boxes outside their image or of zero size"
SHARES = "boxes inside their image's first pixel (multiply shares of 1 by the image's sides)"
_POINTS = 3  # of the smallest polygon
# How far a polygon may leave its image, in sides and in pixels: pycocotools draws all the pixels of an edge, and writes
# beyond its own memory where they are too many to count.
_FAR, _FARTHEST = 10, 1e6


def usable_size(path: Path, check: bool, problems: Problems) -> tuple[int, int] | None:
    """(width, height) of the picture as it is shown; None, and a problem noted, where it is not there or unreadable."""
    if not is_file(path):
        problems.add("missing images", path.name)
        return None
    try:
        return image_size(path, decode=check)[:2]
    except ClipkitError:
        problems.add("unreadable images", path.name)
        return None


def same_size(stated: tuple[float, float], path: Path, shown: tuple[int, int], problems: Problems) -> bool:
    """Whether boxes for a picture of the stated (width, height) are boxes of this one; if not, a problem is noted."""
    if stated == shown:
        return True
    where = f"{path.name} ({stated[0]:g} x {stated[1]:g}, the file {shown[0]} x {shown[1]})"
    turned = stated == shown[::-1] and image_size(path, decode=False).turn in SIDEWAYS
    problems.add(
        "images whose EXIF turns them while their boxes are of the picture as stored (turn the file or the boxes)"
        if turned
        else "images of another size than the annotations state",
        where,
    )
    return False


def numbers(values: Any) -> Corners | None:
    """Four finite numbers of a list; None for anything else, texts of numbers too."""
    if not isinstance(values, (list, tuple)) or len(values) != 4 or not all(map(is_number, values)):
        return None
    a, b, c, d = (float(value) for value in values)
    return a, b, c, d


def is_number(value: Any) -> TypeGuard[float]:
    """A finite number that float64 can hold, and no truth value."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number of 400 digits
        return False


def inside(corners: Corners, width: float, height: float) -> Corners | None:
    """Clipped to the image; None if nothing is left."""
    x1, y1, x2, y2 = corners
    x1, x2 = max(x1, 0.0), min(x2, float(width))
    y1, y2 = max(y1, 0.0), min(y2, float(height))
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def reaches_out(corners: Corners, width: float, height: float) -> bool:
    """Whether a box leaves its image by more than a pixel, which rounding does not explain."""
    return min(corners[:2]) < -1 or corners[2] > width + 1 or corners[3] > height + 1


def are_corners(boxes: Sequence[tuple[Corners, tuple[float, float]]]) -> bool:
    """Whether boxes that were read as x, y, width, height look like x1, y1, x2, y2: so read all lie inside their
    images, and as they were read a tenth of them ends more than a tenth of the image beyond it, as no careless hand
    draws them.

    Args:
        boxes: (corners as they were read, (width, height) of the image) of each.
    """
    out = 0
    for corners, size in boxes:
        x, y, width, height = corners[0], corners[1], corners[2] - corners[0], corners[3] - corners[1]
        if not (x < width and y < height) or reaches_out((x, y, width, height), *size):
            return False
        out += corners[2] > 1.1 * size[0] or corners[3] > 1.1 * size[1]
    return out * 10 >= max(len(boxes), 1)


def is_apart(mask: Any, box: Corners) -> bool:
    """Whether no point of a mask's polygons can lie in the object's box; RLE is not looked at."""
    if not isinstance(mask, list):
        return False
    xs = [x for polygon in mask for x in polygon[::2]]
    ys = [y for polygon in mask for y in polygon[1::2]]
    return min(xs) > box[2] or max(xs) < box[0] or min(ys) > box[3] or max(ys) < box[1]


def mask_problem(mask: Any, width: float, height: float) -> str | None:
    """What is wrong with COCO's polygons or RLE for an image of this size, None for nothing."""
    if not mask:
        return "objects without a mask"
    if isinstance(mask, dict):
        return _rle_problem(mask, width, height)
    if not isinstance(mask, list) or not all(isinstance(polygon, list) for polygon in mask):
        return "masks that are neither polygons nor RLE"
    if not all(map(_is_polygon, mask)):
        return "polygons that are no list of x, y, x, y, …"
    far = min(_FAR * max(width, height), _FARTHEST)
    if any(polygon and not -far <= min(polygon) <= max(polygon) <= far for polygon in mask):
        return "polygons that lead far out of their image"
    return None if any(len(polygon) >= 2 * _POINTS for polygon in mask) else "objects without a mask"


def _is_polygon(values: list) -> bool:
    """An even number of finite numbers; a pass each, for files of a hundred million coordinates."""
    try:
        return len(values) % 2 == 0 and {*map(type, values)} <= {int, float} and math.isfinite(sum(values))
    except OverflowError:  # a whole number of 400 digits
        return False


def _rle_problem(mask: dict, width: float, height: float) -> str | None:
    size, counts = mask.get("size"), mask.get("counts")
    if not isinstance(size, list) or not all(map(is_number, size)) or not isinstance(counts, (str, list)):
        return "objects without a mask" if not counts else "masks that are neither polygons nor RLE"
    if size != [height, width]:
        return "masks whose RLE is of another size than their image ([height, width])"
    runs = _runs(counts) if isinstance(counts, str) else counts
    whole = runs is not None and all(isinstance(run, int) and run >= 0 for run in runs)
    if not whole or sum(runs or ()) != width * height:
        return "masks whose RLE does not cover their image"
    return None


def _runs(text: str) -> Sequence[int] | None:
    """The runs of COCO's compressed RLE (pycocotools' `rleFrString`, which reads past the end of damaged ones)."""
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 60:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    return None if shift else runs


def xml_tree(xml: Path, problems: Problems) -> ET.Element | None:
    """Pascal VOC's annotation of one picture; None, and a problem noted, where it is not there or unreadable."""
    try:
        return parse_xml(xml)
    except FileNotFoundError:
        problems.add("images without an annotation file", xml.name)
    except (ET.ParseError, OSError, ValueError, LookupError, RecursionError):  # LookupError: an encoding of no name
        problems.add("unreadable annotation files", xml.name)
    return None


def stated_size(tree: ET.Element) -> tuple[float, float] | None:
    """(width, height); None where it is not said, as many tools write 0 for a size that they do not know."""
    stated = numbers([_number(tree.findtext(f"size/{side}")) for side in ("width", "height")] * 2)
    return stated[:2] if stated and min(stated) > 0 else None


def xml_box(item: ET.Element) -> Corners | None:
    """The corners of an object, as they are written."""
    return numbers([_number(item.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")])


def _number(text: str | None) -> float | None:
    """XML has texts only."""
    try:
        return float(text or "")
    except ValueError:
        return None
