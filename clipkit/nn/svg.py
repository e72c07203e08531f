"""Strokes as SVG files, and back: paths of cubics and nothing else of the format."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET

import torch
from torch import Tensor

from clipkit.errors import ClipkitError, shown
from clipkit.files import write_text
from clipkit.nn.strokes import Strokes
from clipkit.safe import parse_xml

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_TOKEN = re.compile(rf"\s*,?\s*([A-Za-z]|{_NUMBER})")
_KNOWN = {"d", "stroke", "stroke-width", "stroke-linecap", "stroke-linejoin", "fill", "opacity", "id"}
_PAGE = {"width": "100%", "height": "100%", "fill": ""}
_MAX_SIDE = 1 << 13


def write_svg(strokes: Strokes, path: str | os.PathLike, drawing: int = 0) -> None:
    """Writes one drawing of a batch, whole or not at all.

    Raises:
        ClipkitError: the file cannot be written.
        ValueError: the background is a picture.
    """
    if strokes.background.ndim == 4:
        raise ValueError("an SVG file has one colour behind its paths, and these strokes lie on a picture")
    height, width = strokes.size
    ground = strokes.background.expand(3) if strokes.background.ndim < 2 else strokes.background[drawing]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f'<rect width="100%" height="100%" fill="{_hex(ground)}"/>',
    ]
    points = strokes.points.detach()
    for number in (strokes.drawing == drawing).nonzero()[:, 0].tolist():
        own = strokes.segments[strokes.path == number]
        first, *rest = [points[own[0, 0]], *points[own[:, 1:].flatten()]]
        closed = bool(own[-1, 3] == own[0, 0])
        colour = "#000000" if strokes.colour is None else _hex(strokes.colour.detach()[number])
        opacity = 1.0 if strokes.opacity is None else float(strokes.opacity.detach()[number])
        wide = float(strokes.width.detach()[number])
        lines.append(
            f'<path d="M {_pair(first)} C {" ".join(map(_pair, rest))}{" Z" if closed else ""}" stroke="{colour}" '
            f'stroke-width="{wide:.4g}" stroke-linecap="round" stroke-linejoin="round" '
            f'fill="{colour if strokes.filled[number] else "none"}" opacity="{opacity:.4g}"/>'
        )
    write_text(path, "\n".join([*lines, "</svg>", ""]))


def read_svg(path: str | os.PathLike) -> Strokes:
    """Reads what `write_svg` writes: `<path d="M … C … Z">` in absolute numbers, with stroke, stroke-width, fill and
    opacity, on a `<rect>` that fills the page with one colour.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: anything else in it: nothing of a drawing is left out in silence.
    """
    try:
        root = parse_xml(os.fspath(path))
    except (ET.ParseError, ValueError) as error:
        raise ClipkitError(f"{path}: is no SVG that can be read ({shown(error)}); write paths alone, M and C") from None
    size = _side(path, root, "height"), _side(path, root, "width")
    points: list[list[float]] = []
    segments: list[list[int]] = []
    owner: list[int] = []
    looks: list[tuple[Tensor, float, float, bool]] = []
    ground = torch.ones(3)
    for place, element in enumerate(root):
        name = str(element.tag).rpartition("}")[2]
        if name == "rect" and place == 0 and dict(element.attrib, fill="") == _PAGE and not len(element):
            ground = _colour(path, element.get("fill", ""))
            continue
        strange = sorted(set(element.attrib) - _KNOWN) or [f"<{child.tag}>" for child in element]
        if name != "path" or strange:
            what = f"<{name}>" if name != "path" else f"{strange[0]} of a <path>"
            raise ClipkitError(f'{path}: holds {shown(what)}, and only <path d="M … C …"> is read; turn it into such')
        closed = _read_path(path, element.get("d", ""), points, segments)
        owner += [len(looks)] * (len(segments) - len(owner))
        looks.append(_look(path, element, closed))
    colours = torch.stack([colour for colour, *_ in looks]) if looks else torch.zeros(0, 3)
    widths, opacities, filled = ([look[i] for look in looks] for i in (1, 2, 3))
    return Strokes(
        torch.tensor(points).view(-1, 2), torch.tensor(segments, dtype=torch.int64).view(-1, 4),
        torch.tensor(owner, dtype=torch.int64), torch.tensor(widths, dtype=torch.float32),
        colours, torch.tensor(opacities, dtype=torch.float32),
        size=size, filled=torch.tensor(filled, dtype=torch.bool), background=ground,
    )  # fmt: skip


def _read_path(path: object, text: str, points: list[list[float]], segments: list[list[int]]) -> bool:
    """Appends a path's points and segments; whether it is closed."""
    words = text.rstrip()
    tokens, at = [], 0
    while at < len(words):
        found = _TOKEN.match(words, at)
        if not found:
            raise ClipkitError(f"{path}: a path's d has {shown(words[at : at + 12])!r}; write numbers, M, C and Z")
        tokens.append(found[1])
        at = found.end()
    closed = tokens[-1:] == ["Z"]
    body = tokens[: len(tokens) - closed]
    parts = [len(part.split()) for part in " ".join(body).replace("M", "C").split("C")]
    numbers = [float(token) for token in body if not token.isalpha()]
    known = body[:1] == ["M"] and body.count("M") == 1 and not {t for t in body if t.isalpha()} - {"M", "C"}
    good = known and parts[:2] == [0, 2] and len(parts) > 2 and all(n and n % 6 == 0 for n in parts[2:])
    if not good or not all(abs(value) < 1e6 for value in numbers):
        raise ClipkitError(f"{path}: a path's d is {shown(text, 40)!r}; write M x y C x y x y x y …, absolute")
    start = len(points)
    points += [numbers[i : i + 2] for i in range(0, len(numbers), 2)]
    last = len(points) - 1
    segments += [list(range(i, i + 4)) for i in range(start, last, 3)]
    if closed and points[last] == points[start]:
        points.pop()
        segments[-1][3] = start
    elif closed:  # Z draws a straight line
        (x0, y0), (x1, y1) = points[last], points[start]
        points += [[x0 + (x1 - x0) * k / 3, y0 + (y1 - y0) * k / 3] for k in (1, 2)]
        segments.append([last, last + 1, last + 2, start])
    return closed


def _look(path: object, element: ET.Element, closed: bool) -> tuple[Tensor, float, float, bool]:
    """Colour, width, opacity, whether it is filled."""
    stroke, fill = element.get("stroke", "none"), element.get("fill", "#000000")
    if fill != "none" and (not closed or stroke not in ("none", fill)):
        raise ClipkitError(f"{path}: a filled path must end in Z, with a stroke of the colour of its fill or none")
    try:
        width = float(element.get("stroke-width", "1")) if stroke != "none" else 0.0
        opacity = float(element.get("opacity", "1"))
    except ValueError:
        width = opacity = -1.0
    if not (0 <= width < 1e4 and 0 <= opacity <= 1):
        raise ClipkitError(f"{path}: stroke-width and opacity must be plain numbers, opacity from 0 to 1")
    return _colour(path, stroke if fill == "none" else fill), width, opacity, fill != "none"


def _side(path: object, root: ET.Element, name: str) -> int:
    text = root.get(name, "")
    value = int(text) if re.fullmatch(r"\d{1,6}", text) else 0
    if not 1 <= value <= _MAX_SIDE:
        raise ClipkitError(f'{path}: {name}="{shown(text, 20)}"; write a whole number of pixels, at most {_MAX_SIDE}')
    return value


def _colour(path: object, text: str) -> Tensor:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ClipkitError(f"{path}: a colour is {shown(text, 20)!r}; write it as #rrggbb")
    return torch.tensor([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def _hex(colour: Tensor) -> str:
    return "#" + "".join(f"{round(255 * min(max(value, 0.0), 1.0)):02x}" for value in colour.tolist())


def _pair(point: Tensor) -> str:
    return f"{point[0].item():.3f} {point[1].item():.3f}"
