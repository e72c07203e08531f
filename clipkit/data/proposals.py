"""Which images and which boxes: image lists in COCO's format, and files of region proposals.

Proposal files (boxes in pixels of the image; scores may be left out, then the order counts):
  .json  {"file name": {"boxes": [[x1, y1, x2, y2], ...], "scores": [...]}, ...}
         or COCO results [{"image_id": 1, "bbox": [x, y, width, height], "score": 0.9}, ...], with --annotations
  .npz   arrays names (N,) text, counts (N,) integers, boxes (sum of counts, 4), scores (sum of counts,)
A file name is relative to the image folder, or has that folder's own name before it, as mmdet writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clipkit.errors import ClipkitError, one_line
from clipkit.safe import open_npz

from ._coco_file import file_name, is_id
from ._objects import is_number, numbers
from ._paths import find_below, outside
from ._tables import read_json
from .images import list_images

_ARRAYS = {
    "names": (1, "U", "(N,) text"),
    "counts": (1, "iu", "(N,) integers"),
    "boxes": (2, "fiu", "(sum of counts, 4) numbers"),
    "scores": (1, "fiu", "(sum of counts,) numbers"),
}
_CONVERT = (
    "python -c \"import pickle, sys, numpy as np; d = pickle.load(open(sys.argv[1], 'rb')); "
    "np.savez(sys.argv[2], names=list(d), counts=[len(p.bboxes) for p in d.values()], "
    'boxes=np.concatenate([p.bboxes for p in d.values()]), scores=np.concatenate([p.scores for p in d.values()]))" '
    "IN.pkl OUT.npz"
)


class ImageFile(NamedTuple):
    """An image of a data set: `name` is its path below the folder, with `/`; `image_id` is COCO's, if any."""

    name: str
    path: Path
    image_id: Any = None


@dataclass(frozen=True)
class Proposals:
    """Boxes `(M, 4)` x1 y1 x2 y2 and scores `(M,)` by file name, or by COCO's image id."""

    path: Path
    by_key: Mapping[Any, tuple[np.ndarray, np.ndarray]]

    def of(self, image: ImageFile, folder: Path) -> tuple[np.ndarray, np.ndarray] | None:
        """Those of an image; None if the file does not have it."""
        for key in (image.name, f"{folder.name}/{image.name}", image.image_id):
            if key is not None and key in self.by_key:
                return self.by_key[key]
        return None


def list_dataset(folder: str | Path, annotations: str | Path | None = None) -> list[ImageFile]:
    """The images of a folder, or those that an annotation file in COCO's or LVIS's format lists, in its order.

    Raises:
        FileNotFoundError: no such folder or file, or a folder without images.
        ClipkitError: the file is not in that format.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of images")
    if annotations is None:
        return [ImageFile(path.relative_to(folder).as_posix(), path) for path in list_images([folder])]
    content = read_json(Path(annotations))
    entries = content.get("images") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ClipkitError(f'{annotations}: not in COCO\'s format (no list "images")')
    found: dict[str, ImageFile] = {}
    ids: dict[Any, str] = {}
    for number, entry in enumerate(entries):
        name, key = (file_name(entry), entry.get("id")) if isinstance(entry, dict) else (None, None)
        if name is None:
            raise ClipkitError(f"{annotations}: images[{number}] has neither file_name nor coco_url")
        if key is not None and (not is_id(key) or ids.setdefault(key, name) != name):
            raise ClipkitError(f"{annotations}: images[{number}] has an id that is none or another's: {str(key)[:40]}")
        path = find_below(folder, name)
        if path is None:
            raise outside(folder, name, annotations, "another folder of images")
        found.setdefault(name, ImageFile(path.relative_to(folder).as_posix() if "\\" in name else name, path, key))
    return list(found.values())


def read_proposals(path: str | Path) -> Proposals:
    """A file of region proposals; the module's docstring says which.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: another format, or boxes and scores that do not fit each other; the line names the entry.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of proposals")
    if path.suffix in (".pkl", ".pickle"):
        raise ClipkitError(
            f"{path}: a pickle runs whatever its author wrote into it, so it is not opened; if you made it yourself "
            f"(mmdet's DumpProposals), convert it once: {_CONVERT}"
        )
    if path.suffix == ".npz":
        return Proposals(path, _from_npz(path))
    if path.suffix == ".json":
        content = read_json(path)
        if isinstance(content, dict):
            return Proposals(path, {name: _entry(path, name, value) for name, value in content.items()})
        if isinstance(content, list):
            return Proposals(path, _from_results(path, content))
    raise ClipkitError(
        f"{path}: not a file of proposals (.json or .npz); `clipkit precompute --help` shows the formats"
    )


def clean_boxes(
    boxes: np.ndarray, scores: np.ndarray, size: tuple[int, int], most: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Boxes clipped to an image of `size` (height, width), the best `most` of them, best first.

    Returns:
        `(m, 4)` boxes, `(m,)` scores, and how many were dropped because nothing of them is inside, or not a number.
    """
    height, width = size
    boxes, scores = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(scores, np.float64).reshape(-1)
    clipped = np.clip(np.nan_to_num(boxes, nan=0.0), 0, [width, height, width, height])
    good = np.isfinite(boxes).all(1) & np.isfinite(scores) & (clipped[:, 2:] > clipped[:, :2]).all(1)
    order = np.argsort(-scores[good], kind="stable")[:most]
    return clipped[good][order], scores[good][order], int((~good).sum())


def _from_npz(path: Path) -> dict[Any, tuple[np.ndarray, np.ndarray]]:
    try:
        with open_npz(path) as file:
            arrays = {name: file[name] for name in file.files}
    except ClipkitError:
        raise
    except Exception as error:  # zipfile, zlib, tokenize and NumPy raise a dozen types on damaged archives
        raise ClipkitError(f"{path}: not a readable .npz of plain arrays ({one_line(error, 80)})") from None
    if missing := {"names", "counts", "boxes"} - set(arrays):
        raise ClipkitError(f"{path}: has no array {', '.join(sorted(missing))}")
    for name, (dimensions, kinds, what) in _ARRAYS.items():
        if name in arrays and (arrays[name].ndim != dimensions or arrays[name].dtype.kind not in kinds):
            shape = f"{arrays[name].shape} {arrays[name].dtype}"
            raise ClipkitError(f"{path}: its array {name} is {shape}, and must be {what}")
    names, counts, boxes = arrays["names"], arrays["counts"], arrays["boxes"]
    total = sum(counts.tolist())  # Python's numbers do not overflow
    scored = "scores" in arrays
    if (
        boxes.shape != (total, 4)
        or (scored and len(arrays["scores"]) != total)
        or len(names) != len(counts)
        or (counts < 0).any()
    ):
        said = f" and scores {arrays['scores'].shape}" if scored else ""
        raise ClipkitError(
            f"{path}: {len(names)} names, {len(counts)} counts with sum {total}, boxes {boxes.shape}{said} do not fit "
            "each other"
        )
    texts = [str(name) for name in names]
    if len(set(texts)) < len(texts):
        twice = next(text for text in texts if texts.count(text) > 1)
        raise ClipkitError(f"{path}: names {twice[:80]!r} twice; put all boxes of an image under one name")
    scores = arrays["scores"] if scored else _by_order(counts)
    ends = np.cumsum(counts)
    return {n: (boxes[end - c : end], scores[end - c : end]) for n, c, end in zip(texts, counts, ends)}


def _from_results(path: Path, rows: Sequence[Any]) -> dict[Any, tuple[np.ndarray, np.ndarray]]:
    grouped: dict[Any, list[list[float]]] = {}
    try:
        for row in rows:
            box = numbers(row["bbox"])
            if box is None or not is_number(row["score"]):
                raise ValueError
            x, y, width, height = box
            grouped.setdefault(row["image_id"], []).append([x, y, x + width, y + height, float(row["score"])])
    except (KeyError, TypeError, ValueError, OverflowError):
        number = sum(map(len, grouped.values()))
        raise ClipkitError(
            f'{path}: entry {number} is not {{"image_id": …, "bbox": [x, y, width, height], "score": …}}'
        ) from None
    tables = {key: np.array(values) for key, values in grouped.items()}
    return {key: (table[:, :4], table[:, 4]) for key, table in tables.items()}


def _entry(path: Path, name: str, value: Any) -> tuple[np.ndarray, np.ndarray]:
    try:
        rows = [numbers(row) for row in value["boxes"]]
        if None in rows or not all(map(is_number, value.get("scores", ()))):
            raise ValueError
        boxes = np.array(rows, dtype=np.float64).reshape(-1, 4)
        scores = np.array(value["scores"], dtype=np.float64) if "scores" in value else _by_order([len(boxes)])
        if scores.shape != (len(boxes),):
            raise ValueError
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        raise ClipkitError(
            f'{path}: "{name}" is not {{"boxes": [[x1, y1, x2, y2], …], "scores": [one a box]}}'
        ) from None
    return boxes, scores


def _by_order(counts: Any) -> np.ndarray:
    """Scores that keep the order of boxes without any: from 1 down, within (0, 1]."""
    return np.concatenate([np.zeros(0), *(1 - np.arange(count) / max(count, 1) for count in counts)])
