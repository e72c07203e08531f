"""OFF and PLY: points, and triangles where there are faces."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from clipkit.errors import ClipkitError

from ._tables import read_lines

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
_HEAD = 1 << 16  # bytes


class Mesh(NamedTuple):
    """`points` `(N, 3)` and `faces` `(M, 3)` int64, rows of `points`; faces of more corners are cut into triangles."""

    points: np.ndarray
    faces: np.ndarray


class _Element(NamedTuple):
    name: str
    rows: int
    properties: list[tuple[str, str, str]]  # name, type, type of a list's length or ''


def read_off(path: str | Path) -> Mesh:
    """An .off file; also ModelNet40's whose first line is `OFF490 518 0`, and those with colours behind corners.

    Raises:
        ClipkitError: a damaged file.
    """
    words = [(n, word) for n, line in read_lines(path) for word in [line.partition("#")[0].split()] if word]
    if not words or not words[0][1][0].upper().startswith(("OFF", "COFF", "NOFF", "STOFF")):
        raise ClipkitError(f"{path}: is no .off file: its first line does not begin with OFF")
    first = words[0][1]
    rest = [first[0][first[0].upper().index("OFF") + 3 :], *first[1:]]
    lines = [(words[0][0], [word for word in rest if word]), *words[1:]]
    lines = lines if lines[0][1] else lines[1:]
    numbers = _numbers(path, lines[0] if lines else (words[0][0], []), int, 2)
    points, faces = numbers[:2]
    if min(points, faces) < 0 or points + faces > len(lines) - 1:
        raise ClipkitError(f"{path}: says it has {points} points and {faces} faces, and has {len(lines) - 1} lines")
    rows = [_numbers(path, line, float, 3) for line in lines[1 : points + 1]]
    corners = []
    for line in lines[points + 1 : points + faces + 1]:
        face = _numbers(path, line, int, 1, line[1][:1])
        corners.append(_numbers(path, line, int, face[0] + 1, line[1][: max(face[0], 0) + 1])[1:])
    return _mesh(path, np.array(rows, dtype=np.float64).reshape(-1, 3), corners)


def _numbers(path: str | Path, line: tuple[int, list[str]], kind: type, least: int, words: list | None = None) -> list:
    number, all_words = line
    chosen = all_words[:3] if words is None else words
    if len(chosen) < least:
        raise ClipkitError(f"{path}: line {number}: has {len(chosen)} numbers, and {least} are needed")
    try:
        return [kind(word) for word in chosen]
    except (ValueError, OverflowError):
        raise ClipkitError(f"{path}: line {number}: {' '.join(chosen)[:40]!a} are no numbers") from None


def read_ply(path: str | Path) -> Mesh:
    """A .ply file, ascii or binary of either order of bytes, with any other properties beside x, y and z.

    Raises:
        ClipkitError: a damaged file, or one without such points.
    """
    data = Path(path).read_bytes()
    form, elements, place = _ply_head(path, data)
    found: dict[str, dict[str, list | np.ndarray]] = {}
    words = iter(()) if form in _ORDERS else iter(data[place:].decode("ascii", "replace").split())
    try:
        for element in elements:
            if element.rows > len(data):  # each row takes a byte at least
                raise ValueError(f"it says it has {element.rows} of {element.name}")
            if form in _ORDERS:
                found[element.name], place = _binary(data, place, element, _ORDERS[form])
            else:
                found[element.name] = _ascii(words, element)
        vertex = found.get("vertex", {})
        points = np.stack([np.asarray(vertex[axis], dtype=np.float64) for axis in "xyz"], 1)
        face = found.get("face", {})
        corners = next((face[name] for name in ("vertex_indices", "vertex_index") if name in face), [])
        return _mesh(path, points, corners)
    except (ValueError, KeyError, StopIteration, OverflowError, TypeError) as error:
        raise ClipkitError(f"{path}: is a damaged .ply file, or one without x, y, z ({str(error)[:80]!a})") from None


def _ply_head(path: str | Path, data: bytes) -> tuple[str, list[_Element], int]:
    end = data.find(b"end_header", 0, _HEAD)
    stop = data.find(b"\n", end)
    if not data.startswith(b"ply") or min(end, stop) < 0:
        raise ClipkitError(f"{path}: is no .ply file: it has no head that begins with ply and ends in end_header")
    form, elements = "", list[_Element]()
    for line in data[:end].decode("ascii", "replace").split("\n"):
        words = line.split()
        try:
            if words[:1] == ["format"]:
                form = words[1]
            elif words[:1] == ["element"]:
                elements.append(_Element(words[1], int(words[2]), []))
            elif words[:2] == ["property", "list"]:
                elements[-1].properties.append((words[4], _TYPES[words[3]], _TYPES[words[2]]))
            elif words[:1] == ["property"]:
                elements[-1].properties.append((words[2], _TYPES[words[1]], ""))
        except (IndexError, KeyError, ValueError):
            raise ClipkitError(f"{path}: its head has the line {line[:60]!a}, which no .ply file has") from None
    if form != "ascii" and form not in _ORDERS:
        raise ClipkitError(f"{path}: its format is {form[:40]!a}; known: ascii, {', '.join(_ORDERS)}")
    if any(element.rows < 0 or not element.properties for element in elements):
        raise ClipkitError(f"{path}: has an element of no properties, or of less than no rows")
    return form, elements, stop + 1


def _ascii(words: object, element: _Element) -> dict[str, list | np.ndarray]:
    """Columns of an element by name; of a list property a list of lists."""
    columns: dict[str, list | np.ndarray] = {name: [] for name, _, _ in element.properties}
    for _ in range(element.rows):
        for name, _, length in element.properties:
            if length:
                count = int(next(words))  # type: ignore[call-overload]
                columns[name].append([int(next(words)) for _ in range(count)])  # type: ignore[call-overload, union-attr]
            else:
                columns[name].append(float(next(words)))  # type: ignore[call-overload, union-attr]
    return columns


def _binary(data: bytes, place: int, element: _Element, order: str) -> tuple[dict[str, list | np.ndarray], int]:
    if not any(length for _, _, length in element.properties):
        row = np.dtype([(str(i), order + each) for i, (_, each, _) in enumerate(element.properties)])
        table = np.frombuffer(data, row, element.rows, place)
        named = {name: table[str(i)] for i, (name, _, _) in enumerate(element.properties)}
        return dict(named), place + element.rows * row.itemsize
    columns: dict[str, list | np.ndarray] = {name: [] for name, _, _ in element.properties}
    for _ in range(element.rows):
        for name, kind, length in element.properties:
            count = 1
            if length:
                count, place = int(np.frombuffer(data, order + length, 1, place)[0]), place + int(length[1])
            values = np.frombuffer(data, order + kind, count, place).tolist() if count > 0 else []
            columns[name].append(values if length else values[0])  # type: ignore[union-attr]
            place += max(count, 0) * int(kind[1])
    return columns, place


def _mesh(path: str | Path, points: np.ndarray, corners: list | np.ndarray) -> Mesh:
    triangles = [(face[0], face[i], face[i + 1]) for face in corners for i in range(1, len(face) - 1)]
    faces = np.array(triangles, dtype=np.int64).reshape(-1, 3)
    if len(faces) and not 0 <= faces.min() <= faces.max() < len(points):
        raise ClipkitError(f"{path}: a face names point {faces.max()} or {faces.min()}, and there are {len(points)}")
    return Mesh(points, faces)
