"""Clouds of points from files: what scanners, CAD programs and the data sets of 3D papers write."""

from __future__ import annotations

import math
import re
import tokenize
from pathlib import Path

import numpy as np

from clipkit.errors import ClipkitError

from ._meshes import Mesh, read_off, read_ply
from ._tables import read_lines

CLOUD_SUFFIXES = (".off", ".ply", ".pcd", ".xyz", ".txt", ".csv", ".npy")
SAMPLED = 2048  # points of a mesh
_SEPARATORS = re.compile(r"[\s,;]+")
_NPY_ERRORS = (
    ValueError, OSError, EOFError, SyntaxError, tokenize.TokenError, TypeError, MemoryError, OverflowError,
)  # fmt: skip


def read_cloud(path: str | Path, count: int = SAMPLED, seed: int = 0) -> np.ndarray:
    """A cloud `(N, 3)` float32, N at least 1. Points whose coordinates are not finite numbers are left out: scanners
    write them where they saw nothing.

    - `.off`, `.ply` with faces: `count` points of the surface, even in area, the same ones each time; without faces
      their points.
    - `.pcd`, ascii or binary; its compressed form is refused.
    - `.xyz`, `.txt`, `.csv`: a point a line, x y z first, between blanks, commas or semicolons; a first line of names
      and lines that begin with # are passed over. ModelNet40's normal_resampled files are such.
    - `.npy`: `(N, 3)` or more columns.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: another format, a damaged file, or no point in it.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in CLOUD_SUFFIXES:
        raise ClipkitError(f"{path}: is no cloud that is read here; known: {', '.join(CLOUD_SUFFIXES)}")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if not path.is_file():
        raise ClipkitError(f"{path}: is no plain file")
    if kind in (".off", ".ply"):
        mesh = read_off(path) if kind == ".off" else read_ply(path)
        points = sample_surface(mesh, count, seed) if len(mesh.faces) else mesh.points
    elif kind == ".pcd":
        points = _read_pcd(path)
    else:
        points = _read_npy(path) if kind == ".npy" else _read_rows(path)
    with np.errstate(over="ignore"):  # beyond float32 is not finite
        points = points[:, :3].astype(np.float32)
    points = points[np.isfinite(points).all(1)]
    if not len(points):
        raise ClipkitError(f"{path}: has no point with finite coordinates")
    return points


def sample_surface(mesh: Mesh, count: int, seed: int = 0) -> np.ndarray:
    """`(count, 3)` points on the triangles of a mesh, even in area; of its corners where no triangle has an area."""
    with np.errstate(all="ignore"):
        a, b, c = (mesh.points[mesh.faces[:, i]].astype(np.float64) for i in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        area = np.where(np.isfinite(area), area, 0)
        total = area.sum()
    random = np.random.default_rng(seed)
    if not 0 < total < math.inf:
        return mesh.points[random.integers(len(mesh.points), size=count)]
    chosen = np.searchsorted(np.cumsum(area) / total, random.random(count), side="right").clip(max=len(area) - 1)
    u, v = np.sqrt(random.random(count))[:, None], random.random(count)[:, None]
    return (1 - u) * a[chosen] + u * (1 - v) * b[chosen] + u * v * c[chosen]


def unit_sphere(points: np.ndarray) -> np.ndarray:
    """`(N, 3)` moved to its mean and shrunk into the unit sphere, as PointCLIP takes clouds; one point, or equal ones,
    become the origin."""
    centred = points.astype(np.float64) - points.astype(np.float64).mean(0)
    radius = np.sqrt((centred**2).sum(1).max())
    return (centred / radius if radius > 0 else centred).astype(np.float32)


def _read_rows(path: Path) -> np.ndarray:
    rows: list[list[float]] = []
    for number, line in read_lines(path):
        if line.startswith(("#", "//")):
            continue
        words = _SEPARATORS.split(line.strip(",;"))
        try:
            rows.append([float(word) for word in words[:3]])
        except ValueError:
            if not rows and number == 1:
                continue  # names of columns
            raise ClipkitError(f"{path}: line {number}: {line[:40]!a} are no coordinates; x y z are needed") from None
        if len(words) < 3:
            if len(rows) == 1 and len(words) == 1:  # how many points follow, as .xyz of chemists begins
                rows.clear()
                continue
            raise ClipkitError(f"{path}: line {number}: has {len(words)} coordinates, and x y z are needed")
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def _read_npy(path: Path) -> np.ndarray:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except _NPY_ERRORS as error:
        raise ClipkitError(f"{path}: is no .npy file of numbers, or a damaged one ({type(error).__name__})") from None
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.shape[1] < 3 or found.dtype.kind not in "fiu":
        what = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        raise ClipkitError(f"{path}: holds {what[:80]}, and numbers (N, 3) are needed")
    return np.array(found[:, :3])


def _read_pcd(path: Path) -> np.ndarray:
    data = path.read_bytes()
    head: dict[str, list[str]] = {}
    place = 0
    while "DATA" not in head:
        end = data.find(b"\n", place)
        words = data[place:end].decode("ascii", "replace").split() if end >= 0 else []
        if end < 0 or place > 1 << 16:
            raise ClipkitError(f"{path}: is no .pcd file: its head has no DATA")
        head |= {words[0]: words[1:]} if words and not words[0].startswith("#") else {}
        place = end + 1
    try:
        fields, form = head["FIELDS"], head["DATA"][0]
        counts = [int(word) for word in head.get("COUNT", ["1"] * len(fields))]
        kinds = [f"<{kind.lower()}{int(size)}" for kind, size in zip(head["TYPE"], head["SIZE"], strict=True)]
        columns = np.dtype([(str(i), k, (n,)) for i, (k, n) in enumerate(zip(kinds, counts, strict=True))])
        wanted = [fields.index(axis) for axis in "xyz"]
        total = int(head["POINTS"][0])
        if min(counts, default=0) < 1 or len(fields) != len(kinds) or not 0 <= total <= len(data):
            raise ValueError("sizes that do not fit")
        if form == "ascii":
            starts = np.cumsum([0, *counts])
            rows = [line.split() for line in data[place:].decode("ascii").splitlines() if line.strip()][:total]
            return np.array([[float(row[starts[i]]) for i in wanted] for row in rows]).reshape(-1, 3)
        if form != "binary":
            raise ClipkitError(f"{path}: its DATA is {form[:40]!a}; save it as ascii or binary")
        table = np.frombuffer(data, columns, total, place)
        return np.stack([table[str(i)][:, 0].astype(np.float64) for i in wanted], 1)
    except (ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
        raise ClipkitError(f"{path}: is a damaged .pcd file, or one without x, y, z ({str(error)[:80]!a})") from None
